/** @file A graph of one op on inputs `0`, `1`, ... with its results as outputs `0`, `1`, ... */
import type { Attrs, Graph } from "../../src/ir/graph.ts";
import { Builder } from "../../src/ops/builder.ts";
import type { AnyOp } from "../../src/ops/define.ts";
import { get } from "../../src/ops/prim/get.ts";
import { input } from "../../src/ops/prim/input.ts";
import type { RefTensor } from "../../src/ops/reference.ts";
import { type Compiled, compile, type Target } from "../../src/passes/compile.ts";

export function oneOp(op: AnyOp, operands: readonly RefTensor[], attrs: Attrs): Graph {
  const b = new Builder(op.name);
  const ids = operands.map(({ shape, dtype }, i) =>
    input(b, { name: `${i}`, kind: "input", shape, dtype }),
  );
  const id = b.emit(op, ids, attrs);
  b.node(id).types.forEach((_, i) => {
    b.output(`${i}`, get(b, id, i));
  });
  return b.finish();
}

export function compileOne(
  op: AnyOp,
  operands: readonly RefTensor[],
  attrs: Attrs,
  target: Target,
): Compiled {
  // A lowered op stands here where no front end puts one, which is what the verifier looks for between passes.
  const options = op.tier === "lowered" ? { verify: false } : {};
  return compile(oneOp(op, operands, attrs), target, options);
}

export const named = (operands: readonly RefTensor[]): Map<string, RefTensor> =>
  new Map(operands.map((value, i) => [`${i}`, value]));
