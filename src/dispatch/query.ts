/** @file How runs of a host stand, all in one call: their files, and the queue, which is asked for at most every half minute. */
import type { HostEntry } from "./dispatch_file.ts";
import { expectRun, type Host, MARK, sections } from "./host.ts";
import type { JobRecord } from "./job_record.ts";
import { runText } from "./job_spec.ts";
import { type AttemptEvent, type Evidence, type RunState, standing } from "./ladder.ts";
import { quote, quotePath } from "./quote.ts";
import { remoteFunctions } from "./remote_functions.ts";
import askSlurm from "./sh/ask_slurm.sh" with { type: "text" };
import readQueue from "./sh/read_queue.sh" with { type: "text" };
import readRuns from "./sh/read_runs.sh" with { type: "text" };

export interface RunStatus {
  readonly run: string;
  readonly host: string;
  readonly state: RunState;
  readonly reason: string;
  readonly step: number | null;
  readonly job: string;
  readonly attempt: number;
  readonly node: string | null;
  /** Seconds since 1970 by the host's clock, and how long ago that is by the same clock; null: not asked. */
  readonly submitted: number;
  readonly submitted_age_s: number | null;
  readonly heartbeat_age_s: number | null;
  readonly directory: string;
  readonly log: string;
  /** Of a failed run. */
  readonly log_tail: readonly string[];
}

const TAIL_LINES = 15;

/** `null`: all runs under the cluster's root. */
export function queryScript(entry: HostEntry, directories: readonly string[] | null): string {
  const { root, work } = entry.cluster;
  const slurm = entry.type === "slurm";
  const all = `${quotePath(root)}/runs/*/*/*`;
  return [
    `section() { printf '\\n%s %s\\n' '${MARK}' "$1"; }`,
    `tail_lines=${TAIL_LINES}`,
    `root=${quotePath(root)}`,
    `poll_seconds=${entry.pollSeconds}`,
    `queue_file=${quotePath(work)}/status/queue-$(id -un)`,
    remoteFunctions(entry),
    slurm ? readQueue : "",
    slurm ? askSlurm : 'ask() { job_state "$1" "$2/submit"; }',
    `list_runs() { for d in ${directories === null ? all : directories.map(quote).join(" ")}; do echo "$d"; done; }`,
    readRuns,
  ].join("\n");
}

function json<T>(text: string | undefined): T | null {
  try {
    return JSON.parse(text ?? "") as T;
  } catch {
    return null;
  }
}

function lines<T>(text: string | undefined): T[] {
  return (text ?? "").split("\n").flatMap((line) => {
    const parsed = json<T>(line);
    return parsed === null ? [] : [parsed];
  });
}

interface QueueRow {
  readonly state: string;
  readonly reason: string;
  readonly node: string;
}

interface Queue {
  readonly asked: number;
  readonly rows: ReadonlyMap<string, QueueRow>;
}

function parseQueue(text: string | undefined): Queue {
  const [asked = "", ...rows] = (text ?? "").split("\n");
  return {
    asked: Number(asked) || 0,
    rows: new Map(
      rows
        .map((row) => row.split("|"))
        .filter((cells) => cells.length >= 4)
        .map(([id = "", state = "", reason = "", node = ""]) => [id, { state, reason, node }]),
    ),
  };
}

/** As \`job_word\` of the host's functions has it. */
function wordOf(state: string): string {
  if (
    /^(PENDING|CONFIGURING|REQUEUED|REQUEUE_HOLD|REQUEUE_FED|SPECIAL_EXIT|RESV_DEL_HOLD)/.test(
      state,
    )
  )
    return "pending";
  if (/^(RUNNING|SUSPENDED|STOPPED|SIGNALING|RESIZING|STAGE_OUT)/.test(state)) return "running";
  return state === "COMPLETING" ? "ending" : "gone";
}

function schedulerOf(
  job: string,
  submitted: number,
  said: string,
  queue: Queue | null,
): Evidence["scheduler"] {
  const row = queue?.rows.get(job);
  if (row !== undefined) return { word: wordOf(row.state), state: row.state, reason: row.reason };
  const [word = "", state = ""] = said.trim().split(" ");
  if (word !== "" && word !== "unknown") return { word, state, reason: "" };
  // Submitted after the queue was asked for.
  if (queue !== null && queue.asked > 0 && submitted >= queue.asked)
    return { word: "pending", state: "PENDING", reason: "" };
  return null;
}

type Line = AttemptEvent | { readonly event: "submitted"; readonly submission: string };

const isAttempt = (line: Line): line is AttemptEvent => line.event !== "submitted";

/** A job that somebody started by hand after the last submission is the run's job now; lines are in order, clocks may not be. */
function currentJob(record: JobRecord, lines: readonly Line[]): string {
  const began = lines.findLastIndex(
    (line) => line.event === "submitted" && line.submission === record.submission,
  );
  const last = lines.slice(began + 1).findLast(isAttempt);
  if (last === undefined || last.job === record.job) return record.job;
  // A submission so many attempts ago that its line is not among those that were read.
  return began !== -1 || last.time > record.submitted ? last.job : record.job;
}

interface Beat {
  readonly step: number;
  /** By the clock of the file system alone. */
  readonly age: number;
}

function beatOf(text: string | undefined, now: number): Beat | null {
  const [beaten = "", ...rest] = (text ?? "").split("\n");
  const heartbeat = json<{ step: number }>(rest.join("\n"));
  if (heartbeat === null || beaten === "") return null;
  return { step: heartbeat.step, age: Math.max(0, now - Number(beaten)) };
}

/** Lines of a run's folder and the last event of its job. */
function afterOf(text: string | undefined): Evidence["after"] {
  return (text ?? "").split("\n").flatMap((line) => {
    const [directory = "", event] = line.split("\t");
    const run = directory.split("/").slice(-3).join("/");
    return directory === "" ? [] : [{ run, last: json<AttemptEvent>(event) }];
  });
}

function statusOf(
  host: HostEntry,
  parts: ReadonlyMap<string, string>,
  key: string,
  queue: Queue | null,
): RunStatus | null {
  const part = (name: string): string | undefined => parts.get(`${key}.${name}`);
  const record = json<JobRecord>(part("job.json"));
  if (record === null) return null;
  const all = lines<Line>(part("events"));
  const job = currentJob(record, all);
  const events = all.filter(isAttempt).filter((event) => event.job === job);
  const beat = beatOf(part("beat"), Number(parts.get("file_clock")));
  const step = json<{ step?: number }>(part("metrics"))?.step ?? beat?.step ?? null;
  const { state, reason } = standing({
    ...{ job, events, step, heartbeatAge: beat?.age ?? null, hangSeconds: record.hang_s ?? 0 },
    exit: json(part("exit.json")),
    cancelled: part("cancel")?.trim() === job,
    scheduler: schedulerOf(job, record.submitted, part("said") ?? "", queue),
    after: afterOf(part("after")),
    silence: parts.get("silence")?.trim() ?? "",
  });
  const tail = (part("tail") ?? "").split("\n").filter((line) => line.trim() !== "");
  return {
    run: runText(record),
    host: host.name,
    ...{ state, reason, step, job },
    attempt: events.at(-1)?.attempt ?? 0,
    node: queue?.rows.get(job)?.node || (events.at(-1)?.host ?? null),
    submitted: record.submitted,
    submitted_age_s: Math.max(0, Number(parts.get("now")) - record.submitted),
    heartbeat_age_s: beat?.age ?? null,
    directory: record.directory,
    log: record.log,
    log_tail: state === "failed" ? tail : [],
  };
}

export interface Queried {
  readonly statuses: readonly RunStatus[];
  /** As the runs' folders hold them. */
  readonly records: readonly JobRecord[];
}

/**
 * `directories` null: whatever was submitted to that host, by anybody. What was submitted to one of `siblings`, hosts that share its
 * folders, stays theirs.
 */
export async function queryHost(
  host: Host,
  directories: readonly string[] | null,
  siblings: ReadonlySet<string> = new Set(),
): Promise<Queried> {
  if (directories?.length === 0) return { statuses: [], records: [] };
  const { stdout } = await expectRun(
    host,
    queryScript(host.entry, directories),
    "ask for the runs",
  );
  const parts = sections(stdout);
  const queue = host.entry.type === "slurm" ? parseQueue(parts.get("queue")) : null;
  const statuses: RunStatus[] = [];
  const records: JobRecord[] = [];
  for (let i = 0; parts.has(`run${i}`); i++) {
    const status = statusOf(host.entry, parts, `run${i}`, queue);
    const record = json<JobRecord>(parts.get(`run${i}.job.json`));
    if (status === null || record === null) continue;
    // Where the record stands is where the run is, whatever it was called when it was submitted.
    const at = { host: siblings.has(record.host) ? record.host : host.entry.name };
    statuses.push({ ...status, ...at });
    records.push({ ...record, ...at });
  }
  return { statuses, records };
}
