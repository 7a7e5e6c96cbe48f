/**
 * @file The safetensors format: u64 header length, JSON header, raw little-endian data. Reading trusts nothing: lengths
 * are checked against the file before anything is allocated.
 * https://github.com/huggingface/safetensors#format
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { CheckpointError } from "../../util/errors.ts";

export const SAFETENSORS_DTYPES = {
  F64: 8,
  F32: 4,
  BF16: 2,
  F16: 2,
  I64: 8,
  I32: 4,
  U32: 4,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;
export type SafetensorsDtype = keyof typeof SAFETENSORS_DTYPES;

export interface TensorEntry {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** Absolute offset in the file. */
  readonly offset: number;
  readonly bytes: number;
}

export interface SafetensorsFile {
  readonly tensors: readonly TensorEntry[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** A header as the format's own limit allows it at most. */
const HEADER_BYTES_MAX = 100_000_000;

/** Header bytes for tensors that follow it in this order without gaps. */
export function safetensorsHeader(
  tensors: readonly Pick<TensorEntry, "name" | "dtype" | "shape" | "bytes">[],
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) header.__metadata__ = metadata;
  let offset = 0;
  for (const { name, dtype, shape, bytes } of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes] };
    offset += bytes;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const padded = Math.ceil(json.length / 8) * 8;
  const out = new Uint8Array(8 + padded).fill(0x20);
  new DataView(out.buffer).setBigUint64(0, BigInt(padded), true);
  out.set(json, 8);
  return out;
}

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0;

function tensorEntry(name: string, value: unknown, start: number, size: number): TensorEntry {
  const fail = (why: string): never => {
    throw new CheckpointError(`tensor "${name}": ${why}`);
  };
  if (typeof value !== "object" || value === null) return fail("expected an object");
  const { dtype, shape, data_offsets: range } = value as Record<string, unknown>;
  if (typeof dtype !== "string" || !Object.hasOwn(SAFETENSORS_DTYPES, dtype))
    return fail(`unknown dtype ${JSON.stringify(dtype)}`);
  if (!Array.isArray(shape) || !shape.every(isCount)) return fail("shape expected sizes >= 0");
  if (!Array.isArray(range) || range.length !== 2 || !range.every(isCount))
    return fail("data_offsets expected two offsets");
  const [begin, end] = range as [number, number];
  const kind = dtype as SafetensorsDtype;
  const bytes = shape.reduce((a: number, b: number) => a * b, SAFETENSORS_DTYPES[kind]);
  if (end - begin !== bytes)
    return fail(
      `${dtype} [${shape.join(", ")}] takes ${bytes} bytes, the file says ${end - begin}`,
    );
  if (start + end > size) return fail(`ends at byte ${start + end}, the file has ${size}`);
  return { name, dtype: kind, shape, offset: start + begin, bytes };
}

function parseHeader(text: string): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch {
    throw new CheckpointError("the header is not JSON");
  }
  if (typeof header !== "object" || header === null || Array.isArray(header))
    throw new CheckpointError("the header expected a JSON object");
  return header as Record<string, unknown>;
}

/** Reads and checks the header of an open file of `size` bytes. */
function readOpen(fd: number, size: number): SafetensorsFile {
  const prefix = new Uint8Array(8);
  if (size < 8 || readSync(fd, prefix, 0, 8, 0) !== 8)
    throw new CheckpointError(`too short for a safetensors file (${size} bytes)`);
  const length = new DataView(prefix.buffer).getBigUint64(0, true);
  if (length > BigInt(Math.min(HEADER_BYTES_MAX, size - 8)))
    throw new CheckpointError(`header of ${length} bytes in a file of ${size}`);
  const bytes = new Uint8Array(Number(length));
  if (readSync(fd, bytes, 0, bytes.length, 8) !== bytes.length)
    throw new CheckpointError("the header is cut off");
  const { __metadata__: metadata, ...rest } = parseHeader(new TextDecoder().decode(bytes));
  const start = 8 + bytes.length;
  const tensors = Object.entries(rest).map(([name, value]) =>
    tensorEntry(name, value, start, size),
  );
  const ordered = [...tensors].sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  let end = start;
  for (const tensor of ordered) {
    if (tensor.offset < end) throw new CheckpointError(`tensor "${tensor.name}" overlaps another`);
    if (tensor.offset > end)
      throw new CheckpointError(
        `${tensor.offset - end} bytes before "${tensor.name}" belong to no tensor`,
      );
    end = tensor.offset + tensor.bytes;
  }
  if (end < size) throw new CheckpointError(`the last ${size - end} bytes belong to no tensor`);
  return { tensors, metadata: (metadata ?? {}) as Record<string, string> };
}

/** Reads the header of a safetensors file. Throws CheckpointError naming the file and what is wrong with it. */
export function readSafetensors(path: string): SafetensorsFile {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    throw new CheckpointError(error instanceof Error ? error.message : String(error), {
      place: { path },
    });
  }
  try {
    return readOpen(fd, fstatSync(fd).size);
  } catch (error) {
    if (error instanceof CheckpointError)
      throw new CheckpointError(error.message, { place: { path } });
    throw error;
  } finally {
    closeSync(fd);
  }
}
