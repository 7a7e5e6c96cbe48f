/** @file The paired bootstrap: what it calls a difference, and what it does not. */
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compareResults } from "../../src/evaluate/compare.ts";

const folder = mkdtempSync(join(tmpdir(), "theseus-compare-"));
afterAll(() => rmSync(folder, { recursive: true }));

function results(name: string, metric: string, values: readonly (number | readonly number[])[]) {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  const lines = values.map((value, doc_id) =>
    JSON.stringify({ doc_id, filter: "none", metrics: [metric], [metric]: value }),
  );
  writeFileSync(join(path, "samples_t.jsonl"), `${lines.join("\n")}\n`);
  writeFileSync(join(path, "results.json"), "{}\n");
  return path;
}

const accuracies = (right: (i: number) => boolean) =>
  Array.from({ length: 200 }, (_, i) => (right(i) ? 1 : 0));

test("a difference on many items is real, one on a few is not", () => {
  const a = results(
    "a",
    "acc",
    accuracies((i) => i % 2 === 0),
  );
  const better = results(
    "b",
    "acc",
    accuracies((i) => i % 2 === 0 || i % 5 === 0),
  );
  const [real] = compareResults(a, better);
  expect(real).toMatchObject({
    task: "t",
    metric: "acc",
    items: 200,
    a: 0.5,
    b: 0.6,
    verdict: "b",
  });
  expect(real?.p).toBeLessThan(0.01);
  const [back] = compareResults(better, a);
  expect(back?.verdict).toBe("a");
  const luck = results(
    "c",
    "acc",
    accuracies((i) => (i < 6 ? i % 2 === 1 : i % 2 === 0)),
  );
  const [none] = compareResults(a, luck);
  expect(none?.verdict).toBe("none");
  expect(compareResults(a, a)[0]).toMatchObject({ difference: 0, p: 1, verdict: "none" });
});

test("a lower perplexity is the better one", () => {
  const nats = (shift: number) =>
    Array.from({ length: 40 }, (_, i) => [-(30 + (i % 7)) - shift, 10] as const);
  const a = results("p", "word_perplexity", nats(3));
  const b = results("q", "word_perplexity", nats(0));
  const [found] = compareResults(a, b);
  expect(found?.verdict).toBe("b");
  expect(found?.difference).toBeLessThan(0);
});

test("folders with nothing in common, or without results, are refused", () => {
  const a = results("a", "acc", [1, 0]);
  const b = results("x", "acc_norm", [1, 0]);
  expect(() => compareResults(a, b)).toThrow(/no task with the same items/);
  expect(() => compareResults(a, folder)).toThrow(/holds no results.json/);
});
