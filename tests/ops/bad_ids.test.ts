/** @file Ids and starts are data: one outside its range fails the run with the node's scope, and nothing is overrun. */
import { describe, expect, test } from "bun:test";
import type { Attrs } from "../../src/ir/graph.ts";
import { Builder } from "../../src/ops/builder.ts";
import { get } from "../../src/ops/prim/get.ts";
import { input } from "../../src/ops/prim/input.ts";
import { type RefTensor, refTensor } from "../../src/ops/reference.ts";
import { opOf } from "../../src/ops/registry.ts";
import { compile } from "../../src/passes/compile.ts";
import { type Device, openDevice } from "../../src/runtime/index.ts";
import { targetOf } from "../../src/train/target.ts";
import { openTestGpu } from "../virtual_gpu/virtual_gpu.ts";
import { runNative } from "./native.ts";

const rows = refTensor([4, 8], "f32");
const ids = (...values: number[]) => refTensor([values.length], "i32", values);
const updates = refTensor([3, 8], "f32");
const huge = 2 ** 31 - 1;
const cache = refTensor([2, 1, 4, 8], "f32");
const token = refTensor([1, 1, 1, 8], "f32");
const slot = (value: number) => refTensor([1, 1], "i32", [value]);
const heads = { window: 0, scale: 1, compute: "f32" };

const cases: [string, readonly RefTensor[], Attrs][] = [
  ["gather", [rows, ids(0, 4, 1)], {}],
  ["gather", [rows, ids(0, -1, 1)], {}],
  ["gather", [rows, ids(huge, 0, 1)], {}],
  ["scatter_add", [rows, ids(0, 4, 1), updates], {}],
  ["scatter_add", [rows, ids(0, -huge, 1), updates], {}],
  ["embedding", [ids(0, 1, 4), rows], {}],
  ["embedding", [ids(-1, 1, 0), rows], {}],
  ["cross_entropy", [rows, ids(0, 1, 2, 8)], {}],
  ["cross_entropy", [rows, ids(0, 1, 2, -2)], {}],
  ["dynamic_slice", [rows, ids(2, 0)], { sizes: [3, 8] }],
  ["dynamic_slice", [rows, ids(0, -1)], { sizes: [3, 8] }],
  ["dynamic_update", [rows, updates, ids(2, 0)], {}],
  ["dynamic_update", [rows, updates, ids(huge, 0)], {}],
  ["cache_write", [cache, token, ids(2), slot(0)], {}],
  ["cache_write", [cache, token, ids(-1), slot(0)], {}],
  ["cache_write", [cache, token, ids(0), slot(4)], {}],
  ["attention_cached", [token, cache, cache, ids(2), slot(0)], heads],
  ["attention_cached", [token, cache, cache, ids(-huge), slot(0)], heads],
  ["attention_cached", [token, cache, cache, ids(0), slot(4)], heads],
];

const devices: [string, () => Device][] = [
  ["the CPU", () => openDevice({ threads: 2, guarded: true })],
  ["a GPU", openTestGpu],
];
describe.each(devices)("ids outside their range on %s", (_, open) => {
  test.each(cases)("%s %#", (name, operands, attrs) => {
    const b = new Builder("ids");
    const inputs = operands.map(({ shape, dtype }, i) =>
      input(b, { name: `${i}`, kind: "input", shape, dtype }),
    );
    const id = b.within("blocks.3", () => b.emit(opOf(name), inputs, attrs));
    b.node(id).types.forEach((_, i) => {
      b.output(`${i}`, get(b, id, i));
    });
    using device = open();
    const compiled = compile(b.finish(), targetOf(device));
    const values = new Map(operands.map((value, i) => [`${i}`, value]));
    const run = () => runNative(device, compiled, values);
    expect(run).toThrow(expect.objectContaining({ status: "index_out_of_range" }));
    // The failure stays: nothing after it on this device is trusted.
    expect(run).toThrow("blocks.3");
  });
});
