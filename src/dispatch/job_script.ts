/**
 * @file The script of a job: readable, complete in itself, kept in the run's folder, and good to be started by hand. The same body
 * everywhere; only who starts it anew after exit code 75 differs between SLURM and a host without scheduler.
 */
import { IDLE_ATTEMPTS, type JobSpec, jobName, runText } from "./job_spec.ts";
import { plainStart, plainWaits } from "./plain_script.ts";
import { quote } from "./quote.ts";
import bookkeeping from "./sh/bookkeeping.sh" with { type: "text" };
import bound from "./sh/bound.sh" with { type: "text" };
import environment from "./sh/environment.sh" with { type: "text" };
import plainIdentity from "./sh/plain_identity.sh" with { type: "text" };
import plainRequeue from "./sh/plain_requeue.sh" with { type: "text" };
import progress from "./sh/progress.sh" with { type: "text" };
import slurmIdentity from "./sh/slurm_identity.sh" with { type: "text" };
import slurmRequeue from "./sh/slurm_requeue.sh" with { type: "text" };
import wait from "./sh/wait.sh" with { type: "text" };
import { slurmHeader, slurmStart } from "./slurm_script.ts";

const variables = ({
  directory,
  binary,
  resources,
  leadSeconds,
  hangSeconds,
  signal,
}: JobSpec): string => `
run_dir=${quote(directory)}
submit_dir="$run_dir/submit"
binary=${quote(binary)}
# Seconds; 0: no limit. The training is asked to save and to end this long before the limit.
time_limit=${resources.timeSeconds ?? 0}
lead=${leadSeconds}
# Without any progress for so long the training is killed and begins again. 0: never.
hang_after=${hangSeconds}
stop_signal=${signal}
idle_attempts=${IDLE_ATTEMPTS}
`;

/** Bash, with comments for whoever reads it in the run's folder. */
export function jobScript(spec: JobSpec): string {
  const { run, slurm, args, setup } = spec;
  const by = slurm === null ? "bash" : "sbatch";
  const command = ['"$binary"', ...args.map(quote)].join(" ");
  const parts = [
    "#!/bin/bash",
    `# The job of the run ${runText(run)}, written by theseus submit. By hand: ${by} job.sh`,
    ...(slurm === null ? [] : [slurmHeader(spec, jobName(run))]),
    "set -u",
    variables(spec),
    slurm === null ? plainIdentity : slurmIdentity,
    bookkeeping,
    bound,
    ...(setup.length === 0 ? [] : ["# setup: of the host.", ...setup, ""]),
    environment,
    slurm === null ? plainWaits(spec) : "",
    slurm === null ? plainStart(command) : slurmStart(spec, command),
    "",
    progress,
    wait,
    slurm === null ? plainRequeue : slurmRequeue,
  ];
  return `${parts
    .join("\n")
    .replaceAll(/\n{3,}/g, "\n\n")
    .trimEnd()}\n`;
}
