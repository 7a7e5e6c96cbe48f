/** @file The job of SLURM that this process runs in, and what the scheduler says of another one. */

export interface SlurmJob {
  readonly cluster: string;
  readonly id: string;
  /** How often SLURM has started it again. */
  readonly restarts: number;
}

export function ownJob(): SlurmJob | undefined {
  const id = process.env.SLURM_JOB_ID;
  if (id === undefined || id === "") return undefined;
  const restarts = Number(process.env.SLURM_RESTART_COUNT ?? 0) || 0;
  return { cluster: process.env.SLURM_CLUSTER_NAME ?? "", id, restarts };
}

/** States from which no process of a job comes back. A job that is COMPLETING may still have some. */
const OVER = [
  ...["COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL"],
  ...["DEADLINE", "OUT_OF_MEMORY", "REVOKED"],
];

/** Only when the scheduler says so: no answer means no. */
export function isOver({ id }: SlurmJob): boolean {
  if (Bun.which("scontrol") === null) return false;
  const asked = Bun.spawnSync(["scontrol", "show", "job", id], { timeout: 30_000 });
  const said = asked.stdout.toString() + asked.stderr.toString();
  // Of a job that ended long ago it keeps nothing.
  const [, state = ""] = /\bJobState=([A-Z_]+)/.exec(said) ?? [];
  return OVER.includes(state) || said.includes("Invalid job id");
}

/** Whether the processes of `owner` are gone: it is this very job, started again since, or one that is over. */
export function jobIsGone(owner: SlurmJob): boolean {
  const own = ownJob();
  if (own === undefined || own.cluster !== owner.cluster) return false;
  if (own.id === owner.id) return own.restarts > owner.restarts;
  return isOver(owner);
}
