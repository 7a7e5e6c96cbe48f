/** @file scatter_add: adds rows to the rows of a base that ids name, in the ids' order. */
import type { Id } from "../../ir/graph.ts";
import { elementCount } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { at, expectDtype, expectShape, fail, INDICES, labelsOf, three } from "../check.ts";
import { defineOp } from "../define.ts";
import type { NoAttrs } from "../elementwise.ts";
import type { Scratch, TargetKind, View } from "../kernel.ts";
import { refTensor } from "../reference.ts";
import { checkedId, gather, pickedShape } from "./gather.ts";

/** Where the ids of a table's rows are sorted before their rows are added up; only a GPU needs it. */
export function scatterScratch(target: TargetKind, rows: number, ids: View): Scratch {
  return target === "cuda" ? { workspaceBytes: 4 * (rows + 1 + elementCount(ids.shape)) } : {};
}

export const scatterAddOp = defineOp<NoAttrs>({
  name: "scatter_add",
  tier: "prim",
  doc: "Adds rows to the rows of a base that ids name.",
  infer(inputs) {
    const [base, ids, updates] = three("scatter_add", inputs);
    if (base.shape.length === 0) fail("scatter_add", "a base of at least one dim", "a scalar");
    expectDtype("scatter_add", "a base", base, ["f32"]);
    expectDtype("scatter_add", "ids", ids, INDICES);
    expectDtype("scatter_add", "updates", updates, ["f32"]);
    expectShape("scatter_add", "updates", updates, pickedShape(base, ids));
    return [base];
  },
  reference(inputs) {
    const base = at(inputs, 0);
    const updates = at(inputs, 2).data;
    const out = refTensor(base.shape, base.dtype, base.data);
    const row = elementCount(base.shape.slice(1));
    at(inputs, 1).data.forEach((id, i) => {
      const to = checkedId("scatter_add", id, at(base.shape, 0)) * row;
      for (let k = 0; k < row; k++) {
        out.data[to + k] = at(out.data, to + k) + at(updates, i * row + k);
      }
    });
    return [out];
  },
  vjp(b, { inputs, cotangents, wanted }) {
    const dy = cotangents[0] ?? null;
    if (dy === null) return [null, null, null];
    return [wanted[0] ? dy : null, null, wanted[2] ? gather(b, dy, at(inputs, 1)) : null];
  },
  dims(inputs) {
    const [base, ids] = three("scatter_add", inputs);
    const row = labelsOf(base.shape.slice(1), "r");
    const picks = labelsOf(ids.shape, "n");
    const rows = ["v", ...row];
    // Split ids would make partial sums that each hold the base.
    return { labels: [rows, picks, [...picks, ...row], rows], whole: ["v", ...picks] };
  },
  kernels: {
    cpu: {
      inPlace: () => [[0, 0]],
      scratch: (_node, inputs, target) =>
        scatterScratch(target, at(at(inputs, 0).shape, 0), at(inputs, 1)),
      lower: () => ({ opcode: "scatter_add", words: [] }),
    },
  },
  samples: [
    {
      name: "rows that meet",
      inputs: [
        { shape: [4, 33], dtype: "f32" },
        { shape: [3, 5], dtype: "i32", fill: "ids", max: 4 },
        { shape: [3, 5, 33], dtype: "f32" },
      ],
      attrs: {},
    },
    {
      name: "elements",
      inputs: [
        { shape: [50], dtype: "f32" },
        { shape: [20], dtype: "u32", fill: "ids", max: 50 },
        { shape: [20], dtype: "f32" },
      ],
      attrs: {},
    },
    {
      name: "many rows",
      inputs: [
        { shape: [50, 64], dtype: "f32" },
        { shape: [700], dtype: "i32", fill: "ids", max: 50 },
        { shape: [700, 64], dtype: "f32" },
      ],
      attrs: {},
    },
  ],
});

export const scatterAdd = (b: Builder, base: Id, ids: Id, updates: Id): Id =>
  b.emit(scatterAddOp, [base, ids, updates], {});
