/**
 * @file Functions of a POSIX shell that the scripts for hosts share: locks that name their owner, and `job_state ID`, which prints a
 * word: pending, running, ending, gone (with the scheduler's word behind it), or unknown.
 */
import type { HostEntry } from "./dispatch_file.ts";
import plainState from "./sh/plain_state.sh" with { type: "text" };
import shared from "./sh/shared.sh" with { type: "text" };
import slurmState from "./sh/slurm_state.sh" with { type: "text" };

export const remoteFunctions = ({ type }: HostEntry): string =>
  `${shared}${type === "slurm" ? slurmState : plainState}`;
