/** @file gather: rows of a table by id. An id outside the table is an error. */
import type { Id, TensorType } from "../../ir/graph.ts";
import { elementCount } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { at, expectDtype, expectSizes, fail, INDICES, labelsOf, two } from "../check.ts";
import { defineOp } from "../define.ts";
import type { NoAttrs } from "../elementwise.ts";
import { refTensor } from "../reference.ts";
import { constant } from "./const.ts";
import { scatterAdd } from "./scatter_add.ts";

/** Throws unless 0 <= id < rows, as kernels do. */
export function checkedId(op: string, id: number, rows: number): number {
  if (id < 0 || id >= rows) fail(op, `ids in [0, ${rows})`, `${id}`);
  return id;
}

/** [ids..., row...]: the shape of rows picked by ids. */
export const pickedShape = (table: TensorType, ids: TensorType): number[] => [
  ...ids.shape,
  ...table.shape.slice(1),
];

export const gatherOp = defineOp<NoAttrs>({
  name: "gather",
  tier: "prim",
  doc: "Rows of a table by id.",
  infer(inputs) {
    const [table, ids] = two("gather", inputs);
    if (table.shape.length === 0) fail("gather", "a table of at least one dim", "a scalar");
    expectDtype("gather", "ids", ids, INDICES);
    const shape = pickedShape(table, ids);
    expectSizes("gather", shape);
    return [{ shape, dtype: table.dtype }];
  },
  reference(inputs, _, types) {
    const table = at(inputs, 0);
    const out = refTensor(at(types, 0).shape, table.dtype);
    const row = elementCount(table.shape.slice(1));
    at(inputs, 1).data.forEach((id, i) => {
      const from = checkedId("gather", id, at(table.shape, 0)) * row;
      out.data.set(table.data.subarray(from, from + row), i * row);
    });
    return [out];
  },
  vjp(b, { inputs, cotangents, wanted }) {
    const dy = cotangents[0] ?? null;
    if (dy === null || !wanted[0]) return [null, null];
    const zeros = constant(b, 0, b.type(at(inputs, 0)).shape, "f32");
    return [scatterAdd(b, zeros, at(inputs, 1), dy), null];
  },
  dims(inputs) {
    const [table, ids] = two("gather", inputs);
    const row = labelsOf(table.shape.slice(1), "r");
    const picks = labelsOf(ids.shape, "n");
    return { labels: [["v", ...row], picks, [...picks, ...row]], whole: ["v"] };
  },
  kernels: { cpu: { lower: () => ({ opcode: "gather", words: [] }) } },
  samples: [
    {
      name: "rows",
      inputs: [
        { shape: [11, 33], dtype: "f32" },
        { shape: [3, 5], dtype: "i32", fill: "ids", max: 11 },
      ],
      attrs: {},
    },
    {
      name: "elements",
      inputs: [
        { shape: [50], dtype: "f32" },
        { shape: [7], dtype: "u32", fill: "ids", max: 50 },
      ],
      attrs: {},
    },
    {
      name: "one bf16 row of two dims",
      inputs: [
        { shape: [6, 2, 9], dtype: "bf16" },
        { shape: [], dtype: "i32", fill: "ids", max: 6 },
      ],
      attrs: {},
    },
    {
      name: "many rows",
      inputs: [
        { shape: [500, 64], dtype: "f32" },
        { shape: [7, 100], dtype: "u32", fill: "ids", max: 500 },
      ],
      attrs: {},
    },
  ],
});

export const gather = (b: Builder, table: Id, ids: Id): Id => b.emit(gatherOp, [table, ids], {});
