/** @file The one table from error codes to exit codes (documented in docs/exit-codes.md). */
import type { ErrorCode } from "../util/errors.ts";

export const EXIT_CODES = {
  runtime: 1,
  config: 2,
  not_found: 3,
  device: 3,
  remote: 4,
  conflict: 5,
  data: 6,
  checkpoint: 6,
  run_failed: 7,
  interrupted: 75,
} as const satisfies Record<ErrorCode, number>;

/** A fault of ours (a bug): also 1, with a request to report it. */
export const EXIT_BUG = 1;
