/** @file Throughput and what is left: from the times of the last steps, so that a pause does not spoil the estimate. */

const WINDOW = 32;

export class Rates {
  private readonly recent: number[] = [];

  /** Notes one step's duration and returns the median of the last ones, in seconds. */
  add(seconds: number): number {
    this.recent.push(seconds);
    if (this.recent.length > WINDOW) this.recent.shift();
    return this.typical();
  }

  typical(): number {
    const sorted = [...this.recent].sort((a, b) => a - b);
    return sorted[sorted.length >> 1] ?? 0;
  }
}
