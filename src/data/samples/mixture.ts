/**
 * @file Several sources in fixed shares. Which source a sample comes from is a low-discrepancy sequence: of the first n samples every
 * source has its share to within a sample or two, for every n, and the count is a closed formula, so that any index costs the same.
 */
import { assert } from "../../util/errors.ts";
import type { Batch } from "../batch.ts";
import type { HeldOut, Place, Sampler } from "./sampler.ts";

/** Shares are multiples of 2^-24, so that all counting is exact. */
const WHOLE = 2 ** 24;

/** From sample `from` on, these weights. */
export interface Stage {
  readonly from: number;
  readonly weights: readonly number[];
}

/** What each source takes of the samples that those before it leave. */
function sharesOf(weights: readonly number[]): number[] {
  return weights.map((weight, i) => {
    const later = weights.slice(i + 1).reduce((sum, each) => sum + each, 0);
    if (weight === 0) return 0;
    if (later === 0) return WHOLE;
    const share = Math.round((weight / (weight + later)) * WHOLE);
    return Math.min(WHOLE - 1, Math.max(1, share));
  });
}

/** How many of the first n samples a source takes: n * share, rounded. */
function taken(n: number, share: number): number {
  const blocks = Math.floor(n / WHOLE);
  const rest = n - blocks * WHOLE;
  return blocks * share + Math.floor((rest * share + WHOLE / 2) / WHOLE);
}

/** Of the first n samples, how many each source takes. */
function counts(n: number, shares: readonly number[]): number[] {
  let left = n;
  return shares.map((share) => {
    const own = taken(left, share);
    left -= own;
    return own;
  });
}

interface Laid {
  readonly from: number;
  readonly shares: readonly number[];
  /** Samples of each source before this stage. */
  readonly before: readonly number[];
}

export class Mixture {
  private readonly stages: readonly Laid[];

  /** Stages in their order, the first one from 0 on. */
  constructor(stages: readonly Stage[]) {
    assert(stages[0]?.from === 0, "the first stage of a mixture begins at 0");
    const laid: Laid[] = [];
    for (const { from, weights } of stages) {
      const last = laid.at(-1);
      assert(last === undefined || from > last.from, "stages of a mixture in their order");
      const own = last === undefined ? weights.map(() => 0) : counts(from - last.from, last.shares);
      const before = own.map((count, i) => count + (last?.before[i] ?? 0));
      laid.push({ from, shares: sharesOf(weights), before });
    }
    this.stages = laid;
  }

  /** The source of a sample, and how many samples of that source come before it. */
  at(sample: number): { readonly source: number; readonly index: number } {
    const stage = this.stages.findLast(({ from }) => from <= sample);
    assert(stage !== undefined, `sample ${sample} of a mixture`);
    let left = sample - stage.from;
    for (let source = 0; source < stage.shares.length; source++) {
      const share = stage.shares[source] ?? 0;
      const own = taken(left, share);
      if (taken(left + 1, share) > own) return { source, index: (stage.before[source] ?? 0) + own };
      left -= own;
    }
    throw new Error("internal: no source of a mixture took a sample");
  }
}

/** An epoch is as many samples as all sources have together, whatever their weights. */
export class MixtureSampler implements Sampler {
  readonly perEpoch: number;
  private readonly mixture: Mixture;
  private readonly sources: readonly Sampler[];

  constructor(sources: readonly Sampler[], stages: readonly Stage[]) {
    this.sources = sources;
    this.mixture = new Mixture(stages);
    this.perEpoch = sources.reduce((sum, source) => sum + source.perEpoch, 0);
  }

  place(sample: number): Place {
    const { source, index } = this.mixture.at(sample);
    return this.source(source).place(index);
  }

  fill(sample: number, batch: Batch, row: number): void {
    const { source, index } = this.mixture.at(sample);
    this.source(source).fill(index, batch, row);
  }

  private source(index: number): Sampler {
    const source = this.sources[index];
    assert(source !== undefined, `source ${index} of a mixture`);
    return source;
  }
}

/** The held-out rows of all sources, one source after another. */
export class JoinedHeldOut implements HeldOut {
  readonly rows: number;
  private readonly parts: readonly HeldOut[];

  constructor(parts: readonly HeldOut[]) {
    this.parts = parts;
    this.rows = parts.reduce((sum, part) => sum + part.rows, 0);
  }

  fill(index: number, batch: Batch, row: number): void {
    let before = 0;
    const part = this.parts.find(({ rows }) => {
      if (index < before + rows) return true;
      before += rows;
      return false;
    });
    assert(part !== undefined, `held-out row ${index} of ${this.rows}`);
    part.fill(index - before, batch, row);
  }
}
