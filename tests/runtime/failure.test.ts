/** @file What goes wrong says so: bad data, a poisoned timeline, misuse while a run is in flight. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { serialize } from "../../src/program/serialize.ts";
import { type Device, NativeError, openDevice } from "../../src/runtime/index.ts";
import { accumulator, floats, instruction, lookup, program, ready, result } from "./hand_made.ts";

let device: Device;
beforeEach(() => {
  device = openDevice({ threads: 2, guarded: true });
});
afterEach(() => device?.close());

function errorOf(action: () => unknown): NativeError {
  try {
    action();
  } catch (error) {
    if (error instanceof NativeError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

test("an index out of range names node and position, and poisons the timeline", async () => {
  const { loaded, buffers } = ready(device, lookup);
  const targets = new Int32Array(16).fill(3);
  buffers[0]?.write(targets);
  const good = loaded.run(0);
  device.waitSync(good);
  expect(floats(buffers[2])[32]).toBe(1);
  buffers[2]?.fill(0);

  targets[11] = 4;
  buffers[0]?.write(targets);
  const bad = loaded.run(0);
  const error = errorOf(() => device.waitSync(bad));
  expect(error.status).toBe("index_out_of_range");
  expect(error.where).toEqual({
    program: "hand_made",
    kernel: "cross_entropy",
    scope: "test.cross_entropy",
    instruction: 0,
    node: 41,
    position: 11,
    value: 4,
  });
  expect(error.message).toBe(
    "[cross_entropy] index out of range: value 4 at position 11 (program hand_made, node 41 test.cross_entropy)",
  );
  // The instruction behind it did not run.
  expect(floats(buffers[2])[32]).toBe(0);
  expect(device.poll(good)).toBe(true);
  expect(errorOf(() => loaded.run(0)).where?.position).toBe(11);
  expect(device.wait(bad)).rejects.toThrow("value 4 at position 11");
});

test("runs that were queued behind a failure are skipped and report it", () => {
  const failing = ready(device, lookup);
  const counting = ready(device, accumulator(64));
  counting.buffers[1]?.write(new Float32Array(64).fill(1));
  failing.buffers[0]?.write(new Int32Array(16).fill(-2));
  const before = counting.loaded.run(0);
  const tickets = [failing.loaded.run(0)];
  try {
    for (let i = 0; i < 4; i++) tickets.push(counting.loaded.run(0));
  } catch (error) {
    // The failure may be known before all are queued.
    expect((error as NativeError).status).toBe("index_out_of_range");
  }
  for (const ticket of tickets)
    expect(errorOf(() => device.waitSync(ticket)).where?.value).toBe(-2);
  expect(device.poll(before)).toBe(true);
  expect(floats(counting.buffers[0])[0]).toBe(1);
});

test("what a run in flight uses cannot be touched, freed or bound", () => {
  const { loaded, buffers } = ready(device, accumulator(4_000_000));
  const spare = device.alloc(16_000_000);
  let ticket = 0;
  for (let i = 0; i < 10; i++) ticket = loaded.run(0);
  const actions = [
    () => buffers[1]?.write(new Float32Array(1)),
    () => buffers[0]?.read(new Float32Array(1)),
    () => buffers[2]?.free(),
    () => loaded.free(),
    () => loaded.bind(1, 0, spare),
    () => loaded.profile(),
  ];
  for (const action of actions) expect(errorOf(action).status).toBe("busy");
  spare.write(new Float32Array(1));
  device.waitSync(ticket);
  buffers[1]?.write(new Float32Array(1));
});

test("the queue is finite and says so", () => {
  const { loaded } = ready(device, accumulator(4_000_000));
  const error = errorOf(() => {
    for (let i = 0; i < 100; i++) loaded.run(0);
  });
  expect(error.status).toBe("busy");
});

test("bindings are checked", () => {
  const of = accumulator(64);
  const loaded = device.load(serialize(of));
  expect(errorOf(() => loaded.run(0)).message).toBe(
    "program hand_made slot 0: nothing is bound to sum",
  );
  const small = device.alloc(255);
  expect(errorOf(() => loaded.bind(0, "both", small)).status).toBe("buffer_too_small");
  const [one, two, three] = [device.alloc(256), device.alloc(256), device.alloc(256)];
  loaded.bind(0, "both", one);
  expect(errorOf(() => loaded.bind(1, 0, one)).message).toContain("cannot be both input and sum");
  expect(errorOf(() => loaded.bind(3, 0, one)).status).toBe("invalid_argument");
  loaded.bind(1, "both", two);
  loaded.bind(2, "both", three);
  device.waitSync(loaded.run(1));
  two.free();
  expect(errorOf(() => loaded.run(1)).message).toContain("nothing is bound to input any more");
  using other = openDevice({ threads: 1 });
  expect(errorOf(() => loaded.bind(1, 0, other.alloc(256))).message).toContain("another device");
});

test("a ticket that was never given out is refused", () => {
  for (const ticket of [0, -1, 1, 2 ** 40]) {
    expect(errorOf(() => device.waitSync(ticket)).status).toBe("invalid_argument");
  }
});

test("a program that cannot be right is refused with the instruction", () => {
  const arena = [{ kind: "arena", name: "arena", bytes: 64 }] as const;
  const fill = (of: Parameters<typeof result>) =>
    serialize(program(arena, [instruction("fill", [result(...of)], [0])]));
  const messages = [
    fill([0, [17]]),
    fill([0, [16], 4]),
    fill([0, [4], 2]),
    fill([1, [4]]),
    serialize(program(arena, [instruction("fill", [], [0])])),
    fill([0, [4]]).subarray(0, 100),
  ].map((bytes) => errorOf(() => device.load(bytes)).message);
  expect(messages).toEqual([
    "invalid program: instruction 0 (fill) operand 0: element 16 at offset 0 lies outside its buffer of 64 bytes",
    "invalid program: instruction 0 (fill) operand 0: element 15 at offset 4 lies outside its buffer of 64 bytes",
    "invalid program: instruction 0 (fill) operand 0: offset 2 is not aligned",
    "invalid program: instruction 0 (fill) operand 0: buffer 1 does not exist",
    "invalid program: instruction 0 (fill) has 0 operands",
    expect.stringMatching(/^invalid program: the header says \d+ bytes, there are 100$/),
  ]);
});
