/** @file Runs a compiled graph on a device with the values of the reference executor, and reads them back. */
import { at } from "../../src/ops/check.ts";
import { type RefTensor, refTensor } from "../../src/ops/reference.ts";
import type { Compiled } from "../../src/passes/compile.ts";
import type { HostSlot } from "../../src/program/program.ts";
import { serialize } from "../../src/program/serialize.ts";
import type { Device, DeviceBuffer } from "../../src/runtime/index.ts";
import { dtypeBytes } from "../../src/util/dtype.ts";
import { assert } from "../../src/util/errors.ts";
import { elementCount } from "../../src/util/shapes.ts";

/** The stored form of the values: bf16 as its 16 bits. */
export function pack({ data, dtype }: RefTensor): ArrayBufferView {
  switch (dtype) {
    case "f32":
      return Float32Array.from(data);
    case "bf16":
      return Uint16Array.from(new Uint32Array(Float32Array.from(data).buffer), (w) => w >>> 16);
    case "i32":
      return Int32Array.from(data);
    case "u32":
      return Uint32Array.from(data);
    default:
      return Uint8Array.from(data);
  }
}

export function unpack(bytes: Uint8Array, { shape, dtype }: HostSlot): RefTensor {
  const { buffer } = bytes.slice();
  switch (dtype) {
    case "f32":
      return refTensor(shape, dtype, new Float32Array(buffer));
    case "bf16": {
      const words = Uint32Array.from(new Uint16Array(buffer), (half) => half << 16);
      return refTensor(shape, dtype, new Float32Array(words.buffer));
    }
    case "i32":
      return refTensor(shape, dtype, new Int32Array(buffer));
    case "u32":
      return refTensor(shape, dtype, new Uint32Array(buffer));
    default:
      return refTensor(shape, dtype, bytes);
  }
}

export interface NativeResult {
  readonly values: Map<string, RefTensor>;
  /** The output buffer as it is, for comparing runs bit by bit. */
  readonly bytes: Uint8Array;
}

const slotBytes = ({ shape, dtype }: HostSlot): number => elementCount(shape) * dtypeBytes(dtype);

/** Runs the program twice and checks that the second run gives the bits of the first. */
export function runNative(
  device: Device,
  { program }: Compiled,
  inputs: ReadonlyMap<string, RefTensor>,
): NativeResult {
  const buffers: DeviceBuffer[] = program.buffers.map(({ bytes }) => device.alloc(bytes));
  const loaded = device.load(serialize(program));
  try {
    const kindAt = (kind: string) => program.buffers.findIndex((buffer) => buffer.kind === kind);
    buffers.forEach((buffer, i) => {
      loaded.bind(i, "both", buffer);
    });
    for (const slot of program.inputs) {
      const value = inputs.get(slot.name);
      assert(value !== undefined, `no value for input ${slot.name}`);
      at(buffers, kindAt("input")).write(pack(value), slot.offsetBytes);
    }
    const output = at(buffers, kindAt("output"));
    const [first, second] = [0, 1].map((slot) => {
      device.waitSync(loaded.run(slot === 0 ? 0 : 1));
      const bytes = new Uint8Array(output.bytes);
      output.read(bytes);
      return bytes;
    });
    assert(first !== undefined && second !== undefined, "two runs");
    assert(Buffer.compare(first, second) === 0, `two runs of ${program.name} differ`);
    const values = program.outputs.map((slot) => {
      const end = slot.offsetBytes + slotBytes(slot);
      return [slot.name, unpack(first.subarray(slot.offsetBytes, end), slot)] as const;
    });
    return { values: new Map(values), bytes: first };
  } finally {
    loaded.free();
    for (const buffer of buffers) buffer.free();
  }
}
