/**
 * @file map: elementwise bytecode over inputs of one shape (broadcast inputs are views of stride 0) with up to four
 * results, each of its own dtype. What the fuser makes of chains of elementwise ops.
 */
import type { DType } from "../../util/dtype.ts";
import { elementCount, sameShape, shapeText } from "../../util/shapes.ts";
import { at, fail } from "../check.ts";
import { defineOp, type Node } from "../define.ts";
import { dimGroups, joinDims } from "./join_dims.ts";
import { checkCode, codeWords, type MapCode, runCode } from "./map_code.ts";

export type MapAttrs = MapCode & {
  readonly shape: readonly number[];
  /** One per result. */
  readonly dtypes: readonly DType[];
};

/** A result may overwrite any input of the same bytes: each block is read before it is written. */
function inPlace(node: Node): (readonly [number, number])[] {
  const pairs: (readonly [number, number])[] = [];
  for (let result = 0; result < node.types.length; result++) {
    for (let input = 0; input < node.inputs.length; input++) pairs.push([result, input]);
  }
  return pairs;
}

export const mapLoweredOp = defineOp<MapAttrs>({
  name: "map",
  tier: "lowered",
  doc: "A chain of elementwise operations as one kernel.",
  infer(inputs, attrs) {
    checkCode("map", inputs.length, attrs);
    for (const { shape } of inputs) {
      if (!sameShape(shape, attrs.shape)) {
        fail("map", `inputs ${shapeText(attrs.shape)}`, shapeText(shape));
      }
    }
    if (attrs.dtypes.length !== attrs.results.length) {
      fail("map", "one dtype per result", `${attrs.dtypes.length} for ${attrs.results.length}`);
    }
    return attrs.dtypes.map((dtype) => ({ shape: attrs.shape, dtype }));
  },
  reference(inputs, attrs) {
    const count = elementCount(attrs.shape);
    return runCode(attrs, inputs, count, attrs.dtypes).map((data, i) => ({
      shape: attrs.shape,
      dtype: at(attrs.dtypes, i),
      data,
    }));
  },
  kernels: {
    cpu: {
      acceptsInput: () => true,
      inPlace,
      lower(node, inputs, outputs) {
        const groups = dimGroups(at(outputs, 0).shape, [...inputs, ...outputs]);
        return {
          opcode: "map",
          words: codeWords(inputs.length, node.attrs as MapAttrs),
          inputs: inputs.map((view) => joinDims(view, groups)),
          outputs: outputs.map((view) => joinDims(view, groups)),
        };
      },
    },
  },
  samples: [
    {
      name: "chain",
      inputs: [
        { shape: [3, 700], dtype: "f32" },
        { shape: [3, 700], dtype: "f32" },
      ],
      attrs: {
        shape: [3, 700],
        constants: [["f32", 0.5]],
        code: [
          ["mul", 0, 1],
          ["add", 64, 8],
          ["gelu_tanh", 65],
        ],
        results: [66],
        dtypes: ["f32"],
      },
    },
  ],
});
