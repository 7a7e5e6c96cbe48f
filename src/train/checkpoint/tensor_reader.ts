/** @file The values of a stored tensor as f32, window by window: a file is never in memory as a whole. */
import { closeSync, openSync, readSync } from "node:fs";
import { CheckpointError } from "../../util/errors.ts";
import { type FloatDtype, widen } from "./half.ts";
import { SAFETENSORS_DTYPES } from "./safetensors.ts";
import type { StoredTensor } from "./weight_files.ts";

const WINDOW_VALUES = 2 ** 20;

/** Reads exactly `target.length` bytes from `offset` on. */
export function readFully(fd: number, target: Uint8Array, offset: number, path: string): void {
  for (let at = 0; at < target.length; ) {
    const count = readSync(fd, target, at, target.length - at, offset + at);
    if (count === 0) throw new CheckpointError("the file is cut off", { place: { path } });
    at += count;
  }
}

/** Calls `use` with consecutive parts of the tensor's values; a part is valid until the next call. */
export function readValues(
  tensor: StoredTensor,
  use: (values: Float32Array<ArrayBuffer>, first: number) => void,
): void {
  const { path, offset } = tensor;
  const dtype = tensor.dtype as FloatDtype;
  const each = SAFETENSORS_DTYPES[dtype];
  const count = tensor.bytes / each;
  const window = Math.min(count, WINDOW_VALUES);
  const values = new Float32Array(window);
  const stored = dtype === "F32" ? new Uint16Array(0) : new Uint16Array(window);
  const fd = openSync(path, "r");
  try {
    for (let first = 0; first < count; first += window) {
      const length = Math.min(window, count - first);
      const part = values.subarray(0, length);
      const target = dtype === "F32" ? part : stored.subarray(0, length);
      const bytes = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
      readFully(fd, bytes, offset + first * each, path);
      if (dtype !== "F32") widen(dtype, stored, part);
      use(part, first);
    }
  } finally {
    closeSync(fd);
  }
}
