/**
 * @file Text up to the first stop string, while it arrives in pieces: what could be the beginning of one is held back until
 * it is decided.
 */

export class StopStrings {
  private readonly stops: readonly string[];
  private held = "";
  private found: string | null = null;

  constructor(stops: readonly string[]) {
    this.stops = stops.filter((stop) => stop !== "");
  }

  /** The stop string that ended the text. */
  get stopped(): string | null {
    return this.found;
  }

  /** What of the text so far can be shown now. After a stop string nothing more. */
  push(piece: string): string {
    if (this.found !== null) return "";
    const text = this.held + piece;
    const at = this.firstStop(text);
    if (at !== null) {
      this.held = "";
      return text.slice(0, at);
    }
    const kept = this.undecided(text);
    this.held = text.slice(text.length - kept);
    return text.slice(0, text.length - kept);
  }

  /** What was held back, now that no more comes. */
  end(): string {
    const rest = this.held;
    this.held = "";
    return rest;
  }

  /** Where the earliest stop string begins; of several there, any ends the text at the same place. */
  private firstStop(text: string): number | null {
    let first: number | null = null;
    for (const stop of this.stops) {
      const at = text.indexOf(stop);
      if (at === -1 || (first !== null && at >= first)) continue;
      first = at;
      this.found = stop;
    }
    return first;
  }

  /** Length of the longest end of the text that begins a stop string. */
  private undecided(text: string): number {
    const most = Math.max(0, ...this.stops.map((stop) => stop.length - 1));
    for (let length = Math.min(most, text.length); length > 0; length--) {
      const end = text.slice(text.length - length);
      if (this.stops.some((stop) => stop.startsWith(end))) return length;
    }
    return 0;
  }
}
