/**
 * @file What gradient norm is too large to be believed: a multiple of the median of recent ones. The limit of a step is a function of the
 * steps before the one before it, whose results have been read by then in any case, so a resumed run has the same limits.
 */

/** Steps that the median is taken over. */
const WINDOW = 32;
/** With fewer there is no limit yet: the first steps of a run differ widely. */
const LEAST = 16;

/** Number of a step and its gradient's norm. */
export type StepNorm = readonly [step: number, norm: number];

export class SpikeWatch {
  private readonly factor: number | null;
  private readonly norms: StepNorm[];

  /** `factor` null: no limit. `before`: what `recent` gave when the run's last attempt was saved. */
  constructor(factor: number | null, before: readonly StepNorm[] = []) {
    this.factor = factor;
    this.norms = [...before];
  }

  /** Notes a step that was applied. */
  note(step: number, norm: number): void {
    this.norms.push([step, norm]);
    if (this.norms.length > WINDOW + 1) this.norms.shift();
  }

  get recent(): readonly StepNorm[] {
    return this.norms;
  }

  /** The largest norm that step number `step` may have. */
  limit(step: number): number {
    if (this.factor === null) return Number.POSITIVE_INFINITY;
    const window = this.norms.filter(([each]) => each < step - 1).slice(-WINDOW);
    if (window.length < LEAST) return Number.POSITIVE_INFINITY;
    const sorted = window.map(([, norm]) => norm).sort((a, b) => a - b);
    return this.factor * (sorted[sorted.length >> 1] ?? Number.POSITIVE_INFINITY);
  }
}
