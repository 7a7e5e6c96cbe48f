/** @file Narrowing for a GPU: products in bf16 read bf16 from memory, a weight is cast once, and the plan counts it. */
import { describe, expect, test } from "bun:test";
import type { Precision } from "../../src/nn/trace.ts";
import { type Compiled, compile } from "../../src/passes/index.ts";
import { buildMicro } from "../../src/train/programs.ts";
import { modelOf, readFixture, VARIANTS } from "../parity/fixture.ts";

const GPU = { kind: "cuda", level: "sm_90", threads: 1 } as const;

async function micro(name: string, precision: Precision, accumulate = false): Promise<Compiled> {
  const fixture = await readFixture(name);
  const { rows, length } = fixture.config;
  const options = { batch: { rows, length }, precision, seed: 0, accumulate };
  return compile(buildMicro(modelOf(fixture), options), GPU, { verify: true });
}

const isCast = (words: readonly number[]) => words.join() === "1,1,0,0,0";

describe.each([...VARIANTS])("%s", (name) => {
  test("products in bf16 read bf16", async () => {
    for (const accumulate of [false, true]) {
      const { program } = await micro(name, "mixed", accumulate);
      const products = program.instructions.filter(({ opcode }) => opcode === "matmul");
      expect(products.length).toBeGreaterThan(20);
      for (const { operands, words, scope } of products) {
        expect(words[1]).toBe(1);
        const dtypes = operands.slice(0, 2).map(({ dtype }) => dtype);
        expect(dtypes, scope).toEqual(["bf16", "bf16"]);
      }
    }
  });

  test("a matrix is cast once for forward and backward, everything else stays as it is", async () => {
    const { program, plan } = await micro(name, "mixed");
    const casts = program.instructions.filter(
      ({ opcode, words }) => opcode === "map" && isCast(words),
    );
    const states = casts.flatMap(({ operands }) => {
      const buffer = program.buffers[operands[0]?.buffer ?? -1];
      return buffer?.kind === "state" ? [buffer.name] : [];
    });
    expect(new Set(states).size).toBe(states.length);
    const fixture = await readFixture(name);
    const matrices = modelOf(fixture)
      .parameters()
      .filter(({ path, isMatrix }) => isMatrix && path.startsWith("blocks."));
    const paths = matrices.map(({ path }) => `param/${path}`);
    expect(states.filter((state) => state.startsWith("param/blocks.")).sort()).toEqual(
      paths.sort(),
    );
    const bytes = matrices.reduce((sum, { axes }) => sum + axes.reduce((n, a) => n * a.size, 2), 0);
    expect(plan.arenaLowerBoundBytes).toBeGreaterThan(bytes);
    for (const { opcode, operands } of program.instructions) {
      const gradient = operands.find(
        ({ buffer, output }) => output && program.buffers[buffer]?.name.startsWith("grad/"),
      );
      if (gradient !== undefined) expect(gradient.dtype, opcode).toBe("f32");
    }
  });

  test("f32 is left alone", async () => {
    const { program } = await micro(name, "f32");
    const dtypes = program.instructions.flatMap(({ operands }) => operands.map((o) => o.dtype));
    expect(dtypes).not.toContain("bf16");
  });
});
