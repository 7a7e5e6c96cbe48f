/** @file Loading: precedence, and every mistake of every source in one error. */
import { expect, test } from "bun:test";
import { type LoadOptions, loadConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/util/errors.ts";
import { testFields, testSchema } from "./schema_for_tests.ts";

const load = (text: string, overrides: string[] = [], rest: Partial<LoadOptions> = {}) =>
  loadConfig({ schema: testSchema, source: { name: "run.yaml", text }, overrides, ...rest });

function complaint(
  text: string,
  overrides: string[] = [],
  rest: Partial<LoadOptions> = {},
): string {
  try {
    load(text, overrides, rest);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const { path, line, column } = error.place;
    const place = [path, line, column].filter((part) => part !== undefined).join(":");
    return `\n${place}  ${error.message}\n`;
  }
  throw new Error("the configuration was accepted");
}

test("defaults, then the file, then the command line", () => {
  const config = load("training:\n  steps: 10\n  learning_rate: 1e-3\n", [
    "training.steps=20",
    "training.betas=[0.8, 0.9]",
    "training.clip=null",
  ]);
  expect(config.get(testFields.steps)).toBe(20);
  expect(config.get(testFields.rate)).toBe(1e-3);
  expect(config.get(testFields.betas)).toEqual([0.8, 0.9]);
  expect(config.get(testFields.clip)).toBeNull();
  expect(config.get(testFields.nLayer)).toBe(6);
});

test("extends: presets come first, in order", () => {
  const presets: Record<string, string> = {
    base: "architecture:\n  n_layer: 2\n  n_head: 2\ntraining:\n  steps: 5\n",
    wide: "extends: base\narchitecture:\n  n_head: 8\n",
  };
  const preset = (name: string) => {
    const text = presets[name];
    return text === undefined ? undefined : { name: `${name}.yaml`, text };
  };
  const config = load("extends: wide\ntraining:\n  steps: 7\n", [], { preset });
  expect(config.values(testFields)).toMatchObject({ nLayer: 2, nHead: 8, steps: 7 });
  expect(
    complaint("extends: [wide, narrow]\ntraining: { steps: 1 }\n", [], { preset }),
  ).toMatchInlineSnapshot(`
    "
    run.yaml:1:10  extends  no preset or file is named "narrow"
    "
  `);
});

test("all mistakes at once, by position", () => {
  const text = [
    "architecture:",
    "  n_layers: 6",
    "  n_head: 0",
    "training:",
    "  per_device_batch_size: '16'",
    "  betas: [0.9, 1]",
    "  schedule: linear",
    "  n_layer: 3",
    "traning: {}",
    "data: 7",
  ].join("\n");
  expect(
    complaint(text, ["training.step=5", "training.learning_rate=0", "architecture.bias=yes"]),
  ).toMatchInlineSnapshot(`
    "
    run.yaml:2:3  architecture.n_layers  unknown key. Did you mean "n_layer"?
    run.yaml:3:11  architecture.n_head  expected integer >= 1, got 0
    run.yaml:4:1  training.steps  required, but not set: expected integer >= 1
    run.yaml:5:26  training.per_device_batch_size  expected integer >= 1, got "16"
    run.yaml:6:10  training.betas  expected list of 2 (number >= 0 and < 1), got [0.9,1]
    run.yaml:7:13  training.schedule  expected wsd | cosine, got "linear"
    run.yaml:8:3  training.n_layer  unknown key. Did you mean "architecture.n_layer"?
    run.yaml:9:1  traning  unknown key. Did you mean "training"?
    run.yaml:10:7  data  expected a map of settings, got 7
    command line  training.step  unknown key. Did you mean "steps"?
    command line  training.learning_rate  expected number > 0, got 0
    command line  architecture.bias  expected true or false, got "yes"
    "
  `);
});

test("syntax errors and duplicate keys have positions", () => {
  expect(complaint("training:\n  steps: 1\n  steps: 2\n")).toMatchInlineSnapshot(`
    "
    run.yaml:3:3  Map keys must be unique
    "
  `);
  expect(complaint("training: {steps: 1\n")).toMatchInlineSnapshot(`
    "
    run.yaml:2:1  Flow map in block collection must be sufficiently indented and end with a }
    "
  `);
  expect(complaint("- 1\n- 2\n")).toMatchInlineSnapshot(`
    "
    run.yaml:1:1  expected a map of settings at the top of the file
    "
  `);
});

test("a required key that is missing names its group", () => {
  expect(
    complaint("architecture:\n  n_layer: 2\ntraining:\n  learning_rate: 1e-3\n"),
  ).toMatchInlineSnapshot(`
    "
    run.yaml:3:1  training.steps  required, but not set: expected integer >= 1
    "
  `);
  expect(complaint("training:\n  steps: ???\n")).toMatchInlineSnapshot(`
    "
    run.yaml:2:10  training.steps  required, but not set: expected integer >= 1
    "
  `);
  expect(complaint("")).toMatchInlineSnapshot(`
    "
    run.yaml  training.steps  required, but not set: expected integer >= 1
    "
  `);
});

test("a broken override", () => {
  expect(complaint("training: { steps: 1 }\n", ["training.betas=[1"])).toStartWith(
    "\ncommand line  training.betas  not a YAML value: Flow sequence in block collection must be",
  );
  expect(
    complaint("training: { steps: 1 }\n", ["training=3", "training.steps=1.5"]),
  ).toMatchInlineSnapshot(`
    "
    command line  training  expected a map of settings, got 3
    command line  training.steps  expected integer >= 1, got 1.5
    "
  `);
  expect(() => load("training: { steps: 1 }\n", ["training.steps"])).toThrow(
    'expected an override like training.steps=100, got "training.steps"',
  );
});

test("aliases and merged maps resolve", () => {
  const config = load("training: &t\n  steps: &n 4\n  per_device_batch_size: *n\n");
  expect(config.get(testFields.batch)).toBe(4);
});
