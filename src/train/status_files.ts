/** @file What a run leaves for others to read: events.jsonl, a heartbeat while it lives, exit.json when it ends. */
import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { workDone } from "../runtime/index.ts";
import { writeAtomically } from "../util/atomic_file.ts";
import { isSystemError } from "../util/errors.ts";
import { LineFile } from "../util/line_file.ts";
import { log } from "../util/log.ts";
import { redactedJson } from "../util/redact.ts";

const HEARTBEAT_MS = 5000;

export interface ExitStatus {
  readonly state: "finished" | "interrupted" | "failed";
  readonly step: number;
  readonly reason: string;
  readonly attempt: number;
}

export interface Heartbeat {
  readonly time: number;
  readonly step: number;
  readonly host: string;
  readonly pid: number;
}

export function readJson<T>(path: string): T | null {
  if (!existsSync(path)) return null;
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch {
    return null;
  }
}

export const readExit = (directory: string): ExitStatus | null =>
  readJson<ExitStatus>(join(directory, "exit.json"));

export const readHeartbeat = (directory: string): Heartbeat | null =>
  readJson<Heartbeat>(join(directory, "heartbeat.json"));

/** What the clock of the file system says: it is also that of the files that other machines write there. */
function fileClock(directory: string): number {
  const trial = join(directory, `.now-${process.pid}`);
  try {
    writeFileSync(trial, "");
    return statSync(trial).mtimeMs;
  } catch {
    return Date.now();
  } finally {
    rmSync(trial, { force: true });
  }
}

/** In seconds; the trainer may be on a machine whose own clock is off. */
export function heartbeatAge(directory: string): number | null {
  const beat = statSync(join(directory, "heartbeat.json"), { throwIfNoEntry: false });
  return beat === undefined ? null : (fileClock(directory) - beat.mtimeMs) / 1e3;
}

export type RunEvent = Readonly<Record<string, unknown>> & { readonly event: string };

/** In the order in which they happened. What a crash left half written is passed over. */
export function readEvents(directory: string): RunEvent[] {
  const path = join(directory, "events.jsonl");
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .flatMap((line): RunEvent[] => {
      try {
        const event = JSON.parse(line) as RunEvent | null;
        return typeof event?.event === "string" ? [event] : [];
      } catch {
        return [];
      }
    });
}

/** What tells of the work must never end it. */
function tolerant(path: string, body: () => void): void {
  try {
    body();
  } catch (error) {
    if (!isSystemError(error)) throw error;
    log.warn(`${path}: ${error.message}`);
  }
}

export class StatusFiles {
  private readonly directory: string;
  private readonly events: LineFile;
  private beaten = 0;

  constructor(directory: string) {
    this.directory = directory;
    this.events = new LineFile(join(directory, "events.jsonl"));
  }

  event(event: Readonly<Record<string, unknown>>): void {
    this.events.append(`${redactedJson({ time: new Date().toISOString(), ...event })}\n`);
  }

  /** At most every few seconds; it need not survive a power cut, so there is no fsync. */
  beat(step: number, now = Date.now()): void {
    if (now - this.beaten < HEARTBEAT_MS) return;
    this.beaten = now;
    const path = join(this.directory, "heartbeat.json");
    const heartbeat: Heartbeat = { time: now / 1e3, step, host: hostname(), pid: process.pid };
    tolerant(path, () => {
      writeFileSync(`${path}.tmp`, JSON.stringify(heartbeat));
      renameSync(`${path}.tmp`, path);
    });
  }

  /** Beats between steps too, for as long as the device gets work done: a long validation is no standstill. */
  beatWhileWorking(step: () => number): () => void {
    let seen = workDone();
    const timer = setInterval(() => {
      const done = workDone();
      if (done === seen) return;
      seen = done;
      this.beat(step());
    }, HEARTBEAT_MS);
    timer.unref();
    return () => clearInterval(timer);
  }

  exit(status: ExitStatus): void {
    const path = join(this.directory, "exit.json");
    tolerant(path, () => writeAtomically(path, `${redactedJson(status)}\n`));
  }
}
