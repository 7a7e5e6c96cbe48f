/**
 * @file Locks that are files: made at once with link(2), also on network file systems, and naming host, process and its start
 * time, so that a lock whose process of this host is certainly gone can be taken over.
 */
import {
  existsSync,
  linkSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { jobIsGone, ownJob, type SlurmJob } from "./slurm_job.ts";

export interface LockOwner {
  readonly host: string;
  readonly pid: number;
  /** Clock ticks since boot when the process began: tells a reused pid from the owner. */
  readonly started: string;
  readonly nonce: string;
  /** Where its process number has its meaning: the boot of a machine and a namespace. Absent in locks of older versions. */
  readonly realm?: string;
  /** The machine itself, to tell a restart of it from another machine of that name. */
  readonly machine?: string;
  /** A process of a job is judged by its scheduler alone where it is on another machine. */
  readonly job?: SlurmJob;
}

function realm(): string {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return `${boot} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return "";
  }
}

function machine(): string {
  try {
    return readFileSync("/etc/machine-id", "utf8").trim();
  } catch {
    return "";
  }
}

function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name in parentheses may hold spaces; field 22 counts from behind it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // Dead, and only not yet buried by its parent.
    return fields[0] === "Z" ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

export function readOwner(path: string): LockOwner | null {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as LockOwner;
  } catch {
    return null;
  }
}

/** The process ran here, and there is none of that number and age. */
function goneHere(owner: LockOwner): boolean {
  if (owner.host !== hostname()) return false;
  if (owner.realm === undefined || owner.realm === realm())
    return startOf(owner.pid) !== owner.started;
  const [boot] = owner.realm.split(" ");
  const restarted = boot !== realm().split(" ")[0];
  // Another namespace of the same boot may hide it.
  return restarted && owner.machine !== "" && owner.machine === machine();
}

export const isGone = (owner: LockOwner): boolean =>
  goneHere(owner) || (owner.job !== undefined && jobIsGone(owner.job));

/** `held` also where the owner is on another host and nobody can tell; `dead`: its process is certainly gone. */
export function lockFileState(path: string): "free" | "held" | "dead" {
  if (!existsSync(path)) return "free";
  const owner = readOwner(path);
  return owner !== null && isGone(owner) ? "dead" : "held";
}

function make(path: string, owner: LockOwner): boolean {
  const own = `${path}.${owner.nonce}`;
  writeFileSync(own, JSON.stringify(owner));
  try {
    linkSync(own, path);
    return true;
  } catch {
    return false;
  } finally {
    unlinkSync(own);
  }
}

/**
 * Puts our lock in the place of a dead one. Several may try: who holds the lock on this very takeover may do it, once. Removing the
 * dead lock and making a new one would let a slower process remove the lock of a faster one.
 */
function takeOver(path: string, owner: LockOwner): boolean {
  const dead = readOwner(path);
  if (dead === null || !isGone(dead)) return false;
  const release = takeLockFile(`${path}.over-${dead.nonce}`);
  if (release === null) return false;
  try {
    if (readOwner(path)?.nonce !== dead.nonce) return false;
    const own = `${path}.${owner.nonce}`;
    writeFileSync(own, JSON.stringify(owner));
    renameSync(own, path);
    return true;
  } finally {
    release();
  }
}

/** Takes the lock, over a dead owner too; the result gives it back. Null: somebody holds it. */
export function takeLockFile(path: string): (() => void) | null {
  const job = ownJob();
  const owner: LockOwner = {
    host: hostname(),
    pid: process.pid,
    started: startOf(process.pid) ?? "",
    nonce: crypto.randomUUID(),
    ...{ realm: realm(), machine: machine() },
    ...(job === undefined ? {} : { job }),
  };
  if (!make(path, owner) && !takeOver(path, owner)) return null;
  return () => {
    if (readOwner(path)?.nonce === owner.nonce) rmSync(path, { force: true });
  };
}
