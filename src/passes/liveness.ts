/** @file Which steps each storage must exist for, and which results may overwrite an operand that dies. */
import { isContiguous, type View } from "../ops/kernel.ts";
import { dtypeBytes } from "../util/dtype.ts";
import {
  type Ref,
  type Step,
  type Storage,
  type StorageId,
  sameView,
  viewBytes,
} from "./memory.ts";

/** First and last step that touch a storage; both inclusive. Unused storages have last < first. */
export interface Lifetimes {
  readonly first: Int32Array;
  readonly last: Int32Array;
}

function eachRef(step: Step, visit: (storage: StorageId) => void): void {
  for (const ref of step.inputs) visit(ref.storage);
  for (const ref of step.outputs) visit(ref.storage);
  if (step.workspace !== null) visit(step.workspace);
}

/** Follows in-place sharing to the storage that owns the memory. */
export function ownerOf(storages: readonly Storage[], id: StorageId): StorageId {
  let at = id;
  for (
    let next = storages[at]?.shares ?? null;
    next !== null;
    next = storages[at]?.shares ?? null
  ) {
    at = next;
  }
  return at;
}

export function lifetimesOf(steps: readonly Step[], storages: readonly Storage[]): Lifetimes {
  const first = new Int32Array(storages.length).fill(steps.length);
  const last = new Int32Array(storages.length).fill(-1);
  steps.forEach((step, index) => {
    eachRef(step, (id) => {
      const owner = ownerOf(storages, id);
      first[owner] = Math.min(first[owner] ?? index, index);
      last[owner] = index;
    });
  });
  return { first, last };
}

/**
 * Lets results take the memory of operands that die. A result's storage joins the operand's storage when the kernel
 * allows the pair, both are whole temporaries of the same bytes, and no other operand touches that memory elsewhere.
 */
export function shareInPlace(steps: readonly Step[], storages: readonly Storage[]): void {
  const { first, last } = lifetimesOf(steps, storages);
  steps.forEach((step, index) => {
    const taken = new Set<StorageId>();
    for (const [result, input] of step.inPlace) {
      const from = step.inputs[input];
      const to = step.outputs[result];
      if (from === undefined || to === undefined) continue;
      const owner = ownerOf(storages, from.storage);
      const fresh = storages[to.storage];
      if (fresh === undefined || fresh.kind !== "arena" || fresh.shares !== null) continue;
      if (storages[owner]?.kind !== "arena" || taken.has(owner) || owner === to.storage) continue;
      if (last[owner] !== index || first[to.storage] !== index) continue;
      if (!coversWhole(from, storages[owner]) || !coversWhole(to, fresh)) continue;
      // Equal bytes of equal elements: a narrower result would overwrite what other threads have yet to read.
      if (!sameElements(from.view, to.view)) continue;
      if (!isOnlyUse(step, input, owner, storages)) continue;
      fresh.shares = owner;
      last[owner] = last[to.storage] ?? index;
      taken.add(owner);
    }
  });
}

function coversWhole(ref: Ref, storage: Storage | undefined): boolean {
  return isContiguous(ref.view) && ref.view.offset === 0 && viewBytes(ref.view) === storage?.bytes;
}

const sameElements = (a: View, b: View): boolean =>
  viewBytes(a) === viewBytes(b) && dtypeBytes(a.dtype) === dtypeBytes(b.dtype);

/** Other operands may only see the same elements in the same order, and no result may lie there yet. */
function isOnlyUse(
  step: Step,
  input: number,
  owner: StorageId,
  storages: readonly Storage[],
): boolean {
  const view = step.inputs[input]?.view;
  const others = step.inputs.every((ref, i) => {
    if (i === input || ownerOf(storages, ref.storage) !== owner) return true;
    return step.node.op === "map" && view !== undefined && sameView(ref.view, view);
  });
  return others && step.outputs.every((ref) => ownerOf(storages, ref.storage) !== owner);
}
