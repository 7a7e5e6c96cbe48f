/** @file Hand-made programs on the device: results, slots, tickets, profiling, memory accounting. */
import { afterAll, describe, expect, test } from "bun:test";
import { serialize } from "../../src/program/serialize.ts";
import { openDevice } from "../../src/runtime/index.ts";
import {
  accumulator,
  binary,
  f32Bits,
  floats,
  instruction,
  operand,
  program,
  ready,
  result,
} from "./hand_made.ts";

const devices = [1, 2, 3].map((threads) => openDevice({ threads, guarded: true }));
afterAll(() => {
  for (const device of devices) device.close();
});

describe.each(devices)("device %#", (device) => {
  test("fill, copy through strides, and map give the expected numbers", () => {
    const { loaded, buffers } = ready(
      device,
      program(
        [
          { kind: "arena", name: "arena", bytes: 256 },
          { kind: "output", name: "output", bytes: 48 },
        ],
        [
          instruction("fill", [result(0, [3, 4])], [f32Bits(2.5)]),
          instruction("iota", [result(0, [3, 4], 64)], [0]),
          // output[4, 3] = transpose of (2.5 * iota)
          binary(
            "mul",
            operand(0, [3, 4]),
            operand(0, [3, 4], { offsetBytes: 64 }),
            result(0, [3, 4], 128),
          ),
          instruction("copy", [
            operand(0, [4, 3], { strides: [1, 4], offsetBytes: 128 }),
            result(1, [4, 3]),
          ]),
        ],
      ),
    );
    device.waitSync(loaded.run(0));
    expect([...floats(buffers[1])]).toEqual(Array.from({ length: 12 }, (_, i) => 2.5 * (i % 3)));
    loaded.free();
  });

  test("state persists between runs, and each slot reads its own input", async () => {
    const { loaded, buffers } = ready(device, accumulator(5000));
    const [sum, first] = buffers;
    const second = device.alloc(20_000);
    loaded.bind(1, 1, second);
    first?.write(new Float32Array(5000).fill(1));
    second.write(new Float32Array(5000).fill(10));
    const tickets = [0, 1, 1, 0, 1].map((slot) => loaded.run(slot === 0 ? 0 : 1));
    for (const ticket of tickets) await device.wait(ticket);
    expect(new Set(floats(sum))).toEqual(new Set([32]));
    expect(loaded.info().runs).toBe(5);
    loaded.free();
  });

  test("time per instruction only while profiling", () => {
    const { loaded } = ready(device, accumulator(100_000));
    device.waitSync(loaded.run(0));
    expect([...loaded.profile()]).toEqual([0, 0]);
    loaded.setProfiling(true);
    device.waitSync(loaded.run(0));
    const times = loaded.profile();
    expect(times.length).toBe(2);
    expect(Math.min(...times)).toBeGreaterThan(1000);
    loaded.setProfiling(false);
    expect([...loaded.profile()]).toEqual([0, 0]);
    loaded.free();
  });
});

test("one thread and more give the same bits", () => {
  const count = 70_001;
  const outputs = devices.map((device) => {
    const { loaded, buffers } = ready(device, accumulator(count));
    buffers[1]?.write(Float32Array.from({ length: count }, (_, i) => Math.sin(i)));
    for (let i = 0; i < 3; i++) device.waitSync(loaded.run(0));
    return floats(buffers[2]);
  });
  expect(outputs[0]?.[1]).toBeCloseTo(3 * Math.sin(1), 5);
  expect(outputs[1]).toEqual(outputs[0] ?? new Float32Array());
  expect(outputs[2]).toEqual(outputs[0] ?? new Float32Array());
});

test("memory is accounted to the byte and given back", () => {
  using device = openDevice({ threads: 2 });
  const before = device.info;
  const buffers = [0, 1, 63, 100_003, 3_000_001].map((bytes) => device.alloc(bytes));
  expect(device.info.buffer_bytes).toBe(before.buffer_bytes + 3_100_068);
  for (const buffer of buffers) expect(buffer.map().every((byte) => byte === 0)).toBe(true);
  for (const buffer of buffers) buffer.free();
  expect(device.info.buffer_bytes).toBe(before.buffer_bytes);
  expect(device.info.buffer_count).toBe(0);
  const loaded = device.load(serialize({ ...accumulator(8), scratchBytesPerThread: 10_000 }));
  expect(device.info.scratch_bytes).toBe(2 * 10_048);
  expect(loaded.info()).toMatchObject({
    name: "hand_made",
    instructions: 2,
    operands: 5,
    elements_max: 8,
    buffers: accumulator(8).buffers,
  });
});

test("a device that is closed with runs in flight finishes them", () => {
  const device = openDevice({ threads: 2 });
  const { loaded } = ready(device, accumulator(300_000));
  for (let i = 0; i < 8; i++) loaded.run(0);
  device.close();
  expect(() => device.alloc(1)).toThrow("is not the handle of a device");
});
