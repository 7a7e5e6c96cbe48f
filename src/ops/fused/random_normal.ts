/**
 * @file Normal numbers by Box and Muller's method, a function of key and element alone: initial values of parameters. Word 2 i
 * of the key's stream gives a radius and word 2 i + 1 an angle, together two numbers; nothing but the result is held in memory.
 */
import type { Id } from "../../ir/graph.ts";
import { elementCount, type Shape } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { expectSizes, fail, labelsOf } from "../check.ts";
import { defineOp, type Sample } from "../define.ts";
import { add } from "../prim/add.ts";
import { cast } from "../prim/cast.ts";
import { concat } from "../prim/concat.ts";
import { constant, constantLike } from "../prim/const.ts";
import { cos } from "../prim/cos.ts";
import { log } from "../prim/log.ts";
import { max } from "../prim/max.ts";
import { mul } from "../prim/mul.ts";
import { randomBits } from "../prim/random_bits.ts";
import { reshape } from "../prim/reshape.ts";
import { sin } from "../prim/sin.ts";
import { slice } from "../prim/slice.ts";
import { sqrt } from "../prim/sqrt.ts";
import { expectInputs } from "./expect.ts";
import { flat } from "./views.ts";

export type RandomNormalAttrs = {
  readonly shape: Shape;
  readonly key: readonly [number, number];
  readonly std: number;
};

/** Words of one counter. */
const WORDS = 4;

export const randomNormalOp = defineOp<RandomNormalAttrs>({
  name: "random_normal",
  tier: "fused",
  doc: "normal numbers of mean 0 by key and element",
  infer(inputs, { shape, key, std }) {
    expectInputs("random_normal", inputs, 0);
    expectSizes("random_normal", shape);
    if (!key.every((k) => k === k >>> 0) || key.length !== 2)
      fail("random_normal", "a key of two u32", JSON.stringify(key));
    if (!(std >= 0)) fail("random_normal", "a standard deviation >= 0", `${std}`);
    return [{ shape, dtype: "f32" }];
  },
  decompose(b, _, { shape, key, std }) {
    const count = elementCount(shape);
    const pairs = (Math.ceil(count / WORDS) * WORDS) / 2;
    const step = constant(b, 0, [], "u32");
    const sample = constant(b, 0, [1], "u32");
    const bits = randomBits(b, step, sample, { shape: [1, pairs * 2], key });
    const words = reshape(b, cast(b, bits, "f32"), [pairs, 2]);
    const scaled = (x: Id, factor: number) => mul(b, x, constantLike(b, x, factor));
    // Half-way points: the logarithm is finite.
    const uniform = scaled(add(b, words, constantLike(b, words, 0.5)), 2 ** -32);
    const squared = scaled(log(b, slice(b, uniform, [0, 0], [pairs, 1])), -2);
    // Rounding may put the uniform number above 1.
    const radius = scaled(sqrt(b, max(b, squared, constantLike(b, squared, 0))), std);
    const angle = scaled(slice(b, uniform, [0, 1], [pairs, 2]), 2 * Math.PI);
    const both = concat(b, [mul(b, radius, cos(b, angle)), mul(b, radius, sin(b, angle))], 1);
    const all = reshape(b, both, [pairs * 2]);
    return [reshape(b, slice(b, all, [0], [count]), shape)];
  },
  vjp: null,
  dims: (_, { shape }) => ({ labels: [labelsOf(shape)], whole: labelsOf(shape) }),
  kernels: {
    cpu: {
      lower(node, _, outputs) {
        const { key, std } = node.attrs as RandomNormalAttrs;
        const words = [...key, { f32: std }];
        return { opcode: "random_normal", words, outputs: outputs.map(flat) };
      },
    },
  },
  samples: [sample("scalar", []), sample("odd", [5, 7]), sample("blocks", [64, 300], 0.02)],
});

function sample(name: string, shape: Shape, std = 1): Sample<RandomNormalAttrs> {
  // A radius near zero is a small difference of rounded numbers.
  return { name, inputs: [], attrs: { shape, key: [0x12345678, 7], std }, tolerance: 1e-5 };
}

export const randomNormal = (b: Builder, attrs: RandomNormalAttrs): Id =>
  b.emit(randomNormalOp, [], attrs);
