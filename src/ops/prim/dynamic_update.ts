/** @file dynamic_update: x with a window replaced whose start is data. A window outside is an error. */
import type { Id } from "../../ir/graph.ts";
import { typeText } from "../../ir/text.ts";
import { rowMajorStrides } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { at, expectDtype, expectShape, fail, INDICES, three } from "../check.ts";
import { defineOp } from "../define.ts";
import type { NoAttrs } from "../elementwise.ts";
import { refTensor } from "../reference.ts";
import { writeWindow } from "../strided.ts";
import { constant } from "./const.ts";
import { dynamicSlice, windowLabels, windowPosition } from "./dynamic_slice.ts";

export const dynamicUpdateOp = defineOp<NoAttrs>({
  name: "dynamic_update",
  tier: "prim",
  doc: "x with a window replaced whose start is data.",
  infer(inputs) {
    const [x, update, starts] = three("dynamic_update", inputs);
    expectDtype("dynamic_update", "starts", starts, INDICES);
    expectShape("dynamic_update", "starts", starts, [x.shape.length]);
    const fits =
      update.dtype === x.dtype &&
      update.shape.length === x.shape.length &&
      update.shape.every((size, d) => size <= at(x.shape, d));
    if (!fits) fail("dynamic_update", `an update within ${typeText(x)}`, typeText(update));
    return [x];
  },
  reference(inputs) {
    const x = at(inputs, 0);
    const update = at(inputs, 1);
    const offset = windowPosition("dynamic_update", x.shape, update.shape, at(inputs, 2));
    const out = refTensor(x.shape, x.dtype, x.data);
    writeWindow(out.data, update.shape, rowMajorStrides(x.shape), offset, update.data);
    return [out];
  },
  vjp(b, { inputs, cotangents, wanted }) {
    const dy = cotangents[0] ?? null;
    if (dy === null) return [null, null, null];
    const { shape } = b.type(at(inputs, 1));
    const starts = at(inputs, 2);
    const hole = constant(b, 0, shape, "f32");
    return [
      wanted[0] ? dynamicUpdate(b, dy, hole, starts) : null,
      wanted[1] ? dynamicSlice(b, dy, starts, shape) : null,
      null,
    ];
  },
  dims(inputs) {
    const [x, update] = three("dynamic_update", inputs);
    const { labels, whole } = windowLabels(x.shape, update.shape);
    return { labels: [labels, labels, ["start"], labels], whole: [...whole, "start"] };
  },
  kernels: {
    cpu: {
      inPlace: () => [[0, 0]],
      lower: () => ({ opcode: "dynamic_update", words: [] }),
    },
  },
  samples: [
    {
      name: "rows",
      inputs: [
        { shape: [9, 33], dtype: "f32" },
        { shape: [5, 33], dtype: "f32" },
        { shape: [2], dtype: "i32", values: [4, 0] },
      ],
      attrs: {},
    },
    {
      name: "box bf16",
      inputs: [
        { shape: [4, 5, 6], dtype: "bf16" },
        { shape: [2, 3, 4], dtype: "bf16" },
        { shape: [3], dtype: "u32", values: [1, 2, 0] },
      ],
      attrs: {},
    },
  ],
});

export const dynamicUpdate = (b: Builder, x: Id, update: Id, starts: Id): Id =>
  b.emit(dynamicUpdateOp, [x, update, starts], {});
