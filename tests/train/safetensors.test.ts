/** @file Tensor files: their layout, and files from strangers, which must be refused with the reason and bounded memory. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { matchTensors } from "../../src/train/checkpoint/match.ts";
import { readSafetensors, safetensorsHeader } from "../../src/train/checkpoint/safetensors.ts";
import { CheckpointError } from "../../src/util/errors.ts";

const folder = mkdtempSync(join(tmpdir(), "theseus-tensors-"));
afterAll(() => rmSync(folder, { recursive: true }));

const dtype = "F32" as const;
const TENSORS = [
  { name: "a", dtype, shape: [2, 3], bytes: 24 },
  { name: "b", dtype, shape: [], bytes: 4 },
];

function good(): string {
  const path = join(folder, "good.safetensors");
  const header = safetensorsHeader(TENSORS, { step: "7" });
  writeFileSync(path, Buffer.concat([header, Buffer.alloc(28)]));
  return path;
}

test("a header is aligned, and the tensors behind it are found again", () => {
  const header = safetensorsHeader(TENSORS, { step: "7" });
  expect(header.length % 8).toBe(0);
  const { tensors, metadata } = readSafetensors(good());
  expect(metadata).toEqual({ step: "7" });
  expect(tensors).toEqual([
    { name: "a", dtype, shape: [2, 3], offset: header.length, bytes: 24 },
    { name: "b", dtype, shape: [], offset: header.length + 24, bytes: 4 },
  ]);
});

function refusal(path: string, read: (path: string) => unknown = readSafetensors): string {
  try {
    read(path);
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    expect(error.place.path).toBe(path);
    return error.message;
  }
  return "accepted";
}

function withHeader(json: string, body = 0, length = BigInt(json.length)): string {
  const path = join(folder, "bad.safetensors");
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(length);
  writeFileSync(path, Buffer.concat([prefix, Buffer.from(json), Buffer.alloc(body)]));
  return path;
}

const one = (entry: string): string => `{"w":${entry}}`;
const f32 = (shape: string, range: string): string =>
  one(`{"dtype":"F32","shape":${shape},"data_offsets":${range}}`);

test.each([
  ["{", 0, "the header is not JSON"],
  ["3", 0, "the header expected a JSON object"],
  [one("null"), 0, 'tensor "w": expected an object'],
  [f32("[-1]", "[0,4]"), 4, 'tensor "w": shape expected sizes >= 0'],
  [f32("[1]", "[0]"), 4, 'tensor "w": data_offsets expected two offsets'],
  [one('{"dtype":"Q4","shape":[1],"data_offsets":[0,4]}'), 4, 'tensor "w": unknown dtype "Q4"'],
  [f32("[1]", "[0,8]"), 8, 'tensor "w": F32 [1] takes 4 bytes, the file says 8'],
  [f32("[1]", "[0,4]"), 4, "accepted"],
  [f32("[9007199254740991]", "[0,4]"), 4, 'tensor "w": F32 [9007199254740991] takes'],
])("a header of %s", (json, body, message) => {
  expect(refusal(withHeader(json, body))).toStartWith(message);
});

test("extents beyond the file, overlaps, and lengths that lie", () => {
  expect(refusal(withHeader(f32("[1]", "[0,4]"), 3))).toContain('tensor "w": ends at byte');
  const entry = (range: string) => `{"dtype":"F32","shape":[1],"data_offsets":${range}}`;
  const both = `{"v":${entry("[0,4]")},"w":${entry("[2,6]")}}`;
  expect(refusal(withHeader(both, 8))).toBe('tensor "w" overlaps another');
  const gap = `{"v":${entry("[0,4]")},"w":${entry("[8,12]")}}`;
  expect(refusal(withHeader(gap, 12))).toBe('4 bytes before "w" belong to no tensor');
  expect(refusal(withHeader(f32("[1]", "[0,4]"), 9))).toBe("the last 5 bytes belong to no tensor");
  for (const length of [2n ** 63n, 2n ** 64n - 1n, 1000n])
    expect(refusal(withHeader("{}", 0, length))).toBe(`header of ${length} bytes in a file of 10`);
  writeFileSync(join(folder, "short"), Buffer.alloc(3));
  expect(refusal(join(folder, "short"))).toBe("too short for a safetensors file (3 bytes)");
  expect(refusal(join(folder, "nowhere"))).toContain("ENOENT");
});

test("tensors must be just those that are expected", () => {
  const expected = TENSORS.map(({ name, shape }) => ({ name, shape }));
  const against = (more: typeof expected) => refusal(good(), (path) => matchTensors(path, more));
  expect(against(expected)).toBe("accepted");
  expect(against(expected.slice(1))).toBe("holds a, which the model does not have");
  expect(against([...expected, { name: "c", shape: [1] }])).toBe("c is missing");
  expect(against([{ name: "a", shape: [3, 2] }, ...expected.slice(1)])).toBe(
    "a: expected F32 [3, 2], found F32 [2, 3]",
  );
});
