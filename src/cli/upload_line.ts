/** @file What is being copied to a host: one line a file, with size and the time that is left. */
import type { Progress } from "../dispatch/upload.ts";
import { log } from "../util/log.ts";
import { bytesText } from "./format.ts";

/** ssh tells nothing of what is on its way, so that a line says what begins. */
export function uploadLine(quiet: boolean): {
  readonly for: (what: string) => Progress;
  end(): void;
} {
  return {
    for: (what) => (sent, total) => {
      if (quiet) return;
      const left = total - sent;
      const from = sent === 0 ? "" : `, the first ${bytesText(sent)} are there already`;
      log.info(`copying ${what}: ${bytesText(left)}${from}`);
    },
    end() {},
  };
}
