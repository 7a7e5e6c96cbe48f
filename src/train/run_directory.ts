/** @file The run directory: where a run keeps its configuration, environment, metrics and weights. */
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { arch, cpus, hostname, release, totalmem } from "node:os";
import { join } from "node:path";
import { UserError } from "../util/errors.ts";
import { VERSION } from "../util/version.ts";
import { lockRun } from "./run_lock.ts";

export interface RunPlace {
  readonly root: string;
  readonly project: string;
  readonly group: string;
  readonly name: string;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

export function runPath(place: RunPlace): string {
  for (const part of [place.project, place.group, place.name])
    if (!NAME.test(part))
      throw new UserError(`expected a name of letters, digits, ".", "_" and "-", got "${part}"`, {
        code: "config",
      });
  return join(place.root, "runs", place.project, place.group, place.name);
}

export interface RunDirectory {
  readonly path: string;
  /** A run of that name was there already and goes on. */
  readonly existed: boolean;
}

/** Renames a run's folder to the first `.old-N` that is free. Throws `conflict` when a trainer is at work in it. */
function moveAside(path: string): void {
  const unlock = lockRun(path);
  let number = 1;
  while (existsSync(`${path}.old-${number}`)) number++;
  const old = `${path}.old-${number}`;
  try {
    renameSync(path, old);
  } catch (error) {
    unlock();
    throw error;
  }
  // The lock has moved with the folder.
  rmSync(join(old, "lock"), { force: true });
}

/** Opens or makes a run's folder; with `fresh` an older run of that name is renamed out of the way first. */
export function openRunDirectory(place: RunPlace, fresh: boolean): RunDirectory {
  const path = runPath(place);
  if (existsSync(path)) {
    if (!fresh) return { path, existed: existsSync(join(path, "run.json")) };
    moveAside(path);
  }
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UserError(`cannot make the run directory ${path}: ${why}`, {
      code: "runtime",
      hint: "name another root folder as last argument or in THESEUS_ROOT",
    });
  }
  return { path, existed: false };
}

function gitCommit(): string | null {
  const { exitCode, stdout } = Bun.spawnSync(["git", "rev-parse", "HEAD"], { stderr: "ignore" });
  return exitCode === 0 ? stdout.toString().trim() : null;
}

/** What a run's numbers may depend on, besides its configuration. */
export function environment(device: unknown): Record<string, unknown> {
  return {
    version: VERSION,
    bun: Bun.version,
    git_commit: Bun.which("git") === null ? null : gitCommit(),
    host: hostname(),
    os: `${process.platform} ${release()} ${arch()}`,
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memory_bytes: totalmem(),
    device,
    started: new Date().toISOString(),
  };
}
