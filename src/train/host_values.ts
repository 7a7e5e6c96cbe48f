/** @file Values that cross between host and program: scalars as numbers, the rest as typed arrays. */
import type { HostSlot } from "../program/program.ts";
import type { DeviceBuffer } from "../runtime/index.ts";
import { type DType, dtypeBytes } from "../util/dtype.ts";
import { assert } from "../util/errors.ts";
import { elementCount } from "../util/shapes.ts";

export type HostArray = Float32Array | Int32Array | Uint32Array | Uint16Array | Uint8Array;
export type HostValue = number | HostArray;

function viewOf(dtype: DType, bytes: ArrayBuffer, offset: number, count: number): HostArray {
  switch (dtype) {
    case "f32":
      return new Float32Array(bytes, offset, count);
    case "i32":
      return new Int32Array(bytes, offset, count);
    case "u32":
      return new Uint32Array(bytes, offset, count);
    case "bf16":
      return new Uint16Array(bytes, offset, count);
    case "bool":
      return new Uint8Array(bytes, offset, count);
    default:
      return dtype satisfies never;
  }
}

/** Writes an input's value to its place in the image of the input buffer. */
export function writeValue(image: Uint8Array<ArrayBuffer>, slot: HostSlot, value: HostValue): void {
  const count = elementCount(slot.shape);
  const at = image.byteOffset + slot.offsetBytes;
  const target = viewOf(slot.dtype, image.buffer, at, count);
  const length = typeof value === "number" ? 1 : value.length;
  assert(length === count, `input ${slot.name} takes ${count} values, got ${length}`);
  if (typeof value === "number") target[0] = value;
  else target.set(value);
}

export function readValue(buffer: DeviceBuffer, slot: HostSlot): HostValue {
  const bytes = new Uint8Array(elementCount(slot.shape) * dtypeBytes(slot.dtype));
  buffer.read(bytes, slot.offsetBytes);
  return valueAt(bytes.buffer, 0, slot);
}

/** Of an image of the whole output buffer. */
export const valueIn = (image: Uint8Array<ArrayBuffer>, slot: HostSlot): HostValue =>
  valueAt(image.buffer, slot.offsetBytes, slot);

function valueAt(bytes: ArrayBuffer, offset: number, { shape, dtype }: HostSlot): HostValue {
  const values = viewOf(dtype, bytes, offset, elementCount(shape));
  return shape.length === 0 ? (values[0] ?? 0) : values;
}
