/** @file Gradients of biases on a GPU: results of the products for the weights' gradients, in products of bf16. */
import { expect, test } from "bun:test";
import type { Precision } from "../../src/nn/trace.ts";
import { compile } from "../../src/passes/index.ts";
import type { Program } from "../../src/program/program.ts";
import { buildMicro } from "../../src/train/programs.ts";
import { modelOf, readFixture } from "../parity/fixture.ts";

const CPU = { kind: "cpu", level: "v4", threads: 1 } as const;
const GPU = { kind: "cuda", level: "sm_90", threads: 1 } as const;
const SUMS = 32;

async function micro(precision: Precision, accumulate: boolean, target: typeof CPU | typeof GPU) {
  const fixture = await readFixture("gpt2_style");
  const { rows, length } = fixture.config;
  const model = modelOf(fixture);
  const options = { batch: { rows, length }, precision, seed: 0, accumulate };
  const narrowing = precision === "bf16" ? "activations" : "operands";
  const { program } = compile(buildMicro(model, options), target, { verify: true, narrowing });
  const biases = model.parameters().filter(({ path, isMatrix }) => {
    return !isMatrix && path.endsWith(".bias") && !path.includes("norm");
  });
  return { program, biases: biases.map(({ path }) => `grad/${path}`) };
}

const withSums = ({ instructions }: Program) =>
  instructions.filter(({ opcode, words }) => opcode === "matmul" && ((words[0] ?? 0) & SUMS) !== 0);

test.each(["mixed", "bf16"] as const)("%s: every bias of a product", async (precision) => {
  const { program, biases } = await micro(precision, false, GPU);
  expect(biases.length).toBeGreaterThan(7);
  const written = withSums(program).map(({ operands }) => {
    const sums = operands.at(-1);
    expect(sums).toMatchObject({ dtype: "f32", output: true });
    return program.buffers[sums?.buffer ?? -1]?.name ?? "";
  });
  expect(written.sort()).toEqual(biases.sort());
});

test("gradients that are added to those before come from the same products", async () => {
  const { program, biases } = await micro("bf16", true, GPU);
  expect(withSums(program)).toHaveLength(biases.length);
  // The matrix is added to in the product, the vector after it.
  for (const { words, operands } of withSums(program)) {
    expect(words[0]).toBe(SUMS | 2);
    expect(program.buffers[operands.at(-1)?.buffer ?? -1]?.kind).toBe("arena");
  }
});

test("sums in f32, and all of a CPU's, stay sums", async () => {
  for (const [precision, target] of [
    ["f32", GPU],
    ["mixed", CPU],
  ] as const) {
    const { program, biases } = await micro(precision, false, target);
    expect(withSums(program)).toHaveLength(0);
    const sums = program.instructions.filter(({ opcode }) => opcode === "map_reduce");
    expect(sums.length).toBeGreaterThanOrEqual(biases.length);
  }
});
