/** @file All ops by name. A new op is one file and one entry in its tier's index; two ops of one name are a bug. */
import { assert } from "../util/errors.ts";
import type { AnyOp, Tier } from "./define.ts";
import { fusedOps } from "./fused/index.ts";
import { loweredOps } from "./lowered/index.ts";
import { primOps } from "./prim/index.ts";

function collect(tiers: Readonly<Record<Tier, readonly AnyOp[]>>): ReadonlyMap<string, AnyOp> {
  const byName = new Map<string, AnyOp>();
  for (const [tier, list] of Object.entries(tiers)) {
    for (const op of list) {
      assert(op.tier === tier, `op ${op.name} has tier ${op.tier} but is listed under ${tier}`);
      assert(!byName.has(op.name), `two ops are named ${op.name}`);
      byName.set(op.name, op);
    }
  }
  return byName;
}

export const ops: ReadonlyMap<string, AnyOp> = collect({
  prim: primOps,
  fused: fusedOps,
  lowered: loweredOps,
});

export function opOf(name: string): AnyOp {
  const op = ops.get(name);
  assert(op !== undefined, `no op is named ${name}`);
  return op;
}
