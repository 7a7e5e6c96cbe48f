/** @file Rows of a table by id: ids [...] of table [V, C] -> [..., C]. */
import type { Id } from "../../ir/graph.ts";
import { typeText } from "../../ir/text.ts";
import type { Builder } from "../builder.ts";
import { labelsOf } from "../check.ts";
import { defineOp, type Sample } from "../define.ts";
import { cast } from "../prim/cast.ts";
import { gather } from "../prim/gather.ts";
import { embeddingGrad } from "./embedding_grad.ts";
import { expect, expectIds, expectInputs } from "./expect.ts";
import { firsts } from "./operands.ts";
import { expectStorage, type Storage } from "./precision.ts";
import { flat, matrix } from "./views.ts";

type EmbeddingAttrs = { readonly out?: Storage };

export const embeddingOp = defineOp<EmbeddingAttrs>({
  name: "embedding",
  tier: "fused",
  doc: "table rows by id; an id outside the table fails the program",
  infer(inputs, { out }) {
    expectInputs("embedding", inputs, 2);
    const [ids, table] = firsts(inputs, 2);
    expectIds("embedding", "ids", ids);
    const ok = table.dtype === "f32" && table.shape.length === 2;
    expect("embedding", ok, "table f32[V,C]", typeText(table));
    expectStorage("embedding", out);
    return [{ shape: [...ids.shape, ...table.shape.slice(1)], dtype: out ?? "f32" }];
  },
  decompose(b, inputs, { out }) {
    const [ids, table] = firsts(inputs, 2);
    return [cast(b, gather(b, table, ids), out ?? "f32")];
  },
  vjp(b, { inputs, cotangents }) {
    const [ids, table] = firsts(inputs, 2);
    const dy = cotangents[0] ?? null;
    if (dy === null) return [null, null];
    return [null, embeddingGrad(b, ids, dy, { rows: b.type(table).shape[0] ?? 0 })];
  },
  dims(inputs) {
    const [ids] = firsts(inputs, 1);
    const rows = labelsOf(ids.shape, "r");
    return { labels: [rows, ["v", "c"], [...rows, "c"]], whole: ["v"] };
  },
  kernels: {
    cpu: {
      lower(_node, inputs, outputs) {
        const [ids, table] = firsts(inputs, 2);
        return {
          opcode: "embedding",
          words: [],
          inputs: [flat(ids), table],
          outputs: outputs.map(matrix),
        };
      },
    },
  },
  samples: [
    sample("plain", [6], [10, 8], "u32"),
    sample("batch", [2, 7], [11, 17], "i32"),
    sample("one", [], [3, 4], "u32"),
    sample("bf16", [2, 5], [9, 16], "u32", { out: "bf16" }),
    sample("many", [3, 70], [40, 33], "u32"),
  ],
});

function sample(
  name: string,
  ids: readonly number[],
  table: readonly [number, number],
  dtype: "i32" | "u32",
  attrs: EmbeddingAttrs = {},
): Sample<EmbeddingAttrs> {
  const drawn = { shape: ids, dtype, fill: "ids", max: table[0] } as const;
  return { name, inputs: [drawn, { shape: table, dtype: "f32" }], attrs };
}

export function embedding(b: Builder, ids: Id, table: Id, out?: Storage): Id {
  return b.emit(embeddingOp, [ids, table], out === undefined ? {} : { out });
}
