/**
 * @file Which steps an interval falls on. Steps and tokens are functions of the step alone, so that a resumed run stops at the
 * same places; minutes follow the clock, and nothing that is computed may depend on them.
 */
import { type Interval, parseInterval } from "../config/interval.ts";
import { assert } from "../util/errors.ts";

export class Due {
  private readonly interval: Interval;
  private readonly tokensPerStep: number;
  private last: number;

  /** `now`: milliseconds. */
  constructor(interval: unknown, tokensPerStep: number, now = performance.now()) {
    const parsed = parseInterval(interval);
    assert(parsed !== undefined, `a checked configuration holds the interval ${interval}`);
    this.interval = parsed;
    this.tokensPerStep = tokensPerStep;
    this.last = now;
  }

  /** Whether steps or tokens make it due, whatever the clock says. */
  byStep(step: number): boolean {
    const { unit, every } = this.interval;
    if (every === 0 || unit === "minutes") return false;
    if (unit === "steps") return step % every === 0;
    const times = (steps: number) => Math.floor((steps * this.tokensPerStep) / every);
    return times(step) > times(step - 1);
  }

  /** Asked once a step: an interval of minutes starts anew when it says yes. */
  after(step: number, now = performance.now()): boolean {
    const { unit, every } = this.interval;
    if (unit !== "minutes") return this.byStep(step);
    if (every === 0 || now - this.last < every * 60e3) return false;
    this.last = now;
    return true;
  }
}
