/** @file compare: eq, ne, lt or le of equal-typed operands, as bool. */
import type { Id } from "../../ir/graph.ts";
import { DTYPES, type DType, isFloat } from "../../util/dtype.ts";
import type { Builder } from "../builder.ts";
import { at, expectSame, fail, two } from "../check.ts";
import { defineOp } from "../define.ts";
import { elementwiseDims, elementwiseSamples } from "../elementwise.ts";
import { refTensor } from "../reference.ts";

export type Comparison = "eq" | "ne" | "lt" | "le";
export type CompareAttrs = { readonly kind: Comparison };

const TESTS = {
  eq: (x, y) => x === y,
  ne: (x, y) => x !== y,
  lt: (x, y) => x < y,
  le: (x, y) => x <= y,
} satisfies Record<Comparison, (x: number, y: number) => boolean>;

function mapName(kind: Comparison, dtype: DType): string {
  if (isFloat(dtype)) return kind;
  const unsigned = dtype === "u32" && (kind === "lt" || kind === "le");
  return unsigned ? `${kind}u` : `${kind}i`;
}

export const compareOp = defineOp<CompareAttrs>({
  name: "compare",
  tier: "prim",
  doc: "eq, ne, lt or le, as bool.",
  infer(inputs, { kind }) {
    const [x, y] = two("compare", inputs);
    expectSame("compare", x, y);
    if (!(kind in TESTS)) fail("compare", "eq, ne, lt or le", `${kind}`);
    return [{ shape: x.shape, dtype: "bool" }];
  },
  reference(inputs, { kind }) {
    const x = at(inputs, 0);
    const y = at(inputs, 1);
    const out = refTensor(x.shape, "bool");
    const test = TESTS[kind];
    for (let i = 0; i < out.data.length; i++)
      out.data[i] = test(at(x.data, i), at(y.data, i)) ? 1 : 0;
    return [out];
  },
  vjp: null,
  dims: (inputs) => elementwiseDims(inputs),
  map: (inputs, { kind }) => mapName(kind, at(inputs, 0).dtype),
  kernels: {},
  samples: (["eq", "ne", "lt", "le"] as const).flatMap((kind) => [
    ...elementwiseSamples(2, DTYPES).map((s) => ({
      ...s,
      name: `${kind} ${s.name}`,
      attrs: { kind },
    })),
    // Small integers meet equality often.
    {
      name: `${kind} of few values`,
      inputs: [
        { shape: [64], dtype: "i32" as const, fill: "ids" as const, max: 3 },
        { shape: [64], dtype: "i32" as const, fill: "ids" as const, max: 3 },
      ],
      attrs: { kind },
    },
  ]),
});

export const compare = (b: Builder, x: Id, y: Id, kind: Comparison): Id =>
  b.emit(compareOp, [x, y], { kind });
