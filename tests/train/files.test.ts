/** @file Metrics that read back to the same bits, and the peak's estimate. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MetricsWriter, parseMetricsLine, type StepMetrics } from "../../src/train/metrics.ts";
import { cpuFacts, peakFlops } from "../../src/train/peak.ts";

const folder = mkdtempSync(join(tmpdir(), "theseus-files-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("floats read back to the same bits", () => {
  const path = join(folder, "metrics.jsonl");
  const writer = new MetricsWriter(path);
  const values = [0.1, Math.fround(0.1), 1e-45, Number.NaN, -Infinity, 3.4028234663852886e38];
  const metrics = values.map(
    (loss, i): StepMetrics => ({
      ...{ step: i + 1, tokens: 64, loss, learning_rate: 1e-3, grad_norm: loss },
      ...{ tokens_per_s: 1 / 3, mfu: null, elapsed_s: 0.25, attempt: 1 },
    }),
  );
  for (const each of metrics) writer.write(each);
  writer.close();
  const lines = readFileSync(path, "utf8").trim().split("\n");
  expect(lines.map(parseMetricsLine)).toEqual(metrics);
  expect(lines[0]).toBe(
    '{"step":1,"tokens":64,"loss":0.1,"learning_rate":0.001,"grad_norm":0.1,' +
      '"tokens_per_s":0.3333333333333333,"mfu":null,"elapsed_s":0.25,"attempt":1}',
  );
});

test("the peak counts physical cores and vector lanes", () => {
  const core = (id: number) => `physical id : 0\ncore id : ${id}\ncpu MHz : 2000.000\n`;
  const facts = cpuFacts([core(0), core(0), core(1), core(1)].join("\n"));
  expect(facts).toEqual({ cores: 2, megahertz: 2000 });
  expect(peakFlops("v4", 4, facts)).toBe(2 * 2e9 * 64);
  expect(peakFlops("v3", 1, facts)).toBe(2e9 * 32);
});
