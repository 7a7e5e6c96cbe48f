/**
 * @file The loader refuses a program that declares less scratch or workspace than its kernels need. The formulas live on
 * both sides, so shapes from every regime of theirs are compiled and loaded (nothing is run or allocated).
 */
import { afterAll, describe, expect, test } from "bun:test";
import type { Attrs, TensorType } from "../../src/ir/graph.ts";
import type { RefTensor } from "../../src/ops/reference.ts";
import { opOf } from "../../src/ops/registry.ts";
import { serialize } from "../../src/program/serialize.ts";
import { LEVELS, libraryInfo, openDevice } from "../../src/runtime/index.ts";
import { compileOne } from "./one_op.ts";

const f32 = (...shape: number[]): TensorType => ({ shape, dtype: "f32" });
const i32 = (...shape: number[]): TensorType => ({ shape, dtype: "i32" });

type Case = readonly [op: string, inputs: readonly TensorType[], attrs: Attrs];

function attentionCases(): Case[] {
  const lengths = [1, 6, 7, 63, 97, 193, 385, 1000, 4097, 30_000];
  const headCounts = [
    [1, 1],
    [12, 12],
    [6, 2],
    [32, 1],
    [70, 1],
  ] as const;
  return lengths.flatMap((length) =>
    headCounts.flatMap(([heads, groups]) =>
      [1, 9, 64, 200, 512].flatMap((dim): Case[] => {
        const attrs = { causal: true, window: 0, scale: 1, compute: "f32" };
        const query = f32(1, length, heads, dim);
        const key = f32(1, length, groups, dim);
        const lse = f32(1, heads, length);
        return [
          ["attention", [query, key, key], attrs],
          ["attention_grad", [query, key, key, query, lse, query], attrs],
          ...[1, length].map((tokens): Case => {
            const cache = f32(2, groups, length, dim);
            const places = [i32(1), i32(1, tokens)];
            const inputs = [f32(1, tokens, heads, dim), cache, cache, ...places];
            return ["attention_cached", inputs, { window: 0, scale: 1, compute: "f32" }];
          }),
        ];
      }),
    ),
  );
}

function rowCases(): Case[] {
  return [1, 31, 32, 33, 1000].flatMap((rows) =>
    [1, 17, 1024].flatMap((width): Case[] => {
      const [x, row, vector] = [f32(rows, width), f32(rows), f32(width)];
      return [
        ["layer_norm_grad", [x, vector, row, row, x], { hasBias: false }],
        ["layer_norm_grad", [x, vector, row, row, x, x], { hasBias: true }],
        ["rms_norm_grad", [x, vector, row, x], {}],
        ["grad_norm", [x, f32(65536, 3), f32()], {}],
      ];
    }),
  );
}

function lossCases(): Case[] {
  return [1, 31, 100, 2048].flatMap((rows) =>
    [1, 37, 768].flatMap((width) =>
      [2, 96, 50_304, 200_000].flatMap((vocab) =>
        ["f32", "bf16"].flatMap((compute): Case[] => {
          const inputs = [f32(rows, width), f32(vocab, width), i32(rows)];
          return [
            ["linear_cross_entropy", inputs, { compute }],
            ["linear_cross_entropy_grad", [...inputs, f32(rows)], { compute }],
            ["linear_cross_entropy_grad", [...inputs, f32(rows), f32(vocab, width)], { compute }],
          ];
        }),
      ),
    ),
  );
}

function ropeCases(): Case[] {
  return [2, 30, 32, 34, 256].map((rotaryDims) => [
    "rope",
    [f32(2, 40, 3, 256), i32(2, 40)],
    { theta: 10000, rotaryDims, inverse: false },
  ]);
}

const cases = [...attentionCases(), ...rowCases(), ...lossCases(), ...ropeCases()];
const { cpu_level, levels } = libraryInfo();
const usable = levels.filter(
  (level) => cpu_level !== "none" && LEVELS.indexOf(level) <= LEVELS.indexOf(cpu_level),
);

describe.each(usable)("level %s", (level) => {
  const threads = 2;
  const device = openDevice({ level, threads });
  afterAll(() => device.close());

  test("declared scratch and workspace are enough", () => {
    for (const [name, inputs, attrs] of cases) {
      const operands: RefTensor[] = inputs.map((type) => ({ ...type, data: new Float64Array() }));
      const target = { kind: "cpu", level, threads } as const;
      const { program } = compileOne(opOf(name), operands, attrs, target);
      const shapes = inputs.map(({ shape }) => `[${shape.join(",")}]`).join(" ");
      expect(() => device.load(serialize(program)).free(), `${name} ${shapes}`).not.toThrow();
    }
  });
});
