/**
 * @file The one script that makes a job: it takes the run's lock, looks once more whether a job of that run lives, puts the files in
 * place, hands the job over and writes down its name, all on the host, so that a lost connection leaves the whole of it or none.
 */
import type { HostEntry } from "./dispatch_file.ts";
import { quote, quoteAll } from "./quote.ts";
import { remoteFunctions } from "./remote_functions.ts";
import commitFunctions from "./sh/commit.sh" with { type: "text" };

export interface CommitFile {
  /** Below the run's `submit/`. */
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Readable by its owner only. */
  readonly secret?: boolean;
}

export interface CommitCell {
  readonly directory: string;
  readonly log: string;
  readonly files: readonly CommitFile[];
}

export interface Commit {
  readonly cells: readonly CommitCell[];
  readonly submission: string;
  /** Jobs that make what the cells read: handed over first; the cells begin when they have finished. */
  readonly before: readonly { readonly cell: CommitCell; readonly submission: string }[];
  /** The same, of jobs that SLURM has already. */
  readonly known: readonly string[];
  /** A script that hands all cells over as one array, with where it is put; null: the only cell's own job.sh. */
  readonly array: {
    readonly folder: string;
    readonly script: Uint8Array;
    readonly range: string;
  } | null;
}

/** How the script ends when it does not make a job (sh/commit.sh). */
export const COMMIT_EXIT = {
  folder: 20,
  busy: 21,
  live: 22,
  unknown: 23,
  refused: 24,
  unreachable: 25,
  damaged: 26,
} as const;

const sha256 = (bytes: Uint8Array): string =>
  new Bun.CryptoHasher("sha256").update(bytes).digest("hex");

const receive = ({ bytes, secret }: CommitFile, path: string): string =>
  `receive ${secret === true ? "077" : "022"} ${bytes.length} ${sha256(bytes)} ${quote(path)}`;

const submitOf = ({ directory }: CommitCell): string => quote(`${directory}/submit`);

/** `after`: names of the jobs that the cells wait for. */
function startBefore({ before, known }: Commit, slurm: boolean): string[] {
  if (!slurm)
    return before.map(({ cell, submission }) => {
      return `start_plain ${submitOf(cell)} ${quote(cell.log)} ${quote(submission)}`;
    });
  const handed = before.flatMap(({ cell, submission }) => [
    `hand_over ${quote(submission)} ${submitOf(cell)} -- ${submitOf(cell)}/job.sh`,
    `record ${submitOf(cell)} "$id"`,
    `handed="$handed $id" after="\${after:+$after:}$id"`,
  ]);
  return [`after=${quote(known.join(":"))}`, ...handed];
}

function start({ cells, array, submission }: Commit, submits: readonly string[], slurm: boolean) {
  if (!slurm)
    return cells.map(
      ({ log }, i) => `start_plain ${submits[i]} ${quote(log)} ${quote(submission)}`,
    );
  const script = array === null ? `${submits[0]}/job.sh` : quote(`${array.folder}/sweep.sh`);
  const range = array === null ? "" : `--array=${quote(array.range)} `;
  const indices = array === null ? [] : expandRange(array.range);
  return [
    // A job of its own keeps what its script says besides; one whose data will never be made is not kept waiting.
    `waits="\${after:+--dependency=afterok:$after${array === null ? ",singleton" : ""} --kill-on-invalid-dep=yes}"`,
    `hand_over ${quote(submission)} ${submits.join(" ")} -- $waits ${range}${script}`,
    ...submits.map(
      (submit, i) => `record ${submit} "\${id}${array === null ? "" : `_${indices[i]}`}"`,
    ),
  ];
}

/** `0-2,5` */
export function expandRange(range: string): number[] {
  return range
    .replace(/%\d+$/, "")
    .split(",")
    .flatMap((part) => {
      const [from = "0", to = from] = part.split("-");
      return Array.from({ length: Number(to) - Number(from) + 1 }, (_, i) => Number(from) + i);
    });
}

export function commitScript(
  entry: HostEntry,
  commit: Commit,
  queueFile: string,
): { readonly script: string; readonly input: Uint8Array } {
  const { array } = commit;
  const slurm = entry.type === "slurm";
  const submits = commit.cells.map(submitOf);
  const cells = [...commit.before.map(({ cell }) => cell), ...commit.cells];
  const all = cells.map(submitOf);
  const sweep: CommitFile[] = array === null ? [] : [{ name: "sweep.sh", bytes: array.script }];
  const folder = array?.folder ?? "";
  const script = [
    remoteFunctions(entry),
    `queue_file=${quote(queueFile)}`,
    "now=$(date +%s)",
    commitFunctions,
    ...cells.map(({ directory, log }) => `open_run ${quote(directory)} ${quote(log)}`),
    ...all.map((submit) => `refuse_live ${submit}`),
    ...cells.flatMap(({ directory, files }) =>
      files.map((file) => receive(file, `${directory}/submit/${file.name}`)),
    ),
    ...(array === null ? [] : [`mkdir -p ${quote(folder)} || fail 20 'cannot make the sweep'`]),
    ...sweep.map((file) => receive(file, `${folder}/${file.name}`)),
    ...cells.map(({ files }, i) => `place ${all[i]} ${quoteAll(files.map(({ name }) => name))}`),
    ...(array === null ? [] : [`place ${quote(folder)} sweep.sh`]),
    ...startBefore(commit, slurm),
    ...start(commit, submits, slurm),
    "done_well=1",
    "exit 0",
  ].join("\n");
  const parts = [...cells.flatMap(({ files }) => files), ...sweep];
  return { script, input: Buffer.concat(parts.map(({ bytes }) => bytes)) };
}
