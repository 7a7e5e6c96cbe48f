/** @file bf16 in a GPU's memory: random graphs, products' saved values, chunks of the loss, decoding; a CPU refuses the precision. */
import { afterAll, describe, expect, test } from "bun:test";
import type { Precision } from "../../src/nn/trace.ts";
import { at } from "../../src/ops/check.ts";
import type { Sample } from "../../src/ops/define.ts";
import { lossChunk, lossScratch } from "../../src/ops/fused/workspace.ts";
import { interpret } from "../../src/ops/interpreter.ts";
import { type MatmulAttrs, PLAIN_MATMUL } from "../../src/ops/lowered/matmul.ts";
import { opOf } from "../../src/ops/registry.ts";
import { type Compiled, compile } from "../../src/passes/compile.ts";
import { precisionOfUse, resolvePrecision } from "../../src/train/precision.ts";
import { targetOf } from "../../src/train/target.ts";
import { decoderFor, fullLogits, relativeError, someTokens } from "../generate/models_for_tests.ts";
import { tinyConfig, tinyGpt } from "../nn/models_for_tests.ts";
import { norm } from "../ops/gradients.ts";
import { expectResults } from "../ops/kernel_cases.ts";
import { runNative } from "../ops/native.ts";
import { compileOne, named } from "../ops/one_op.ts";
import { randomGraph } from "../ops/random_graphs.ts";
import { sampleTensor, sampleTensors } from "../ops/values.ts";
import { openTestGpu } from "./virtual_gpu.ts";

const device = openTestGpu();
const target = targetOf(device);
afterAll(() => device.close());

/** Half a unit in the last place, relative; a value passes through many roundings. */
const ROUNDING = 2 ** -9;
const LARGEST = 32 * ROUNDING;

test.each(Array.from({ length: 40 }, (_, seed) => seed))("random graph %d", (seed) => {
  const graph = randomGraph(seed, "bf16");
  const shape = at(at(graph.nodes, 0).types, 0).shape;
  const values = new Map(
    ["0", "1"].map((name) => [name, sampleTensor({ shape, dtype: "f32" }, `${seed} ${name}`)]),
  );
  const expected = interpret(graph, values);
  for (const narrowing of ["operands", "activations"] as const) {
    const compiled = compile(graph, target, { narrowing, verify: true });
    const got = runNative(device, compiled, values).values;
    for (const [name, { data }] of expected) {
      const found = got.get(name)?.data;
      const error = norm(data.map((x, i) => x - (found?.[i] ?? Number.NaN)));
      expect(error / (norm(data) + 1e-6), `${narrowing} ${name}`).toBeLessThan(LARGEST);
    }
  }
});

const products: Record<string, Partial<MatmulAttrs>> = {
  "value before gelu kept": { bias: true, activation: "gelu_tanh", saveAux: true },
  "derivative of gelu": { activation: "gelu_tanh", activationGrad: true },
  residual: { bias: true, residual: true },
};

test.each(Object.entries(products))("product in bf16: %s", (name, own) => {
  const attrs: MatmulAttrs = { ...PLAIN_MATMUL, compute: "bf16", out: "bf16", ...own };
  const half = (...shape: number[]) => ({ shape, dtype: "bf16" }) as const;
  const inputs = [
    ...[half(2, 7, 19), half(2, 19, 33)],
    ...(attrs.bias ? [{ shape: [33], dtype: "f32" } as const] : []),
    ...(attrs.residual || attrs.activationGrad ? [half(2, 7, 33)] : []),
  ];
  const full = attrs.saveAux ? { ...attrs, aux: "bf16" as const } : attrs;
  const op = opOf("matmul");
  const sample: Sample = { name, inputs, attrs: full };
  const operands = sampleTensors(op, sample);
  const { values } = runNative(device, compileOne(op, operands, full, target), named(operands));
  expectResults(op, sample, operands, values);
});

/** The same program with chunks of `rows` rows. */
function inChunks(compiled: Compiled, rows: number): Compiled {
  const instructions = compiled.program.instructions.map((each) =>
    each.opcode.startsWith("linear_cross_entropy")
      ? { ...each, words: each.words.map((word, i) => (i === 1 ? rows : word)) }
      : each,
  );
  return { ...compiled, program: { ...compiled.program, instructions } };
}

/** Rows that a whole block shares, of a length that is no multiple of four, one of them without a target. */
function wideLoss(compute: "f32" | "bf16", grad: boolean): Sample {
  const rows = 5;
  const targets = [1029, 0, -1, 1028, 517];
  const inputs = [
    { shape: [rows, 8], dtype: compute },
    { shape: [1030, 8], dtype: compute },
    { shape: [rows], dtype: "i32", values: targets } as const,
    ...(grad ? [{ shape: [rows], dtype: "f32" } as const] : []),
  ];
  const tolerance = compute === "bf16" ? { tolerance: 2e-2 } : {};
  return { name: `wide ${compute}`, inputs, attrs: { compute }, ...tolerance };
}

describe.each(["linear_cross_entropy", "linear_cross_entropy_grad"])("%s in chunks", (name) => {
  const op = opOf(name);
  const wide = (["f32", "bf16"] as const).map((compute) => wideLoss(compute, /grad/.test(name)));
  const samples = [...op.samples, ...wide];
  test.each(samples.map((sample) => [sample.name, sample] as const))("%s", (_, sample) => {
    const operands = sampleTensors(op, sample);
    const compiled = compileOne(op, operands, sample.attrs, target);
    for (const rows of [1, 4]) {
      const { values } = runNative(device, inChunks(compiled, rows), named(operands));
      expectResults(op, sample, operands, values);
    }
  });
});

test("chunks of the loss at GPT-2's size", () => {
  const sizes = { m: 65536, c: 768, v: 50257, compute: "bf16" } as const;
  expect(lossChunk(sizes, "cuda")).toBe(8192);
  expect(lossScratch(sizes, true, "cuda")).toEqual({ workspaceBytes: 8192 * 50264 * 2 });
  expect(lossChunk({ ...sizes, compute: "f32" }, "cuda")).toBe(4096);
  expect(lossChunk({ ...sizes, m: 100 }, "cuda")).toBe(100);
  expect(lossChunk({ ...sizes, v: 10 ** 9 }, "cuda")).toBe(128);
});

test.each(["mixed", "bf16"] as const)("a cache in %s", async (precision: Precision) => {
  const model = tinyGpt("architecture.n_embd=32", "architecture.block_size=24");
  const tokens = someTokens(24, model.vocabSize);
  const full = await fullLogits(device, model, tokens, "f32");
  const decoder = decoderFor(device, model, { rows: 1, places: 24, precision });
  for (let start = 0, count = 16; start < 24; start += count, count = 1) {
    const piece = { row: 0, start, tokens: tokens.slice(start, start + count) };
    const [logits = new Float32Array(0)] = await decoder.run([piece]);
    expect(relativeError(logits, full[start + count - 1] ?? logits)).toBeLessThan(3e-2);
  }
  decoder.free();
});

test("a CPU does not train in bf16, and uses what was trained so", () => {
  const config = tinyConfig("training.precision=bf16");
  const cpu = { kind: "cpu", level: "v4", threads: 2 } as const;
  expect(resolvePrecision(config, target)).toBe("bf16");
  expect(resolvePrecision(tinyConfig("training.precision=auto"), target)).toBe("mixed");
  expect(() => resolvePrecision(config, cpu)).toThrow("bf16 needs a GPU");
  expect(precisionOfUse(config, cpu)).toBe("mixed");
});
