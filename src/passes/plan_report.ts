/** @file Who holds the memory at the peak: by value and by scope. */
import type { Lifetimes } from "./liveness.ts";
import type { Step, Storage } from "./memory.ts";

export interface LiveBuffer {
  readonly scope: string;
  /** Op that made it, or `workspace`, `copy`, `fill`. */
  readonly op: string;
  readonly bytes: number;
  readonly firstStep: number;
  readonly lastStep: number;
}

export interface ScopeBytes {
  readonly scope: string;
  readonly bytes: number;
  readonly count: number;
}

/** Temporaries alive at `peak`, largest first. */
export function liveAt(
  steps: readonly Step[],
  storages: readonly Storage[],
  { first, last }: Lifetimes,
  peak: number,
): LiveBuffer[] {
  const live = storages.flatMap((storage, id) => {
    const firstStep = first[id] ?? steps.length;
    const lastStep = last[id] ?? -1;
    const alive = firstStep <= peak && peak <= lastStep;
    if (storage.kind !== "arena" || storage.shares !== null || !alive) return [];
    const { scope, name, bytes } = storage;
    return [{ scope, op: name, bytes, firstStep, lastStep }];
  });
  return live.sort((a, b) => b.bytes - a.bytes || a.firstStep - b.firstStep);
}

export function scopeBytes(live: readonly LiveBuffer[]): ScopeBytes[] {
  const byScope = new Map<string, { scope: string; bytes: number; count: number }>();
  for (const { scope, bytes } of live) {
    const entry = byScope.get(scope) ?? { scope, bytes: 0, count: 0 };
    entry.bytes += bytes;
    entry.count++;
    byScope.set(scope, entry);
  }
  return [...byScope.values()].sort((a, b) => b.bytes - a.bytes || (a.scope < b.scope ? -1 : 1));
}
