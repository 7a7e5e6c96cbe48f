/**
 * @file Speed of the kernels of a GPU beside what it can do, measured in the same call: GB/s beside a copy, TFLOP/s of products and
 * attention beside a large square product. Time is the device's own, per instruction. `--json` keeps the figures.
 *
 *     bun bench/kernels_cuda.ts --device cuda [--shapes gpt2|tiny] [--runs 20] [--json]
 */
import { parseArgs } from "node:util";
import { compile } from "../src/passes/index.ts";
import { serialize } from "../src/program/serialize.ts";
import { chooseDevice, type Device, type DeviceBuffer } from "../src/runtime/index.ts";
import { targetOf } from "../src/train/target.ts";
import { dtypeBytes } from "../src/util/dtype.ts";
import { elementCount } from "../src/util/shapes.ts";
import {
  type Case,
  ceilings,
  GPT2,
  memoryBound,
  productsAndAttention,
  TINY,
} from "./kernel_cases.ts";
import { keepFigures, originOf } from "./results.ts";

const { values } = parseArgs({
  options: {
    device: { type: "string", default: "cuda" },
    shapes: { type: "string", default: "gpt2" },
    runs: { type: "string", default: "20" },
    json: { type: "boolean", default: false },
  },
});
if (!/^cuda(:\d+)?$/.test(values.device)) throw new Error("--device expected cuda, cuda:N");
const all = { gpt2: GPT2, tiny: TINY };
const shapes = values.shapes === "gpt2" || values.shapes === "tiny" ? all[values.shapes] : null;
if (shapes === null) throw new Error("--shapes expected gpt2, tiny");
const runs = Number(values.runs);

type Slot = { readonly shape: readonly number[]; readonly dtype: Parameters<typeof dtypeBytes>[0] };
const bytesOf = (slots: readonly Slot[]): number =>
  slots.reduce((sum, { shape, dtype }) => sum + elementCount(shape) * dtypeBytes(dtype), 0);

/** Numbers as random as weights: products of zeros would run at clocks that no training sees. Ids are below 64. */
function fill(buffer: DeviceBuffer, offset: number, slot: Slot): void {
  const n = elementCount(slot.shape);
  const piece = Math.min(n, 1 << 20);
  const floats = Float32Array.from({ length: piece }, () => Math.random() + Math.random() - 1);
  const bits = new Uint32Array(floats.buffer);
  const half = slot.dtype === "bf16" ? Uint16Array.from(bits, (word) => word >>> 16) : floats;
  const ids = slot.dtype === "u32" ? Uint32Array.from(floats, (x) => Math.abs(x) * 60) : half;
  const size = dtypeBytes(slot.dtype);
  for (let at = 0; at < n; at += piece)
    buffer.write(ids.subarray(0, Math.min(piece, n - at)), offset + at * size);
}

/** Nanoseconds of the device in one run. */
function nanoseconds(device: Device, { graph }: Case): { ns: number; bytes: number } {
  const { program } = compile(graph, targetOf(device));
  const buffers = program.buffers.map(({ bytes }) => device.alloc(bytes));
  const loaded = device.load(serialize(program));
  try {
    buffers.forEach((buffer, i) => {
      loaded.bind(i, "both", buffer);
    });
    const inputs = buffers[program.buffers.findIndex(({ kind }) => kind === "input")];
    if (inputs !== undefined)
      for (const slot of program.inputs) fill(inputs, slot.offsetBytes, slot);
    for (let i = 0; i < 3; i++) device.waitSync(loaded.run(0));
    loaded.setProfiling(true);
    for (let i = 0; i < runs; i++) device.waitSync(loaded.run(0));
    const ns = loaded.profile().reduce((sum, each) => sum + each, 0) / runs;
    return { ns, bytes: bytesOf(program.inputs) + bytesOf(program.outputs) };
  } finally {
    loaded.free();
    for (const buffer of buffers) buffer.free();
  }
}

const rounded = (x: number): number => Number(x.toPrecision(4));

const device = chooseDevice({ device: values.device, threads: null });
const origin = originOf(device);
console.error(`${origin.device}, driver ${origin.driver}${origin.virtual ? ": VIRTUAL" : ""}`);
const limits = ceilings(shapes);
const copied = nanoseconds(device, limits.copy);
const copyGBs = copied.bytes / copied.ns;
const squareTflops = (limits.product.flops ?? 0) / nanoseconds(device, limits.product).ns / 1e3;
console.error(`copy ${copyGBs.toFixed(0)} GB/s, square product ${squareTflops.toFixed(1)} TFLOP/s`);

const kernels: Record<string, object> = {};
for (const each of [...memoryBound(shapes), ...productsAndAttention(shapes)]) {
  const { ns, bytes } = nanoseconds(device, each);
  const rate = each.flops === undefined ? bytes / ns : each.flops / ns / 1e3;
  const unit = each.flops === undefined ? "GB/s" : "TFLOP/s";
  const share = rate / (each.flops === undefined ? copyGBs : squareTflops);
  const figures = { us: rounded(ns / 1e3), [unit]: rounded(rate), share: rounded(share) };
  kernels[each.name] = figures;
  const text = `${rate.toFixed(1).padStart(8)} ${unit.padEnd(7)} ${(share * 100).toFixed(0)} %`;
  console.error(`${each.name.padEnd(30)} ${(ns / 1e3).toFixed(1).padStart(9)} us ${text}`);
}
const figures = {
  ...{ bench: "kernels", shapes: values.shapes, runs, ...origin },
  ...{ "copy_GB/s": rounded(copyGBs), "square_TFLOP/s": rounded(squareTflops), kernels },
};
console.log(JSON.stringify(figures));
if (values.json) keepFigures(figures);
device.close();
