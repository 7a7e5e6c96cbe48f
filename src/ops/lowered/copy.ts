/** @file copy: the same elements in another layout. The planner inserts it where a kernel does not take a view. */
import { at, one } from "../check.ts";
import { defineOp } from "../define.ts";
import { dimGroups, joinDims } from "./join_dims.ts";

export const copyLoweredOp = defineOp({
  name: "copy",
  tier: "lowered",
  doc: "The same elements in another layout.",
  infer: (inputs) => [one("copy", inputs)],
  reference: (inputs) => [at(inputs, 0)],
  kernels: {
    cpu: {
      acceptsInput: () => true,
      acceptsOutput: () => true,
      lower(_node, inputs, outputs) {
        const groups = dimGroups(at(outputs, 0).shape, [...inputs, ...outputs]);
        return {
          opcode: "copy",
          words: [],
          inputs: inputs.map((view) => joinDims(view, groups)),
          outputs: outputs.map((view) => joinDims(view, groups)),
        };
      },
    },
  },
  samples: [{ name: "matrix", inputs: [{ shape: [3, 5], dtype: "f32" }], attrs: {} }],
});
