/** @file random_bits: Philox u32, a function of key, step, global sample index and element alone. */
import type { Id } from "../../ir/graph.ts";
import { philox4x32 } from "../../util/prng.ts";
import { elementCount, type Shape } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { at, expectDtype, expectShape, expectSizes, fail, labelsOf, two } from "../check.ts";
import { defineOp } from "../define.ts";
import { refTensor } from "../reference.ts";

/** `shape` begins with the number of samples. */
export type RandomBitsAttrs = {
  readonly shape: Shape;
  readonly key: readonly [number, number];
};

export const randomBitsOp = defineOp<RandomBitsAttrs>({
  name: "random_bits",
  tier: "prim",
  doc: "Random u32 by key, step, sample and element.",
  infer(inputs, { shape, key }) {
    const [step, sample] = two("random_bits", inputs);
    expectSizes("random_bits", shape);
    if (shape.length === 0) fail("random_bits", "a shape that begins with the samples", "[]");
    expectDtype("random_bits", "step", step, ["u32"]);
    expectShape("random_bits", "step", step, []);
    expectDtype("random_bits", "sample", sample, ["u32"]);
    expectShape("random_bits", "sample", sample, [at(shape, 0)]);
    if (key.length !== 2 || !key.every((k) => k === k >>> 0)) {
      fail("random_bits", "a key of two u32", JSON.stringify(key));
    }
    return [{ shape, dtype: "u32" }];
  },
  reference(inputs, { shape, key }) {
    const step = at(at(inputs, 0).data, 0);
    const samples = at(inputs, 1).data;
    const out = refTensor(shape, "u32");
    const each = elementCount(shape.slice(1));
    const words = new Uint32Array(4);
    for (let s = 0; s < samples.length; s++) {
      for (let e = 0; e < each; e++) {
        if (e % 4 === 0) philox4x32([e / 4, 0, at(samples, s), step], key, words);
        out.data[s * each + e] = at(words, e % 4);
      }
    }
    return [out];
  },
  vjp: null,
  dims(_, { shape }) {
    const labels = labelsOf(shape);
    return { labels: [[], [at(labels, 0)], labels], whole: labels.slice(1) };
  },
  kernels: {
    cpu: {
      lower: (node) => ({ opcode: "random_bits", words: (node.attrs as RandomBitsAttrs).key }),
    },
  },
  samples: [[3], [4, 5, 7], [2, 1024], [70, 513]].map((shape) => ({
    name: `[${shape.join(",")}]`,
    inputs: [
      { shape: [], dtype: "u32", fill: "ids", max: 1000000 },
      { shape: shape.slice(0, 1), dtype: "u32", fill: "ids", max: 1000000 },
    ],
    attrs: { shape, key: [0x12345678, 0xfedcba98] },
  })),
});

export const randomBits = (b: Builder, step: Id, sample: Id, attrs: RandomBitsAttrs): Id =>
  b.emit(randomBitsOp, [step, sample], attrs);
