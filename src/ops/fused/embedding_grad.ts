/** @file Gradient of `embedding`: adds each row of dy to the table row of its id; can start from a base. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { at, labelsOf } from "../check.ts";
import { defineOp, type Sample, type SampleInput } from "../define.ts";
import { constant } from "../prim/const.ts";
import { scatterAdd, scatterScratch } from "../prim/scatter_add.ts";
import { f32, shapeOf } from "./compose.ts";
import { expect, expectF32, expectFloat, expectIds, expectInputs, lastSize } from "./expect.ts";
import { firsts } from "./operands.ts";
import { type Storage, wideOnCpu } from "./precision.ts";
import { flat, matrix } from "./views.ts";

type EmbeddingGradAttrs = {
  /** Rows of the table. */
  readonly rows: number;
};

export const embeddingGradOp = defineOp<EmbeddingGradAttrs>({
  name: "embedding_grad",
  tier: "fused",
  doc: "dtable of embedding (+ base, input 2)",
  infer(inputs, { rows }) {
    expectInputs("embedding_grad", inputs, 2, 3);
    const [ids, dy] = firsts(inputs, 2);
    const base = inputs[2];
    expectIds("embedding_grad", "ids", ids);
    const columns = lastSize(dy.shape);
    expectFloat("embedding_grad", "dy", dy, [...ids.shape, columns]);
    expect("embedding_grad", Number.isInteger(rows) && rows >= 1, "rows >= 1", `${rows}`);
    const table = [rows, columns];
    if (base !== undefined) expectF32("embedding_grad", "base", base, table);
    return [{ shape: table, dtype: "f32" }];
  },
  decompose(b, inputs, { rows }) {
    const [ids, dy] = firsts(inputs, 2);
    const table = [rows, lastSize(shapeOf(b, dy))];
    return [scatterAdd(b, inputs[2] ?? constant(b, 0, table, "f32"), ids, f32(b, dy))];
  },
  vjp: null,
  dims(inputs) {
    const [ids] = firsts(inputs, 1);
    const rows = labelsOf(ids.shape, "r");
    const base = inputs.slice(2).map(() => ["v", "c"]);
    return { labels: [rows, [...rows, "c"], ...base, ["v", "c"]], whole: ["v"] };
  },
  kernels: {
    cpu: {
      supports: wideOnCpu([1], []),
      inPlace: (node) => (node.inputs.length === 3 ? [[0, 2]] : []),
      scratch(node, inputs, target) {
        const { rows } = node.attrs as EmbeddingGradAttrs;
        return scatterScratch(target, rows, at(inputs, 0));
      },
      lower(_node, inputs, outputs) {
        const [ids, dy] = firsts(inputs, 2);
        return {
          opcode: "embedding_grad",
          words: [inputs.length - 2],
          inputs: [flat(ids), matrix(dy), ...inputs.slice(2)],
          outputs,
        };
      },
    },
  },
  samples: [
    sample("plain", [6], 10, 8, "u32"),
    sample("batch", [2, 7], 11, 17, "i32"),
    sample("one", [], 3, 4, "u32"),
    sample("base", [3, 5], 9, 16, "u32", true),
    sample("many_repeats", [3, 70], 5, 33, "u32"),
    sample("bf16", [3, 5], 9, 16, "u32", true, "bf16"),
  ],
});

function sample(
  name: string,
  ids: readonly number[],
  rows: number,
  columns: number,
  dtype: "i32" | "u32",
  hasBase = false,
  flow: Storage = "f32",
): Sample<EmbeddingGradAttrs> {
  const inputs: readonly SampleInput[] = [
    { shape: ids, dtype, fill: "ids", max: rows },
    { shape: [...ids, columns], dtype: flow },
    ...(hasBase ? [{ shape: [rows, columns], dtype: "f32" } as const] : []),
  ];
  return { name, inputs, attrs: { rows } };
}

export function embeddingGrad(
  b: Builder,
  ids: Id,
  dy: Id,
  attrs: EmbeddingGradAttrs,
  base?: Id,
): Id {
  return b.emit(embeddingGradOp, base === undefined ? [ids, dy] : [ids, dy, base], attrs);
}
