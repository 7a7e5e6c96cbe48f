/**
 * @file Kernels that read four elements at a time, at the sizes where they change their ways, on operands that do and that
 * do not begin where four elements can be read at once: the f64 reference's numbers.
 */
import { afterAll, describe, test } from "bun:test";
import type { Graph } from "../../src/ir/graph.ts";
import { Builder } from "../../src/ops/builder.ts";
import type { AnyOp, Sample, SampleInput } from "../../src/ops/define.ts";
import { get } from "../../src/ops/prim/get.ts";
import { input } from "../../src/ops/prim/input.ts";
import { reshape } from "../../src/ops/prim/reshape.ts";
import { slice } from "../../src/ops/prim/slice.ts";
import { type RefTensor, refTensor } from "../../src/ops/reference.ts";
import { opOf } from "../../src/ops/registry.ts";
import { compile } from "../../src/passes/compile.ts";
import { targetOf } from "../../src/train/target.ts";
import { elementCount } from "../../src/util/shapes.ts";
import { expectResults } from "../ops/kernel_cases.ts";
import { runNative } from "../ops/native.ts";
import { named } from "../ops/one_op.ts";
import { sampleTensors } from "../ops/values.ts";
import { openTestGpu } from "./virtual_gpu.ts";

const device = openTestGpu();
afterAll(() => device.close());

/** The op on operands that begin `skip` elements into their inputs. */
function shiftedOp(op: AnyOp, operands: readonly RefTensor[], sample: Sample, skip: number): Graph {
  const b = new Builder(op.name);
  const ids = operands.map(({ shape, dtype }, i) => {
    const n = elementCount(shape);
    const all = input(b, { name: `${i}`, kind: "input", shape: [n + skip], dtype });
    return reshape(b, slice(b, all, [skip], [n + skip]), shape);
  });
  const id = b.emit(op, ids, sample.attrs);
  b.node(id).types.forEach((_, i) => {
    b.output(`${i}`, get(b, id, i));
  });
  return b.finish();
}

function shifted({ shape, dtype, data }: RefTensor, skip: number): RefTensor {
  const out = refTensor([elementCount(shape) + skip], dtype);
  out.data.set(data, skip);
  return out;
}

function check(name: string, sample: Sample): void {
  const op = opOf(name);
  const operands = sampleTensors(op, sample);
  for (const skip of [0, 1]) {
    const graph = shiftedOp(op, operands, sample, skip);
    const inputs = named(operands.map((operand) => shifted(operand, skip)));
    const { values } = runNative(device, compile(graph, targetOf(device)), inputs);
    expectResults(op, sample, operands, values);
  }
}

type Storage = "f32" | "bf16";
const full = (shape: readonly number[], dtype: Storage = "f32"): SampleInput => ({ shape, dtype });
const positive = (shape: readonly number[]): SampleInput => ({ ...full(shape), fill: "positive" });

/** Rows and columns on both sides of every limit of cuda/norm.h, cuda/norm_grad.h and cuda/logits.h. */
const ROWS: [number, number, Storage][] = [
  [9, 4, "f32"],
  [9, 6, "bf16"],
  [34, 256, "bf16"],
  [3, 260, "f32"],
  [34, 772, "bf16"],
  [2, 1024, "f32"],
  [2, 1028, "bf16"],
  [1, 2052, "f32"],
  [1, 8192, "bf16"],
  [1, 8196, "f32"],
];

describe.each(ROWS)("%d rows of %d, %s", (m, c, dtype) => {
  // Means that are not differences of large numbers.
  const x: SampleInput = { shape: [m, c], dtype, fill: "positive" };
  const vector = full([c]);
  const row = full([m]);

  test("layer_norm", () => {
    check("layer_norm", { name: "", inputs: [x, vector, vector], attrs: { eps: 1e-5 } });
    check("layer_norm", { name: "", inputs: [x, vector], attrs: { eps: 1e-5, out: "bf16" } });
  });

  test("rms_norm", () => {
    check("rms_norm", { name: "", inputs: [x, vector], attrs: { eps: 1e-6 } });
  });

  test("layer_norm_grad", () => {
    const inputs = [x, vector, row, positive([m]), full([m, c]), full([m, c])];
    check("layer_norm_grad", { name: "", inputs, attrs: { hasBias: true } });
    check("layer_norm_grad", { name: "", inputs: inputs.slice(0, 5), attrs: { hasBias: false } });
  });

  test("rms_norm_grad", () => {
    const inputs = [x, vector, positive([m]), full([m, c])];
    check("rms_norm_grad", { name: "", inputs, attrs: {} });
    check("rms_norm_grad", { name: "", inputs: [...inputs, full([m, c])], attrs: {} });
  });
});
