/** @file Assignments to a live configuration are checked like lines of YAML. */
import { expect, test } from "bun:test";
import type { PlainTree } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import { LiveConfig } from "../../src/quick/live_config.ts";
import { ConfigError } from "../../src/util/errors.ts";
import { testFields, testSchema } from "../config/schema_for_tests.ts";

const group = (live: LiveConfig, name: string): PlainTree => live.tree[name] as PlainTree;

function complaint(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error("nothing was wrong");
}

test("defaults are read, assignments are kept", () => {
  const live = new LiveConfig(testSchema, undefined);
  const training = group(live, "training");
  expect(training.per_device_batch_size).toBe(8);
  expect(training.steps).toBeUndefined();
  training.per_device_batch_size = 16;
  training.clip = null;
  training.betas = [0.8, 0.9];
  live.tree.architecture = { n_layer: 2, bias: false };
  Object.assign(training, { steps: 7, schedule: "cosine" });
  expect(live.toConfig().values(testFields)).toEqual({
    ...{ nLayer: 2, nHead: 6, bias: false },
    ...{ steps: 7, batch: 16, rate: 3e-4, betas: [0.8, 0.9], schedule: "cosine", clip: null },
    text: "sotu",
  });
});

test("the messages are those of a file", () => {
  const cases: [string, string, unknown][] = [
    ["training", "per_device_batch_size", "16"],
    ["training", "learning_rate", 0],
    ["training", "learning_rate", Number.NaN],
    ["training", "schedule", "linear"],
    ["training", "betas", [0.9]],
    ["training", "clip", true],
    ["architecture", "n_layer", 1.5],
    ["architecture", "bias", null],
    ["architecture", "n_laier", 3],
    ["architecture", "steps", 3],
  ];
  for (const [name, key, value] of cases) {
    const live = new LiveConfig(testSchema, undefined);
    const before = JSON.stringify(live.tree);
    const here = complaint(() => {
      group(live, name)[key] = value;
    });
    const values = { training: { steps: 1 }, [name]: { [key]: value } };
    const fromFile = complaint(() => loadConfig({ schema: testSchema, values }));
    expect(fromFile).toContain(here);
    expect(here).toStartWith(`${name}.${key}  `);
    expect(JSON.stringify(live.tree)).toBe(before);
  }
});

test("what has no file to compare with", () => {
  const live = new LiveConfig(testSchema, undefined);
  const training = group(live, "training");
  expect(complaint(() => (training.steps = undefined))).toBe(
    "training.steps  expected integer >= 1, got nothing",
  );
  expect(complaint(() => (group(live, "data").text = "???"))).toBe(
    'data.text  expected non-empty string, got "???"',
  );
  expect(complaint(() => (training.stps = 5))).toBe(
    'training.stps  unknown key. Did you mean "steps"?',
  );
  expect(complaint(() => training.stps)).toBe('training.stps  unknown key. Did you mean "steps"?');
  expect(complaint(() => live.tree.trainin)).toBe('trainin  unknown key. Did you mean "training"?');
  expect(complaint(() => (live.tree.training = 3))).toBe(
    "training  expected a map of settings, got 3",
  );
  expect(complaint(() => delete training.steps)).toBe(
    "training.steps  a setting cannot be removed",
  );
  expect(complaint(() => Object.defineProperty(training, "steps", { value: 1 }))).toBe(
    "training.steps  assign the value instead",
  );
});

test("a wrong part of a group sets nothing of it, and all mistakes are told", () => {
  const live = new LiveConfig(testSchema, undefined);
  const message = complaint(() => {
    live.tree.training = { steps: 3, per_device_batch_size: 0, schedule: "linear", nonsense: 1 };
  });
  expect(message.split("\n")).toEqual([
    "training.per_device_batch_size  expected integer >= 1, got 0",
    'run.config  training.schedule  expected wsd | cosine, got "linear"',
    "run.config  training.nonsense  unknown key.",
  ]);
  expect(group(live, "training").steps).toBeUndefined();
});

test("lists cannot change behind the check, and later changes to what was assigned do not count", () => {
  const live = new LiveConfig(testSchema, undefined);
  const betas = [0.5, 0.6];
  group(live, "training").betas = betas;
  betas[0] = 7;
  expect(group(live, "training").betas).toEqual([0.5, 0.6]);
  expect(() => (group(live, "training").betas as number[]).push(1)).toThrow(TypeError);
  group(live, "training").steps = 1;
  expect(live.toConfig().get(testFields.betas)).toEqual([0.5, 0.6]);
});

test("it prints, spreads, and serialises like the plain object that it shows", async () => {
  const live = new LiveConfig(testSchema, undefined);
  expect(JSON.parse(JSON.stringify(live.tree)).architecture).toEqual({
    ...{ n_layer: 6, n_head: 6, bias: true },
  });
  expect({ ...group(live, "architecture") }.n_head).toBe(6);
  expect(Object.keys(live.tree)).toEqual(["architecture", "training", "data"]);
  expect("steps" in group(live, "training")).toBe(true);
  expect(Bun.inspect(live.tree)).toContain("n_layer: 6");
  expect(await live.tree).toBe(live.tree);
});

test("what is missing is listed, and can still be set; then the settings are fixed", () => {
  const live = new LiveConfig(testSchema, undefined);
  expect(complaint(() => live.toConfig())).toBe(
    "training.steps  required, but not set: expected integer >= 1",
  );
  group(live, "training").steps = 2;
  expect(live.toConfig().get(testFields.steps)).toBe(2);
  live.fixed = true;
  expect(complaint(() => (group(live, "training").steps = 3))).toBe(
    "training.steps  the run has started, its settings are fixed",
  );
});

test("it may start from a configuration", () => {
  const start = loadConfig({ schema: testSchema, overrides: ["training.steps=9"] });
  const live = new LiveConfig(testSchema, start);
  expect(group(live, "training").steps).toBe(9);
  expect(live.toConfig().values(testFields)).toEqual(start.values(testFields));
});
