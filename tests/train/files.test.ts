/** @file Metrics that read back to the same bits, weight files from strangers, the peak's estimate. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MetricsWriter, parseMetricsLine, type StepMetrics } from "../../src/train/metrics.ts";
import { cpuFacts, peakFlops } from "../../src/train/peak.ts";
import { layOut, readTensorFile } from "../../src/train/safetensors.ts";

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

test("a tensor file's layout", () => {
  const layout = layOut(
    [
      { name: "a", shape: [2, 3] },
      { name: "b", shape: [] },
    ],
    { step: "7" },
  );
  const path = join(folder, "good.safetensors");
  writeFileSync(path, Buffer.concat([layout.header, Buffer.alloc(28)]));
  expect(layout.header.length % 8).toBe(0);
  expect([...readTensorFile(path).values()]).toEqual([...layout.tensors]);
});

function malformed(json: string, body = 0): string {
  const path = join(folder, "bad.safetensors");
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(path, Buffer.concat([length, Buffer.from(json), Buffer.alloc(body)]));
  try {
    readTensorFile(path);
    return "accepted";
  } catch (error) {
    return String(error).split("bad.safetensors: ")[1] ?? String(error);
  }
}

test("malformed tensor files", () => {
  const entry = (text: string) => `{"w":${text}}`;
  expect(malformed("{")).toBe("its header is not JSON");
  expect(malformed("3")).toBe("its header is not a map");
  expect(malformed(entry("null"))).toBe("the entry of w is malformed");
  expect(malformed(entry('{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}'))).toContain(
    "malformed",
  );
  expect(malformed(entry('{"dtype":"F16","shape":[1],"data_offsets":[0,4]}'), 4)).toBe(
    "w holds F16, expected F32",
  );
  const wrong = "w has a wrong extent";
  expect(malformed(entry('{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'), 3)).toBe(wrong);
  expect(malformed(entry('{"dtype":"F32","shape":[1],"data_offsets":[0,8]}'), 8)).toBe(wrong);
  expect(malformed(entry('{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'), 4)).toBe("accepted");
  writeFileSync(join(folder, "short"), Buffer.alloc(3));
  expect(() => readTensorFile(join(folder, "short"))).toThrow("too short");
  writeFileSync(join(folder, "long"), Buffer.alloc(16, 0xff));
  expect(() => readTensorFile(join(folder, "long"))).toThrow("longer than the file");
});

test("the peak counts physical cores and vector lanes", () => {
  const core = (id: number) => `physical id : 0\ncore id : ${id}\ncpu MHz : 2000.000\n`;
  const facts = cpuFacts([core(0), core(0), core(1), core(1)].join("\n"));
  expect(facts).toEqual({ cores: 2, megahertz: 2000 });
  expect(peakFlops("v4", 4, facts)).toBe(2 * 2e9 * 64);
  expect(peakFlops("v3", 1, facts)).toBe(2e9 * 32);
});
