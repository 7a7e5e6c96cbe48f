/** @file Graphs: a program's first run is none, later ones are; a capture that fails is ended and told as what it was. */
import { dlopen } from "bun:ffi";
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import type { Device } from "../../src/runtime/index.ts";
import { openGpu } from "../../src/runtime/index.ts";
import {
  binary,
  f32Bits,
  floats,
  instruction,
  operand,
  program,
  ready,
  result,
} from "../runtime/hand_made.ts";
import { NOTHING, StandIn } from "./stand_in.ts";
import { CUBLASLT, DRIVER, untuned } from "./virtual_gpu.ts";

setDefaultTimeout(60_000);
const standIn = new StandIn();
const { theseus_virtual_matmuls: matmuls } = dlopen(CUBLASLT, {
  theseus_virtual_matmuls: { args: [], returns: "u64" },
}).symbols;
afterEach(() => {
  standIn.set("FAIL_MATMUL", 0);
  expect(standIn.held()).toEqual(NOTHING);
});

const open = (): Device => untuned(() => openGpu(0, { driver: DRIVER }));

const matrix = (buffer: number, transposed = false) =>
  operand(buffer, [1, 16, 16], transposed ? { strides: [256, 1, 16] } : {});
const words = [0, 0, 0, f32Bits(1)];
const out = (buffer: number) => result(buffer, [1, 16, 16]);

/** y = x x, z = y^T x, w = y + z. */
const twoProducts = program(
  ["x", "y", "z", "w"].map((name) => ({ kind: "state" as const, name, bytes: 1024 })),
  [
    instruction("matmul", [matrix(0), matrix(0), out(1)], words, 1),
    instruction("matmul", [matrix(1, true), matrix(0), out(2)], words, 2),
    binary("add", operand(1, [256]), operand(2, [256]), result(3, [256]), 3),
  ],
);

test("the first run is no graph, later ones of both slots are, with the same bits", async () => {
  const device = open();
  const { loaded, buffers } = ready(device, twoProducts);
  buffers[0]?.write(Float32Array.from({ length: 256 }, (_, i) => Math.sin(i) / 3));
  const results: string[] = [];
  const graphs: number[] = [];
  for (const slot of [0, 0, 1, 1, 0] as const) {
    buffers[3]?.fill(0);
    await device.wait(loaded.run(slot));
    results.push(Buffer.from(floats(buffers[3]).buffer).toString("hex"));
    graphs.push(standIn.held().graphs);
  }
  expect(graphs).toEqual([0, 1, 2, 2, 2]);
  expect(new Set(results).size).toBe(1);
  expect(floats(buffers[3]).some((x) => x !== 0)).toBe(true);
  device.close();
});

test("a capture that fails is ended, and its first failure is told", async () => {
  const device = open();
  const { loaded } = ready(device, twoProducts);
  await device.wait(loaded.run(0));
  standIn.set("FAIL_MATMUL", Number(matmuls()) + 2);
  const message =
    /^program hand_made failed on GPU 0 at node 2, kernel matmul, test.matmul: .*EXECUTION_FAILED/;
  expect(device.wait(loaded.run(0))).rejects.toThrow(message);
  // The stand-in counts a stream that still captures as never given back.
  device.close();
});
