/** @file Training on folders of tokens in the source tree and in the executable, with its thread that reads ahead; exit codes. */
import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readMetrics } from "../../src/train/metrics_reader.ts";
import { documentsOf, writeFolder } from "../data/write_folder.ts";
import { newRoot, PROGRAMS, run } from "./programs.ts";

const root = newRoot();
afterAll(() => rmSync(root, { recursive: true }));

const tokens = writeFolder(join(root, "rows"), {
  kind: "rows",
  train: [documentsOf(Array.from({ length: 90 }, (_, i) => 2 + (i % 30)))],
  validation: [documentsOf([20, 30])],
});
const small = ["n_layer=1", "n_head=2", "n_embd=16", "block_size=32", "vocab_size=256"];
const settings = [
  ...small.map((each) => `architecture.${each}`),
  ...["steps=6", "per_device_batch_size=4", "threads=1"].map((each) => `training.${each}`),
];
const config = join(root, "config.yaml");
writeFileSync(config, "job: gpt/pretrain\n");

describe.each(PROGRAMS)("$name", ({ name: form, command }) => {
  const train = async (name: string, ...overrides: string[]) =>
    run([...(await command()), "run", name, config, root, ...settings, ...overrides]);

  test("a run on packed rows", async () => {
    const { code, stderr } = await train(form, `data.tokens=${tokens}`);
    expect([code, stderr.includes("error")]).toEqual([0, false]);
    const metrics = readMetrics(join(root, "runs/general/default", form, "metrics.jsonl"));
    expect(metrics.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(metrics.at(-1)?.val_loss).toBeGreaterThan(0);
  }, 300_000);

  test("damaged data is exit 6, settings that do not fit 2, other data for a run 5", async () => {
    const path = join(root, `damaged-${form}`);
    const write = (salt: number) => writeFolder(path, { train: [documentsOf([300, 200], salt)] });
    write(1);
    const file = join(path, "train-00000.tokens");
    const bytes = readFileSync(file);
    bytes[5] = (bytes[5] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    const name = `other-${form}`;
    const damaged = await train(name, `data.tokens=${path}`, "data.verify=true");
    expect(damaged.code).toBe(6);
    expect(damaged.stderr).toContain(`${file} is damaged`);
    const vocabulary = await train(name, `data.tokens=${path}`, "architecture.vocab_size=100");
    expect(vocabulary.code).toBe(2);
    expect(vocabulary.stderr).toContain("vocab_size 100 is less than the 256 tokens");
    const short = await train(name, `data.tokens=${tokens}`, "architecture.block_size=16");
    expect(short.code).toBe(2);
    expect(short.stderr).toContain("documents of at most 17 tokens");
    expect((await train(name, `data.tokens=${path}`)).code).toBe(0);
    write(2);
    expect((await train(name, `data.tokens=${path}`)).code).toBe(5);
  }, 300_000);
});

test("both forms of the program train alike", () => {
  const losses = PROGRAMS.map(({ name }) =>
    readMetrics(join(root, "runs/general/default", name, "metrics.jsonl")).map(({ loss }) => loss),
  );
  expect(losses[0]).toEqual(losses[1] ?? []);
});
