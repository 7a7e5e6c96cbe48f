/**
 * @file Whether this machine can have the real hosts: root, sshd and SLURM. Continuous integration must have them; elsewhere the tests
 * that need them say loudly that they do not run.
 */
import { existsSync } from "node:fs";

const NEEDED = ["sshd", "ssh", "slurmctld", "slurmd", "sbatch", "shellcheck", "unshare", "setpriv"];

/** Gives a process another clock: `date`, Bun and all that it starts, but neither durations nor times of files. */
const FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/** Variables of a process whose clock is off by that much: `+1d`, `-2h`. */
export const clockOff = (by: string): Readonly<Record<string, string>> => ({
  ...{ LD_PRELOAD: FAKETIME, FAKETIME: by },
  ...{ FAKETIME_DONT_FAKE_MONOTONIC: "1", NO_FAKE_STAT: "1" },
});

const PATH = `${process.env.PATH ?? ""}:/usr/sbin:/sbin`;

function missing(): string[] {
  const tools = NEEDED.filter((tool) => Bun.which(tool, { PATH }) === null);
  if (!existsSync(FAKETIME)) tools.push("libfaketime");
  return process.getuid?.() === 0 ? tools : ["root", ...tools];
}

export const lacking = missing();

export const hasCluster = lacking.length === 0;

if (!hasCluster)
  process.stderr.write(
    `\n!!! tests against a real sshd and SLURM DO NOT RUN: ${lacking.join(", ")} missing (scripts/setup --cluster, as root)\n\n`,
  );
