/** @file Metrics that are read while they are written, torn at any byte, damaged, or ten million. */
import { afterAll, expect, setDefaultTimeout, spyOn, test } from "bun:test";
import {
  appendFileSync,
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MetricsWriter, metricsLine, type StepMetrics } from "../../src/train/metrics.ts";
import {
  lastMetrics,
  lastValidated,
  loggedMetrics,
  readMetrics,
  sampledMetrics,
} from "../../src/train/metrics_reader.ts";
import { log } from "../../src/util/log.ts";
import { THOROUGH } from "./child_runs.ts";

setDefaultTimeout(180_000);
const folder = mkdtempSync(join(tmpdir(), "theseus-metrics-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, "metrics.jsonl");

function row(step: number, attempt = 1): StepMetrics {
  return {
    ...{ step, tokens: step * 64, loss: 5 / step, learning_rate: 1e-3, grad_norm: 0.1 },
    ...{ tokens_per_s: 1e4, mfu: null, elapsed_s: step / 10, attempt },
    ...(step % 5 === 0 ? { val_loss: 4 / step, val_bits_per_byte: 3 / step } : {}),
  };
}

test("whatever byte a crash or a reader meets, what was whole is read", () => {
  const whole = Array.from({ length: 12 }, (_, i) => metricsLine(row(i + 1))).join("");
  for (let cut = 0; cut <= whole.length; cut += 1 + (cut % 3)) {
    writeFileSync(path, whole.slice(0, cut));
    const lines = whole.slice(0, cut).split("\n").length - 1;
    expect(readMetrics(path).map(({ step }) => step)).toEqual(
      Array.from({ length: lines }, (_, i) => i + 1),
    );
    expect(sampledMetrics(path)).toEqual(readMetrics(path));
    expect(lastMetrics(path)?.step).toBe(lines === 0 ? undefined : lines);
    expect(lastValidated(path)?.step).toBe(lines < 5 ? undefined : lines < 10 ? 5 : 10);
    expect(loggedMetrics(folder, 3)?.step).toBe(lines < 3 ? undefined : 3);
    if (cut % 7 !== 0) continue;
    const writer = new MetricsWriter(path);
    writer.write(row(99, 2));
    writer.close();
    expect(readMetrics(path)).toHaveLength(lines + 1);
  }
});

test("of a step that was written twice the last one counts, and nothing beyond the last attempt's begin", () => {
  const steps = [1, 2, 3, 4, 5, 6];
  const lines = [...steps.map((s) => row(s)), row(3, 2), row(4, 2)];
  writeFileSync(path, lines.map(metricsLine).join(""));
  expect(readMetrics(path).map(({ step, attempt }) => [step, attempt])).toEqual([
    ...[1, 2].map((step) => [step, 1]),
    ...[3, 4].map((step) => [step, 2]),
    ...[5, 6].map((step) => [step, 1]),
  ]);
  expect(sampledMetrics(path).map(({ step, attempt }) => [step, attempt])).toEqual([
    ...[1, 2].map((step) => [step, 1]),
    ...[3, 4].map((step) => [step, 2]),
  ]);
  expect(loggedMetrics(folder, 4)?.attempt).toBe(2);
  expect(lastMetrics(path)).toEqual(row(4, 2));
});

test("a damaged line: readers that show go on with a warning, the exact one names it", () => {
  const good = [1, 2, 3].map((step) => metricsLine(row(step)));
  writeFileSync(path, [good[0], "\0\0\0\0\n", good[1], '{"step":\n', "[1]\n", good[2]].join(""));
  const warn = spyOn(log, "warn").mockImplementation(() => {});
  expect(sampledMetrics(path).map(({ step }) => step)).toEqual([1, 2, 3]);
  expect(warn.mock.calls.flat()).toEqual([`${path}: 3 of 6 lines are no metrics and left out`]);
  warn.mockRestore();
  expect(() => readMetrics(path)).toThrow("expected a metrics object");
  appendFileSync(path, '{"step":4,"los\n');
  expect(lastMetrics(path)?.step).toBe(3);
});

test("a line longer than what is read at once", () => {
  const long = { ...row(2), note: "x".repeat(3 << 20) };
  writeFileSync(path, [metricsLine(row(1)), metricsLine(long), metricsLine(row(3))].join(""));
  expect(readMetrics(path).map(({ step }) => step)).toEqual([1, 2, 3]);
  truncateSync(path, readFileSync(path).length - 5);
  expect(lastMetrics(path)?.step).toBe(2);
  expect(loggedMetrics(folder, 1)?.step).toBe(1);
});

const ROWS = THOROUGH ? 10_000_000 : 200_000;

test(`${ROWS} rows: a curve of a few thousand points, with every validation, in little memory`, () => {
  const file = openSync(path, "w");
  const [head = "", tail = ""] = metricsLine({ ...row(7), step: 1234567 }).split("1234567");
  for (let step = 1; step <= ROWS; ) {
    let text = "";
    for (let n = 0; n < 20_000 && step <= ROWS; n++, step++) {
      // Rare, as they are: one in a thousand.
      const more = step % 1000 === 0 ? `,"val_loss":${step}}\n` : "}\n";
      text += `${head}${step}${tail.slice(0, -2)}${more}`;
    }
    writeSync(file, text);
  }
  closeSync(file);
  const before = process.memoryUsage().rss;
  const began = performance.now();
  const curve = sampledMetrics(path, 2000);
  const seconds = (performance.now() - began) / 1000;
  expect(curve.length).toBeGreaterThan(1000);
  expect(curve.length).toBeLessThanOrEqual(4001);
  expect(curve[0]?.step).toBe(1);
  expect(curve.at(-1)?.step).toBe(ROWS);
  const steps = curve.map(({ step }) => step);
  expect(steps).toEqual([...steps].sort((a, b) => a - b));
  expect(curve.filter(({ val_loss }) => val_loss !== undefined).length).toBeGreaterThan(150);
  expect(lastMetrics(path)?.step).toBe(ROWS);
  expect(lastValidated(path)?.step).toBe(ROWS);
  expect(loggedMetrics(folder, ROWS - 1)?.step).toBe(ROWS - 1);
  expect(process.memoryUsage().rss - before).toBeLessThan(300 << 20);
  expect(seconds).toBeLessThan(THOROUGH ? 60 : 10);
});
