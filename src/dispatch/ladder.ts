/**
 * @file How a submitted run stands, from what is known of it: its own files first, then what the scheduler says. Nothing known is
 * `unknown`, never a failure.
 */

export type RunState =
  | "queued"
  | "running"
  | "finished"
  | "failed"
  | "preempted"
  | "cancelled"
  | "unknown";

/** A line of `attempts.jsonl`, which the job's script writes. */
export interface AttemptEvent {
  readonly event: "start" | "waiting" | "hung" | "end";
  readonly job: string;
  readonly attempt: number;
  readonly host: string;
  readonly time: number;
  readonly checkpoint: number;
  readonly code: number;
  readonly next: string;
}

export interface Evidence {
  /** The job that was submitted last, or started by hand since. */
  readonly job: string;
  /** Newest last; of that job alone. */
  readonly events: readonly AttemptEvent[];
  /** exit.json of the training. */
  readonly exit: { readonly state: string; readonly reason: string } | null;
  readonly heartbeatAge: number | null;
  readonly step: number | null;
  /** After which a training that hangs is killed; 0: never. */
  readonly hangSeconds: number;
  /** Whoever asked for the end of that job. */
  readonly cancelled: boolean;
  /** `pending`, `running`, `ending` or `gone` with the scheduler's own word and its reason; null: it does not say. */
  readonly scheduler: {
    readonly word: string;
    readonly state: string;
    readonly reason: string;
  } | null;
  /** Runs that make what this one reads, and the last event of each. */
  readonly after: readonly { readonly run: string; readonly last: AttemptEvent | null }[];
  /** Why the scheduler says nothing. */
  readonly silence: string;
}

export interface Standing {
  readonly state: RunState;
  readonly reason: string;
}

/** A heartbeat younger than this means that the run goes on. */
const ALIVE_S = 60;
/** No progress for so long is worth a word. */
const STANDSTILL_S = 120;

const CODES: Readonly<Record<number, string>> = {
  2: "its configuration is wrong",
  3: "something it needs was not found",
  5: "the run is locked or its configuration may not change so",
  6: "data or checkpoint is corrupt",
  7: "loss or gradients are not finite, or memory ran out",
  126: "theseus could not be executed there",
  127: "theseus was not found there",
  137: "killed, perhaps for memory",
  143: "killed by SIGTERM",
};

const ENDED: Readonly<Record<string, string>> = {
  TIMEOUT: "the time limit was reached before it could save",
  OUT_OF_MEMORY: "out of memory",
  NODE_FAIL: "its node failed",
  BOOT_FAIL: "its node did not start",
  DEADLINE: "its deadline passed",
  KILLED: "its processes are gone without a word: killed, perhaps for memory",
  REBOOTED: "the host was restarted meanwhile",
  FAILED: "the job failed",
};

function failedStanding({ exit }: Evidence, { code }: AttemptEvent): Standing {
  const own = exit?.state === "failed" ? exit.reason : undefined;
  const reason = own ?? `exit code ${code}${CODES[code] === undefined ? "" : `: ${CODES[code]}`}`;
  return { state: "failed", reason };
}

const unmade = ({ after }: Evidence) => after.filter(({ last }) => last?.next !== "finished");

/** Why it never begins. */
function unprepared(evidence: Evidence): Standing {
  const [first] = unmade(evidence);
  const { next, code } = first?.last ?? { next: "", code: 0 };
  const outcomes: Record<string, string> = {
    failed: `failed (exit code ${code})`,
    cancelled: "was cancelled",
    "gave up": "gave up",
  };
  const who =
    first === undefined ? "the job that makes its data" : `${first.run}, which makes its data,`;
  return { state: "failed", reason: `${who} ${outcomes[next] ?? "did not finish"}` };
}

/** Its job was taken away before it began, because another one failed. */
function isUnprepared(evidence: Evidence, last: AttemptEvent | undefined): boolean {
  const { scheduler, cancelled } = evidence;
  if (scheduler === null || cancelled || last !== undefined) return false;
  if (!/^(CANCELLED|UNKNOWN)/.test(scheduler.state)) return false;
  if (scheduler.reason === "DependencyNeverSatisfied") return true;
  const over = ["failed", "cancelled", "gave up", "not prepared"];
  return unmade(evidence).some((each) => over.includes(each.last?.next ?? ""));
}

/** The script saw the training end; what it meant to do next. */
function afterEnd(evidence: Evidence, last: AttemptEvent): Standing | null {
  switch (last.next) {
    case "finished":
      return { state: "finished", reason: "" };
    case "cancelled":
      return { state: "cancelled", reason: "" };
    case "failed":
      return failedStanding(evidence, last);
    case "not prepared":
      return unprepared(evidence);
    case "gave up":
      return { state: "failed", reason: "several attempts in a row brought no new checkpoint" };
    case "not requeued":
      return { state: "preempted", reason: "saved, but SLURM did not take it back into the queue" };
    default:
      return null;
  }
}

const durationOf = (seconds: number): string =>
  seconds < 120 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;

/** That it hangs, and since when. */
function standstill({ heartbeatAge, step, hangSeconds }: Evidence, last: AttemptEvent): string {
  const at = step === null ? "" : `, at step ${step}`;
  if (last.event === "hung") return `hangs: no progress for ${durationOf(last.code)}${at}; killed`;
  const worth = hangSeconds === 0 ? STANDSTILL_S : Math.min(STANDSTILL_S, hangSeconds / 2);
  if (heartbeatAge === null || heartbeatAge < worth) return "";
  const then = hangSeconds === 0 ? "" : `; killed after ${durationOf(hangSeconds)}`;
  return `no progress for ${durationOf(heartbeatAge)}${at}${then}`;
}

function byScheduler(evidence: Evidence, last: AttemptEvent | undefined): Standing | null {
  const { scheduler, exit, cancelled } = evidence;
  if (scheduler === null) return null;
  const { word, state, reason } = scheduler;
  const again = last === undefined ? "" : `attempt ${last.attempt + 1}`;
  const texts = (parts: readonly string[]): string =>
    parts.filter((part) => part !== "").join(", ");
  if (word === "pending") {
    // SLURM does not always name it at once.
    const unsaid = ["", "None", "Dependency"].includes(reason) && last === undefined;
    const waits = unsaid ? unmade(evidence).map(({ run }) => run) : [];
    const own = reason === "None" ? "" : reason;
    const why = waits.length > 0 ? `waits for ${waits.join(", ")}` : own;
    return { state: "queued", reason: texts([again, why]) };
  }
  if (word === "ending") return { state: cancelled ? "cancelled" : "running", reason: "ending" };
  if (word === "running") {
    if (last?.event === "waiting")
      return { state: "queued", reason: `waits for ${last.next || "free devices"}` };
    if (last === undefined) return { state: "running", reason: "starting" };
    if (last.event === "end") return { state: "running", reason: `${again} starting` };
    return { state: "running", reason: standstill(evidence, last) };
  }
  if (isUnprepared(evidence, last)) return unprepared(evidence);
  if (cancelled || state.startsWith("CANCELLED")) return { state: "cancelled", reason: "" };
  if (state === "PREEMPTED") return { state: "preempted", reason: "not taken back into the queue" };
  if (exit?.state === "finished" && (state === "COMPLETED" || state === "UNKNOWN"))
    return { state: "finished", reason: "" };
  const why = ENDED[state];
  if (why !== undefined) return { state: "failed", reason: why };
  return null;
}

export function standing(evidence: Evidence): Standing {
  const { events, heartbeatAge, cancelled, silence, scheduler } = evidence;
  const last = events.at(-1);
  const ended = last?.event === "end" ? afterEnd(evidence, last) : null;
  if (ended !== null) return ended;
  const asked = byScheduler(evidence, last);
  if (asked !== null) return asked;
  if (
    (last?.event === "start" || last?.event === "hung") &&
    heartbeatAge !== null &&
    heartbeatAge < ALIVE_S
  )
    return { state: "running", reason: silence };
  if (last?.event === "end" && last.next === "stopped")
    return cancelled
      ? { state: "cancelled", reason: "" }
      : { state: "preempted", reason: "saved and stopped by the scheduler" };
  if (last?.event === "end")
    return { state: "preempted", reason: "saved, waits for its next attempt" };
  const unsaid = scheduler === null ? silence : `SLURM says ${scheduler.state}`;
  return { state: "unknown", reason: unsaid === "" ? "nothing is known of its job" : unsaid };
}
