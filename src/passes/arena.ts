/**
 * @file Offsets of temporaries in the arena. Greedy: the largest first, each at the lowest offset that is free for its
 * whole lifetime. Orders that favour lifetime are tried too when the first is not near the lower bound.
 */
import { alignUp } from "../util/shapes.ts";
import type { Lifetimes } from "./liveness.ts";
import type { Storage, StorageId } from "./memory.ts";
import { ALIGNMENT } from "./storages.ts";

export interface Arena {
  readonly bytes: number;
  /** No layout can be smaller: the most bytes that are alive at one step. */
  readonly lowerBoundBytes: number;
  /** The first step at which that many are alive. */
  readonly peakStep: number;
}

interface Block {
  readonly id: StorageId;
  readonly size: number;
  readonly first: number;
  readonly last: number;
}

/** Good enough to stop looking. */
const SLACK = 1.01;

export function layOutArena(storages: Storage[], lifetimes: Lifetimes, stepCount: number): Arena {
  const blocks = blocksOf(storages, lifetimes);
  const { lowerBoundBytes, peakStep } = peakOf(blocks, stepCount);
  let best: { bytes: number; offsets: Map<StorageId, number> } | undefined;
  for (const order of ORDERS) {
    const layout = place(blocks.toSorted(order));
    if (best === undefined || layout.bytes < best.bytes) best = layout;
    if (best.bytes <= lowerBoundBytes * SLACK) break;
  }
  for (const [id, offset] of best?.offsets ?? []) {
    const storage = storages[id];
    if (storage !== undefined) storage.offset = offset;
  }
  return { bytes: best?.bytes ?? 0, lowerBoundBytes, peakStep };
}

type Order = (a: Block, b: Block) => number;

const span = (block: Block): number => block.last - block.first + 1;

const ORDERS: readonly Order[] = [
  (a, b) => b.size - a.size || a.first - b.first,
  (a, b) => span(b) * b.size - span(a) * a.size || a.first - b.first,
  (a, b) => span(b) - span(a) || b.size - a.size,
  (a, b) => a.first - b.first || b.size - a.size,
];

function blocksOf(storages: readonly Storage[], { first, last }: Lifetimes): Block[] {
  return storages.flatMap((storage, id) => {
    const from = first[id] ?? 0;
    const to = last[id] ?? -1;
    if (storage.kind !== "arena" || storage.shares !== null || to < from) return [];
    return [{ id, size: alignUp(storage.bytes, ALIGNMENT), first: from, last: to }];
  });
}

function peakOf(blocks: readonly Block[], stepCount: number) {
  const change = new Float64Array(stepCount + 1);
  for (const { size, first, last } of blocks) {
    change[first] = (change[first] ?? 0) + size;
    change[last + 1] = (change[last + 1] ?? 0) - size;
  }
  let live = 0;
  let lowerBoundBytes = 0;
  let peakStep = 0;
  for (let step = 0; step < stepCount; step++) {
    live += change[step] ?? 0;
    if (live > lowerBoundBytes) {
      lowerBoundBytes = live;
      peakStep = step;
    }
  }
  return { lowerBoundBytes, peakStep };
}

/** Best fit: the smallest gap between blocks of overlapping lifetime that is large enough, else behind them all. */
function place(blocks: readonly Block[]): { bytes: number; offsets: Map<StorageId, number> } {
  const offsets = new Map<StorageId, number>();
  const placed = new PlacedBlocks(blocks.length);
  let bytes = 0;
  for (const block of blocks) {
    const offset = placed.bestOffset(block);
    offsets.set(block.id, offset);
    placed.insert(block, offset);
    bytes = Math.max(bytes, offset + block.size);
  }
  return { bytes, offsets };
}

/** Blocks sorted by offset, in columns: the search runs over all of them for every block. */
class PlacedBlocks {
  private readonly offset: Float64Array;
  private readonly end: Float64Array;
  private readonly first: Int32Array;
  private readonly last: Int32Array;
  private count = 0;

  constructor(capacity: number) {
    this.offset = new Float64Array(capacity);
    this.end = new Float64Array(capacity);
    this.first = new Int32Array(capacity);
    this.last = new Int32Array(capacity);
  }

  bestOffset(block: Block): number {
    const { offset, end, first, last, count } = this;
    let reached = 0;
    let bestOffset = -1;
    let bestGap = Number.POSITIVE_INFINITY;
    for (let i = 0; i < count; i++) {
      if ((first[i] ?? 0) > block.last || (last[i] ?? 0) < block.first) continue;
      const gap = (offset[i] ?? 0) - reached;
      if (gap >= block.size && gap < bestGap) {
        bestGap = gap;
        bestOffset = reached;
      }
      if ((end[i] ?? 0) > reached) reached = end[i] ?? 0;
    }
    return bestOffset >= 0 ? bestOffset : reached;
  }

  insert(block: Block, at: number): void {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.offset[middle] ?? 0) <= at) low = middle + 1;
      else high = middle;
    }
    for (const column of [this.offset, this.end, this.first, this.last]) {
      column.copyWithin(low + 1, low, this.count);
    }
    this.offset[low] = at;
    this.end[low] = at + block.size;
    this.first[low] = block.first;
    this.last[low] = block.last;
    this.count++;
  }
}
