/** @file The header of a safetensors file: 8 bytes of length, JSON, then the tensors one after another. */
import { closeSync, openSync, readSync } from "node:fs";
import { CheckpointError } from "../util/errors.ts";
import { alignUp, elementCount, type Shape } from "../util/shapes.ts";

export interface StoredTensor {
  readonly name: string;
  readonly shape: Shape;
  /** From the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

export interface TensorFile {
  readonly header: Uint8Array;
  readonly tensors: readonly StoredTensor[];
  readonly bytes: number;
}

const ALIGNMENT = 8;
const HEADER_BYTES_MAX = 100 << 20;

/** Lays out f32 tensors in the given order. */
export function layOut(
  tensors: readonly { readonly name: string; readonly shape: Shape }[],
  metadata: Readonly<Record<string, string>>,
): TensorFile {
  const entries: Record<string, unknown> = { __metadata__: metadata };
  let at = 0;
  for (const { name, shape } of tensors) {
    const bytes = elementCount(shape) * 4;
    entries[name] = { dtype: "F32", shape, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  const json = JSON.stringify(entries);
  const length = alignUp(Buffer.byteLength(json), ALIGNMENT);
  const header = Buffer.alloc(8 + length, " ");
  header.writeBigUInt64LE(BigInt(length), 0);
  header.write(json, 8);
  let offset = header.length;
  const stored = tensors.map(({ name, shape }) => {
    const bytes = elementCount(shape) * 4;
    offset += bytes;
    return { name, shape, offset: offset - bytes, bytes };
  });
  return { header, tensors: stored, bytes: offset };
}

interface HeaderEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** Reads the header of a file; its contents are untrusted. */
export function readTensorFile(path: string): ReadonlyMap<string, StoredTensor> {
  const fail = (why: string): never => {
    throw new CheckpointError(`${path}: ${why}`);
  };
  const size = Bun.file(path).size;
  const file = openSync(path, "r");
  try {
    const prefix = Buffer.alloc(8);
    if (readSync(file, prefix, 0, 8, 0) < 8) fail("too short for a safetensors file");
    const length = Number(prefix.readBigUInt64LE(0));
    if (length > HEADER_BYTES_MAX || 8 + length > size) fail("its header is longer than the file");
    const json = Buffer.alloc(length);
    readSync(file, json, 0, length, 8);
    const entries = parseHeader(json.toString(), fail);
    const start = 8 + length;
    const tensors = new Map<string, StoredTensor>();
    for (const [name, { dtype, shape, data_offsets }] of entries) {
      const [from, to] = data_offsets;
      const bytes = elementCount(shape) * 4;
      if (dtype !== "F32") fail(`${name} holds ${dtype}, expected F32`);
      if (to - from !== bytes || from < 0 || start + to > size) fail(`${name} has a wrong extent`);
      tensors.set(name, { name, shape, offset: start + from, bytes });
    }
    return tensors;
  } finally {
    closeSync(file);
  }
}

function parseHeader(json: string, fail: (why: string) => never): [string, HeaderEntry][] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    return fail("its header is not JSON");
  }
  if (typeof parsed !== "object" || parsed === null) return fail("its header is not a map");
  const entries = Object.entries(parsed).filter(([name]) => name !== "__metadata__");
  for (const [name, entry] of entries) {
    const { dtype, shape, data_offsets } = (entry ?? {}) as Partial<HeaderEntry>;
    const whole = (x: unknown) => Number.isSafeInteger(x) && (x as number) >= 0;
    const good =
      typeof dtype === "string" &&
      Array.isArray(shape) &&
      shape.every(whole) &&
      Array.isArray(data_offsets) &&
      data_offsets.length === 2 &&
      data_offsets.every(whole);
    if (!good) fail(`the entry of ${name} is malformed`);
  }
  return entries as [string, HeaderEntry][];
}
