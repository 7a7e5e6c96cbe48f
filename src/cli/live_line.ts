/** @file One line of progress on stderr: redrawn on a terminal, elsewhere a plain line now and then. */
import { log } from "../util/log.ts";

const REDRAW_MS = 100;
const PLAIN_MS = 10_000;

export class LiveLine {
  private readonly live: boolean;
  private readonly stream: { readonly columns?: number };
  private last: number;
  private drawn = false;

  constructor(stream: { isTTY?: boolean; columns?: number } = process.stderr) {
    this.live = stream.isTTY === true && process.env.TERM !== "dumb";
    this.stream = stream;
    // Without a terminal, what is over at once needs no line.
    this.last = this.live ? Number.NEGATIVE_INFINITY : performance.now();
  }

  show(text: string): void {
    const now = performance.now();
    if (now - this.last < (this.live ? REDRAW_MS : PLAIN_MS)) return;
    this.last = now;
    if (!this.live) {
      log.info(text);
      return;
    }
    this.drawn = true;
    process.stderr.write(`\r\x1b[2K${Bun.sliceAnsi(text, 0, (this.stream.columns ?? 80) - 1)}`);
  }

  /** Leaves the live line behind, so that other text starts on its own. */
  end(): void {
    if (this.drawn) process.stderr.write("\r\x1b[2K");
    this.drawn = false;
  }
}
