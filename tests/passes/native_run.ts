/** @file Runs a compiled program with state natively, from the values of the reference executor and back. */
import { at } from "../../src/ops/check.ts";
import type { RefTensor } from "../../src/ops/reference.ts";
import type { Compiled } from "../../src/passes/compile.ts";
import type { HostSlot } from "../../src/program/program.ts";
import { serialize } from "../../src/program/serialize.ts";
import type { Device } from "../../src/runtime/index.ts";
import { dtypeBytes } from "../../src/util/dtype.ts";
import { assert } from "../../src/util/errors.ts";
import { elementCount } from "../../src/util/shapes.ts";
import { pack, unpack } from "../ops/native.ts";

/** Values of all outputs and states after one run. */
export function runWithState(
  device: Device,
  { program, plan }: Compiled,
  values: ReadonlyMap<string, RefTensor>,
): Map<string, RefTensor> {
  const buffers = program.buffers.map(({ bytes }) => device.alloc(bytes));
  const loaded = device.load(serialize(program));
  const indexOf = (kind: string, name: string): number =>
    program.buffers.findIndex((buffer) => buffer.kind === kind && buffer.name === name);
  const slots: (HostSlot & { buffer: number; given: boolean })[] = [
    ...program.inputs.map((slot) => ({ ...slot, buffer: indexOf("input", "input"), given: true })),
    ...program.outputs.map((slot) => ({
      ...{ ...slot, buffer: indexOf("output", "output"), given: false },
    })),
    ...plan.states.map(({ name, shape, dtype }) => ({
      ...{ name, shape, dtype, offsetBytes: 0, buffer: indexOf("state", name) },
      given: values.has(name),
    })),
  ];
  try {
    buffers.forEach((buffer, i) => {
      loaded.bind(i, "both", buffer);
    });
    for (const slot of slots.filter(({ given }) => given)) {
      const value = values.get(slot.name);
      assert(value !== undefined, `no value for ${slot.name}`);
      at(buffers, slot.buffer).write(pack(value), slot.offsetBytes);
    }
    device.waitSync(loaded.run(0));
    const read = (slot: (typeof slots)[number]): [string, RefTensor] => {
      const bytes = new Uint8Array(elementCount(slot.shape) * dtypeBytes(slot.dtype));
      at(buffers, slot.buffer).read(bytes, slot.offsetBytes);
      return [slot.name, unpack(bytes, slot)];
    };
    const inputs = new Set(program.inputs.map(({ name }) => name));
    return new Map(slots.filter(({ name }) => !inputs.has(name)).map(read));
  } finally {
    loaded.free();
    for (const buffer of buffers) buffer.free();
  }
}
