/** @file What a job's script is made from: where it runs, what it asks for, what it runs. Every path is absolute on the host. */

export interface RunName {
  readonly project: string;
  readonly group: string;
  readonly name: string;
}

/** What a job asks for, of one node where nothing else is said. */
export interface Resources {
  readonly chip: string | null;
  /** Of all nodes together. */
  readonly chips: number;
  readonly nodes: number;
  readonly cpus: number | null;
  readonly memoryBytes: number | null;
  readonly timeSeconds: number | null;
}

export interface SlurmOptions {
  readonly partition: string | null;
  /** As `--gres` takes it, a node: `gpu:h100:4`. */
  readonly gres: string | null;
  readonly account: string | null;
  readonly qos: string | null;
  /** Any further options; they win over ours. */
  readonly extra: ReadonlyMap<string, string>;
}

export interface JobSpec {
  readonly run: RunName;
  readonly host: string;
  readonly directory: string;
  readonly log: string;
  readonly binary: string;
  /** What follows the executable. */
  readonly args: readonly string[];
  readonly resources: Resources;
  /** Null: a host without scheduler. */
  readonly slurm: SlurmOptions | null;
  readonly setup: readonly string[];
  /** Asks the training to save and end with exit code 75. */
  readonly signal: string;
  /** Between that signal and the end of the time, at least. */
  readonly leadSeconds: number;
  /** Without any progress for so long the training is killed and begins again; 0: never. */
  readonly hangSeconds: number;
  /** Of the submission, for the record and for finding the job again. */
  readonly submission: string;
  /** Runs that make what this one reads, which must have finished. */
  readonly after: readonly string[];
  /** At most `count` jobs of one name run at a time on a host without scheduler. */
  readonly slots: { readonly name: string; readonly count: number } | null;
}

/** Folder of a run inside ROOT. */
export const runFolder = (root: string, { project, group, name }: RunName): string =>
  `${root}/runs/${project}/${group}/${name}`;

export const runText = ({ project, group, name }: RunName): string => `${project}/${group}/${name}`;

/** Job names of SLURM; also what `--dependency=singleton` goes by. */
export const jobName = ({ project, group, name }: RunName): string =>
  `theseus.${project}.${group}.${name}`;

/** Attempts in a row without a new checkpoint after which a job gives up. */
export const IDLE_ATTEMPTS = 3;

const MIN_LEAD_S = 60;

/** Three times the last save, at least a minute, and never more than a third of the time. */
export function leadSeconds(timeSeconds: number | null, lastSaveSeconds: number | null): number {
  const wanted = Math.max(MIN_LEAD_S, Math.ceil(3 * (lastSaveSeconds ?? 0)));
  return timeSeconds === null ? wanted : Math.max(1, Math.min(wanted, Math.floor(timeSeconds / 3)));
}
