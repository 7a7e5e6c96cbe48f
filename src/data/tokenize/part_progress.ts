/**
 * @file How far a part has come, noted so that work goes on there. `progress.json` is durable: what it counts is on the disk. `recent`
 * is noted far more often and costs next to nothing, for nothing waits for the disk: what a process has written outlives its kill, but not
 * the system's end, so a note counts only within the boot that it was made in.
 */
import { closeSync, existsSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { writeAll, writeAtomically } from "../../util/atomic_file.ts";
import type { SplitName } from "../shards/format.ts";
import { type SplitState, splitFiles, type TokenDtype } from "./split_writer.ts";

export interface BadNote {
  readonly piece: number;
  readonly position: number;
  readonly why: string;
}

export interface PartProgress {
  readonly piece: number;
  /** Null: the piece was not begun. */
  readonly at: number | null;
  /** Split of the document that goes on at `at`. */
  readonly open: SplitName | null;
  readonly splits: Readonly<Record<SplitName, SplitState>>;
  readonly counts: Readonly<Record<string, number>>;
  readonly bad: readonly BadNote[];
}

export const PROGRESS = "progress.json";
export const RECENT = "recent";
const BOOT_FILE = "/proc/sys/kernel/random/boot_id";

/** Null: it cannot be told, and recent notes are neither made nor believed. */
function bootId(): string | null {
  try {
    return readFileSync(BOOT_FILE, "utf8").trim();
  } catch {
    return null;
  }
}

const boot = bootId();

const hashOf = (text: string): string => Bun.hash.xxHash3(text).toString(16).padStart(16, "0");

/** Notes over one another, in one file that stays open. */
export class RecentNotes {
  private readonly fd: number | null;

  constructor(folder: string) {
    const path = join(folder, RECENT);
    this.fd = boot === null ? null : openSync(path, existsSync(path) ? "r+" : "w");
  }

  write(progress: PartProgress): void {
    if (this.fd === null) return;
    const body = JSON.stringify({ boot, ...progress });
    // A longer note before leaves its end behind the newline.
    writeAll(this.fd, Buffer.from(`${hashOf(body)} ${body}\n`), 0);
  }

  close(): void {
    if (this.fd !== null) closeSync(this.fd);
  }
}

/** Null where there is none, it was cut by the kill, is of another boot, or counts more than the files have. */
function recentProgress(folder: string, dtype: TokenDtype, masked: boolean): PartProgress | null {
  const path = join(folder, RECENT);
  if (boot === null || !existsSync(path)) return null;
  const line = readFileSync(path, "utf8").split("\n", 1)[0] ?? "";
  const body = line.slice(line.indexOf(" ") + 1);
  if (line !== `${hashOf(body)} ${body}`) return null;
  const noted = JSON.parse(body) as PartProgress & { readonly boot: string };
  if (noted.boot !== boot) return null;
  for (const split of ["train", "validation"] as const)
    for (const { path: file, bytes } of splitFiles(
      folder,
      split,
      dtype,
      masked,
      noted.splits[split],
    ))
      if ((statSync(file, { throwIfNoEntry: false })?.size ?? -1) < bytes) return null;
  return noted;
}

export function readProgress(
  folder: string,
  dtype: TokenDtype,
  masked: boolean,
): PartProgress | null {
  const recent = recentProgress(folder, dtype, masked);
  if (recent !== null) return recent;
  const path = join(folder, PROGRESS);
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as PartProgress) : null;
}

export const writeProgress = (folder: string, progress: PartProgress): void =>
  writeAtomically(join(folder, PROGRESS), `${JSON.stringify(progress)}\n`);
