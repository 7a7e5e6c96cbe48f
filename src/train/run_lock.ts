/**
 * @file One trainer a run directory. The lock is a file made with O_EXCL that names host, process and its start time; it is taken
 * over only when that process of this host is certainly gone.
 */
import { existsSync, linkSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { UserError } from "../util/errors.ts";

interface Owner {
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

function readOwner(path: string): Owner | null {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Owner;
  } catch {
    return null;
  }
}

const isGone = (owner: Owner): boolean =>
  owner.host === hostname() && startOf(owner.pid) !== owner.started;

/** `held` also where the owner is on another host and nobody can tell; `dead`: its process is certainly gone. */
export function lockState(directory: string): "free" | "held" | "dead" {
  const path = join(directory, "lock");
  if (!existsSync(path)) return "free";
  const owner = readOwner(path);
  return owner !== null && isGone(owner) ? "dead" : "held";
}

function take(path: string, owner: Owner): boolean {
  // link(2) makes the complete file appear at once, also on network file systems.
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

/** Takes the lock of a run directory or throws `conflict`; the result gives it back. */
export function lockRun(directory: string): () => void {
  const path = join(directory, "lock");
  const owner: Owner = {
    host: hostname(),
    pid: process.pid,
    started: startOf(process.pid) ?? "",
    nonce: crypto.randomUUID(),
  };
  if (!take(path, owner)) {
    const other = readOwner(path);
    if (other === null || !isGone(other))
      throw new UserError(
        `another trainer is at work in ${directory}` +
          (other === null ? "" : ` (process ${other.pid} on ${other.host})`),
        {
          code: "conflict",
          hint: `stop it first; if it is certainly gone, remove ${path}`,
        },
      );
    rmSync(path, { force: true });
    if (!take(path, owner))
      throw new UserError(`another trainer has just started in ${directory}`, { code: "conflict" });
  }
  return () => {
    if (readOwner(path)?.nonce === owner.nonce) rmSync(path, { force: true });
  };
}
