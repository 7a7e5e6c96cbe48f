/** @file Folders of tokens as a data set: what may stand together, what is held out, and reading ahead. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newBatch } from "../../src/data/batch.ts";
import { type DataOptions, documentMaskOf, openDataset } from "../../src/data/dataset.ts";
import { folderSampler } from "../../src/data/folder_plan.ts";
import { ValidationLoader } from "../../src/data/loader.ts";
import { PrefetchLoader } from "../../src/data/prefetch.ts";
import { dataOptions } from "./data_options.ts";
import { documentsOf, writeFolder } from "./write_folder.ts";

const root = mkdtempSync(join(tmpdir(), "theseus-folders-"));
afterAll(() => rmSync(root, { recursive: true }));

const held = [documentsOf([40, 50], 7)];
const stream = writeFolder(join(root, "stream"), {
  train: [documentsOf([100, 90, 80]), documentsOf([70, 60], 5)],
  validation: held,
});
const rows = writeFolder(join(root, "rows"), {
  kind: "rows",
  train: [documentsOf(Array.from({ length: 60 }, (_, i) => 2 + (i % 15)))],
});
const mixture = [
  { path: stream, weight: 1 },
  { path: rows, weight: 2 },
];
const order = { length: 16, seed: 3, samplesPerStep: 8 };
const open = (options: Partial<DataOptions>) => openDataset(dataOptions(options));

test("a folder and a mixture, and what they decide", async () => {
  const one = await open({ tokens: stream });
  expect(one).toMatchObject({
    name: stream,
    vocabSize: 256,
    documentMask: false,
    trainTokens: 400,
  });
  const both = await open({ mixture });
  expect(both).toMatchObject({ documentMask: true, trainTokens: 400 + 540 });
  expect((await open({ mixture, documentMask: false })).documentMask).toBe(false);
  expect((await open({ tokens: stream, documentMask: true })).documentMask).toBe(true);
  expect(both.record.content).not.toBe(one.record.content);
  const [a, b] = [
    (await open({ tokens: stream })).train(order),
    (await open({ tokens: rows })).train(order),
  ];
  expect(both.train(order).perEpoch).toBe(a.perEpoch + b.perEpoch);
  expect([documentMaskOf(dataOptions({ mixture })), documentMaskOf(dataOptions({}))]).toEqual([
    true,
    false,
  ]);
});

test("what is held out is never trained on", async () => {
  const same = writeFolder(join(root, "same"), { train: held });
  const together = open({ mixture: [...mixture, { path: same, weight: 0 }] });
  await expect(together).rejects.toThrow("is trained on, but");
  const dataset = await open({ mixture });
  const heldOut = dataset.heldOut(16);
  const loader = new ValidationLoader(heldOut, 4, 0);
  const batch = newBatch(4, 16);
  const kept = Array.from({ length: loader.batches }, (_, i) => [...loader.fill(batch, i)]).flat();
  const documents = held.flat();
  expect(kept).toEqual(documents.flatMap((ids) => ids.slice(1)));
});

describe("mistakes", () => {
  const cases: [string, Partial<DataOptions>, string][] = [
    ["two answers", { tokens: stream, mixture }, "data.tokens and data.mixture each say"],
    ["a text too", { tokens: stream, text: "x.txt" }, "data.tokens and data.text each say"],
    [
      "no weight",
      { mixture: [{ path: stream, weight: 0 }] },
      "expected at least one weight above 0",
    ],
    ["stages of a text", { stages: [{ at: 3, weights: [1] }] }, "data.stages gives weights"],
    ["weights", { mixture, stages: [{ at: 3, weights: [1] }] }, '"3" has 1 weights for 2 folders'],
    ["no folder", { tokens: join(root, "none") }, "none does not exist"],
    [
      "another tokenizer",
      { tokens: stream, tokenizer: "gpt2" },
      "was made with the tokenizer bytes",
    ],
  ];
  for (const [name, options, message] of cases)
    test(name, async () => expect(open(options)).rejects.toThrow(message));

  test("stages out of order are found when the batch is known", async () => {
    const stages = [
      { at: "1K tokens", weights: [1, 1] },
      { at: 5, weights: [1, 2] },
    ];
    const dataset = await open({ mixture, stages });
    expect(() => dataset.train(order)).toThrow('"5" is sample 40, expected later than sample 63');
    expect(dataset.train({ ...order, samplesPerStep: 16 }).perEpoch).toBeGreaterThan(0);
  });

  test("pairs, and tokenizers that differ", async () => {
    const pairs = writeFolder(join(root, "pairs"), { kind: "pairs", train: [documentsOf([2, 3])] });
    await expect(open({ tokens: pairs })).rejects.toThrow("holds pairs of answers");
    const other = { name: "other", fingerprint: "x", vocab_size: 99 };
    const foreign = writeFolder(join(root, "foreign"), { tokenizer: other, train: held });
    const mixed = [
      { path: rows, weight: 1 },
      { path: foreign, weight: 1 },
    ];
    await expect(open({ mixture: mixed })).rejects.toThrow("their ids do not mean the same");
  });
});

describe("reading ahead", () => {
  const stages = [{ at: 4, weights: [3, 1] }];
  test.each([0, 24])("from sample %d on: what this thread would have filled", async (first) => {
    const dataset = await open({ mixture, stages });
    const loader = dataset.train(order).loader(4, first);
    const plan = { ...order, folders: [stream, rows], separate: true };
    const weights = [
      { from: 0, weights: [1, 2] },
      { from: 32, weights: [3, 1] },
    ];
    const { sampler } = folderSampler({ ...plan, stages: weights });
    for (let at = first; at < first + 80; at += 4) {
      const expected = newBatch(4, 16);
      for (let row = 0; row < 4; row++) sampler.fill(at + row, expected, row);
      const { tokens, targets, positions, documents } = await loader.take(at);
      expect([...tokens]).toEqual([...expected.tokens]);
      expect([...targets]).toEqual([...expected.targets]);
      expect([...positions]).toEqual([...expected.positions]);
      expect([...documents]).toEqual([...expected.documents]);
    }
    loader.close();
  });

  test("a batch stays as it is until the next is asked for", async () => {
    const loader = (await open({ tokens: stream })).train(order).loader(4, 0);
    const batch = await loader.take(0);
    const before = [...batch.tokens];
    await Bun.sleep(30);
    expect([...batch.tokens]).toEqual(before);
    loader.close();
  });

  test("an error there is an error here, with its kind", async () => {
    const broken = writeFolder(join(root, "broken"), { train: [documentsOf([100, 200])] });
    const dataset = await open({ tokens: broken });
    const data = dataset.train(order);
    truncateSync(join(broken, "train-00000.tokens"), 10);
    const loader = data.loader(4, 0);
    expect(loader).toBeInstanceOf(PrefetchLoader);
    const taken = (async () => loader.take(0))();
    await expect(taken).rejects.toThrow("train-00000.tokens has 10 bytes");
    await expect(taken).rejects.toMatchObject({ code: "data" });
    loader.close();
  });
});
