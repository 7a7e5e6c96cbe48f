/**
 * @file Locks that are files: made at once with link(2), also on network file systems, and naming host, process and its start
 * time, so that a lock whose process of this host is certainly gone can be taken over.
 */
import {
  existsSync,
  linkSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";

export interface LockOwner {
  readonly host: string;
  readonly pid: number;
  /** Clock ticks since boot when the process began: tells a reused pid from the owner. */
  readonly started: string;
  readonly nonce: string;
}

function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name in parentheses may hold spaces; field 22 counts from behind it.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
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

export const isGone = (owner: LockOwner): boolean =>
  owner.host === hostname() && startOf(owner.pid) !== owner.started;

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
  const owner: LockOwner = {
    host: hostname(),
    pid: process.pid,
    started: startOf(process.pid) ?? "",
    nonce: crypto.randomUUID(),
  };
  if (!make(path, owner) && !takeOver(path, owner)) return null;
  return () => {
    if (readOwner(path)?.nonce === owner.nonce) rmSync(path, { force: true });
  };
}
