/** @file What the planner works on: storages (pieces of memory), references into them, and steps that use them. */
import type { Id, Node } from "../ir/graph.ts";
import type { Lowered, View } from "../ops/kernel.ts";
import type { DType } from "../util/dtype.ts";
import { dtypeBytes } from "../util/dtype.ts";
import { elementCount, type Shape } from "../util/shapes.ts";

export type StorageKind = "arena" | "state" | "input" | "output";

/** Index into the plan's storages. */
export type StorageId = number;

export interface Storage {
  readonly kind: StorageKind;
  /** State, input, output: its name. Arena: the op that first writes it. */
  readonly name: string;
  readonly scope: string;
  readonly bytes: number;
  /** Input and output: place in the shared host buffer. Arena: set by the arena planner. */
  offset: number;
  /** Arena: the storage whose memory it shares because it overwrites it in place. */
  shares: StorageId | null;
}

/** A view onto a storage, offset in elements of the view's dtype. */
export interface Ref {
  readonly storage: StorageId;
  readonly view: View;
}

export interface Step {
  readonly node: Node;
  readonly id: Id;
  readonly inputs: readonly Ref[];
  readonly outputs: readonly Ref[];
  readonly workspace: StorageId | null;
  readonly perThreadBytes: number;
  readonly lowered: Lowered;
  /** Pairs [result, input] of the kernel that may share memory. */
  readonly inPlace: readonly (readonly [number, number])[];
}

export const bytesOf = (shape: Shape, dtype: DType): number =>
  elementCount(shape) * dtypeBytes(dtype);

export const viewBytes = (view: View): number => bytesOf(view.shape, view.dtype);

/** The same elements of the same storage. */
export function sameView(a: View, b: View): boolean {
  if (a.offset !== b.offset || dtypeBytes(a.dtype) !== dtypeBytes(b.dtype)) return false;
  if (a.shape.length !== b.shape.length) return false;
  return a.shape.every((size, dim) => {
    return size === b.shape[dim] && (size === 1 || a.strides[dim] === b.strides[dim]);
  });
}
