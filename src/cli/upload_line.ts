/** @file What is being copied to a host: size, speed and the time that is left. */
import type { Progress } from "../dispatch/upload.ts";
import { log } from "../util/log.ts";
import { bytesText } from "../util/quantities.ts";
import { durationText } from "./format.ts";
import { LiveLine } from "./live_line.ts";

/** What is over sooner needs no second line. */
const TELL_MS = 2000;

const rateText = (bytes: number, ms: number): string =>
  `${(bytes / 1e3 / Math.max(ms, 1)).toFixed(1)} MB/s`;

interface Copied {
  /** Bytes that were there before, that are there now, and that there are to be. */
  readonly from: number;
  readonly there: number;
  readonly total: number;
  readonly ms: number;
}

/** `copying stories: 42 %, 1.20 GiB of 2.86 GiB, 85.1 MB/s, 21s left` */
export function copyingText(what: string, { from, there, total, ms }: Copied): string {
  const sent = there - from;
  const left = sent === 0 ? "-" : durationText(((total - there) * ms) / sent / 1000);
  const share = `${Math.floor((100 * there) / Math.max(total, 1))} %`;
  const of = `${bytesText(there)} of ${bytesText(total)}`;
  return `copying ${what}: ${share}, ${of}, ${rateText(sent, ms)}, ${left} left`;
}

class Copying {
  private readonly what: string;
  private readonly from: number;
  private readonly begun = performance.now();

  constructor(what: string, from: number, total: number) {
    this.what = what;
    this.from = from;
    const there = from === 0 ? "" : `, the first ${bytesText(from)} are there already`;
    log.info(`copying ${what}: ${bytesText(total - from)}${there}`);
  }

  text(there: number, total: number): string {
    const ms = performance.now() - this.begun;
    return copyingText(this.what, { from: this.from, there, total, ms });
  }

  end(total: number): void {
    const ms = performance.now() - this.begun;
    if (ms < TELL_MS) return;
    const rate = rateText(total - this.from, ms);
    log.info(`copied ${this.what} in ${durationText(ms / 1000)}, ${rate}`);
  }
}

export function uploadLine(quiet: boolean): {
  readonly for: (what: string) => Progress;
  end(): void;
} {
  const line = new LiveLine();
  return {
    for(what) {
      let copying: Copying | null = null;
      return (there, total) => {
        if (quiet) return;
        if (copying === null) copying = new Copying(what, there, total);
        else if (there < total) line.show(copying.text(there, total));
        else {
          line.end();
          copying.end(total);
        }
      };
    },
    end: () => line.end(),
  };
}
