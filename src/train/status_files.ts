/** @file What a run leaves for others to read: events.jsonl, a heartbeat while it lives, exit.json when it ends. */
import {
  appendFileSync,
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { writeAtomically } from "../util/atomic_file.ts";
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

/** A crash may have left half a line: what follows must not become a part of it. */
function endLine(path: string): void {
  if (!existsSync(path)) return;
  const file = openSync(path, "r+");
  try {
    const { size } = fstatSync(file);
    const last = Buffer.alloc(1);
    if (size > 0) readSync(file, last, 0, 1, size - 1);
    if (size > 0 && last[0] !== 0x0a) appendFileSync(path, "\n");
  } finally {
    closeSync(file);
  }
}

export class StatusFiles {
  private readonly directory: string;
  private beaten = 0;

  constructor(directory: string) {
    this.directory = directory;
    endLine(join(directory, "events.jsonl"));
  }

  event(event: Readonly<Record<string, unknown>>): void {
    const line = redactedJson({ time: new Date().toISOString(), ...event });
    appendFileSync(join(this.directory, "events.jsonl"), `${line}\n`);
  }

  /** At most every few seconds; it need not survive a power cut, so there is no fsync. */
  beat(step: number, now = Date.now()): void {
    if (now - this.beaten < HEARTBEAT_MS) return;
    this.beaten = now;
    const path = join(this.directory, "heartbeat.json");
    const heartbeat: Heartbeat = { time: now / 1e3, step, host: hostname(), pid: process.pid };
    writeFileSync(`${path}.tmp`, JSON.stringify(heartbeat));
    renameSync(`${path}.tmp`, path);
  }

  exit(status: ExitStatus): void {
    writeAtomically(join(this.directory, "exit.json"), `${redactedJson(status)}\n`);
  }
}
