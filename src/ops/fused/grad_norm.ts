/** @file Euclidean norm over all elements of any number of tensors: what gradient clipping looks at. */
import type { Id } from "../../ir/graph.ts";
import { elementCount } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { defineOp, type Sample } from "../define.ts";
import type { NoAttrs } from "../elementwise.ts";
import { add } from "../prim/add.ts";
import { mul } from "../prim/mul.ts";
import { reduce } from "../prim/reduce.ts";
import { sqrt } from "../prim/sqrt.ts";
import { shapeOf } from "./compose.ts";
import { expect, expectF32 } from "./expect.ts";
import { flat } from "./views.ts";

/** Elements whose squares are summed at a time; fixed by the kernels. */
const CHUNK = { cpu: 65536, cuda: 16384 };

export const gradNormOp = defineOp<NoAttrs>({
  name: "grad_norm",
  tier: "fused",
  doc: "square root of the sum of squares of all elements of all inputs",
  infer(inputs) {
    expect("grad_norm", inputs.length >= 1, "at least 1 input", "0");
    inputs.forEach((type, at) => {
      expectF32("grad_norm", `input ${at}`, type, type.shape);
    });
    return [{ shape: [], dtype: "f32" }];
  },
  decompose(b, inputs) {
    const squares = inputs.map((x) => {
      const dims = shapeOf(b, x).map((_, dim) => dim);
      return reduce(b, mul(b, x, x), "sum", dims);
    });
    return [
      sqrt(
        b,
        squares.reduce((total, square) => add(b, total, square)),
      ),
    ];
  },
  vjp: null,
  dims(inputs) {
    const labels = inputs.map((type, at) => type.shape.map((_, dim) => `x${at}_${dim}`));
    return { labels: [...labels, []], whole: labels.flat() };
  },
  kernels: {
    cpu: {
      // One f64 per chunk of each input.
      scratch: (_node, inputs, target) => ({
        workspaceBytes: inputs.reduce(
          (bytes, { shape }) => bytes + 8 * Math.ceil(elementCount(shape) / CHUNK[target]),
          0,
        ),
      }),
      lower: (_node, inputs) => ({ opcode: "grad_norm", words: [], inputs: inputs.map(flat) }),
    },
  },
  samples: [
    sample("one", [[5, 7]]),
    sample("several", [[3, 4], [17], [], [2, 3, 5]]),
    sample("large", [[300, 301], [33]]),
  ],
});

function sample(name: string, shapes: readonly (readonly number[])[]): Sample<NoAttrs> {
  return { name, inputs: shapes.map((shape) => ({ shape, dtype: "f32" })), attrs: {} };
}

export function gradNorm(b: Builder, grads: readonly Id[]): Id {
  return b.emit(gradNormOp, grads, {});
}
