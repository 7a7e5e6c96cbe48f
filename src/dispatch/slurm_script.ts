/** @file What a job's script has for SLURM alone: directives, how tasks are started, how a job puts itself back into the queue. */
import type { JobSpec, Resources, SlurmOptions } from "./job_spec.ts";
import rendezvous from "./sh/rendezvous.sh" with { type: "text" };

const MIB = 2 ** 20;

/** As `--time` takes it. */
export function slurmTime(seconds: number): string {
  const two = (value: number): string => String(Math.floor(value)).padStart(2, "0");
  const days = Math.floor(seconds / 86_400);
  const rest = seconds % 86_400;
  const clock = `${two(rest / 3600)}:${two((rest % 3600) / 60)}:${two(rest % 60)}`;
  return days === 0 ? clock : `${days}-${clock}`;
}

/** One process a device, or one a node without devices. */
export const tasksPerNode = ({ chip, chips, nodes }: Resources): number =>
  chip === null ? 1 : Math.ceil(chips / nodes);

function ownOptions(spec: JobSpec, slurm: SlurmOptions, name: string): [string, string | null][] {
  const { resources, log, leadSeconds, submission } = spec;
  const { nodes, cpus, memoryBytes, timeSeconds } = resources;
  const tasks = nodes === 1 ? 1 : tasksPerNode(resources);
  return [
    ["job-name", name],
    ["output", log],
    ["open-mode", "append"],
    ["export", "NONE"],
    ["requeue", null],
    // Two jobs of one name never run at a time, also when one is started by hand.
    ["dependency", "singleton"],
    ["comment", `theseus:${submission}`],
    ["signal", `B:USR1@${leadSeconds}`],
    ["nodes", String(nodes)],
    ["ntasks-per-node", String(tasks)],
    ["cpus-per-task", String(Math.max(1, Math.floor((cpus ?? tasks) / tasks)))],
    ["mem", memoryBytes === null ? "" : `${Math.ceil(memoryBytes / MIB)}M`],
    ["time", timeSeconds === null ? "" : slurmTime(timeSeconds)],
    ["gres", slurm.gres ?? ""],
    ["partition", slurm.partition ?? ""],
    ["account", slurm.account ?? ""],
    ["qos", slurm.qos ?? ""],
  ];
}

export function slurmHeader(spec: JobSpec, name: string): string {
  const options = new Map(ownOptions(spec, spec.slurm as SlurmOptions, name));
  for (const [key, value] of spec.slurm?.extra ?? []) options.set(key, value);
  return [...options]
    .filter(([, value]) => value !== "")
    .map(([key, value]) => `#SBATCH --${key}${value === null ? "" : `=${directive(value)}`}`)
    .join("\n");
}

/** sbatch reads a directive as a shell reads words. */
const directive = (value: string): string =>
  /[\s"'#\\]/.test(value) ? `"${value.replaceAll(/["\\]/g, "\\$&")}"` : value;

/** SIGKILL to srun would leave its tasks, and to the job by its number would cancel it. */
const KILL_TRAINING = `
kill_training() {
  local step
  for step in $(squeue -h -s -j "$SLURM_JOB_ID" -o %i); do
    case "$step" in *.[0-9]*) scancel --signal=KILL "$step" ;; esac
  done
}`;

const STOP_BY_SRUN = `
# shellcheck disable=SC2317 # called when a signal comes
stop_training() { kill -s "$stop_signal" "$trainer" 2>/dev/null; }`;

/** srun itself takes SIGTERM as an order to kill. */
const STOP_BY_SCANCEL = `
# shellcheck disable=SC2317 # called when a signal comes
stop_training() { scancel --signal="$stop_signal" "$SLURM_JOB_ID"; }`;

const RANKED = `bash -c 'THESEUS_RANK=$SLURM_PROCID THESEUS_LOCAL_RANK=$SLURM_LOCALID exec "$@"' rank`;

export function slurmStart({ resources, signal }: JobSpec, command: string): string {
  const many = resources.nodes > 1;
  return [
    many ? rendezvous : "",
    signal === "TERM" ? STOP_BY_SCANCEL : STOP_BY_SRUN,
    KILL_TRAINING,
    "note start",
    "# srun does not take the number of cores from the job by itself.",
    many ? "# shellcheck disable=SC2016 # the variables are those of each task" : "",
    'srun --kill-on-bad-exit=1 --ntasks="$SLURM_NTASKS" --cpus-per-task="$SLURM_CPUS_PER_TASK" \\',
    `  ${many ? `${RANKED} ${command}` : command} &`,
    "trainer=$!",
  ]
    .filter((line) => line !== "")
    .join("\n");
}
