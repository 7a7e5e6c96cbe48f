/** @file get: result `index` >= 1 of a node with several. The type is in the attrs because an edge carries only result 0. */
import type { Id } from "../../ir/graph.ts";
import type { DType } from "../../util/dtype.ts";
import type { Shape } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { fail, labelsOf, one } from "../check.ts";
import { defineOp } from "../define.ts";

export type GetAttrs = {
  readonly index: number;
  readonly shape: Shape;
  readonly dtype: DType;
};

export const getOp = defineOp<GetAttrs>({
  name: "get",
  tier: "prim",
  doc: "Result `index` of a node with several.",
  infer(inputs, { index, shape, dtype }) {
    one("get", inputs);
    if (!Number.isInteger(index) || index < 1) fail("get", "an index >= 1", `${index}`);
    return [{ shape, dtype }];
  },
  // Differentiation and interpretation read result `index` of the input directly.
  vjp: null,
  dims: (_, { shape }) => ({ labels: [[], labelsOf(shape)] }),
  kernels: {},
  samples: [],
});

/** Result 0 is the node itself. */
export function get(b: Builder, x: Id, index: number): Id {
  if (index === 0) return x;
  const { op, types } = b.node(x);
  const type = types[index];
  if (type === undefined)
    return fail("get", `one of the ${types.length} results of ${op}`, `${index}`);
  return b.emit(getOp, [x], { index, shape: type.shape, dtype: type.dtype });
}
