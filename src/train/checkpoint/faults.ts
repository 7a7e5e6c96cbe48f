/**
 * @file Files that fail on demand, for the fault tests: `THESEUS_FAULT=write:3:kill` kills the process at the third write,
 * `fsync:2+:eio` fails the second fsync and all after it, `write:3:wait` lets the third write take three seconds. Operations: write
 * fsync rename mkdir create.
 */
import { UserError } from "../../util/errors.ts";
import type { Files, OpenFile } from "./files.ts";

const OPERATIONS = ["write", "fsync", "rename", "mkdir", "create"] as const;
type Operation = (typeof OPERATIONS)[number];
const ACTIONS = ["kill", "eio", "enospc", "edquot", "erofs", "estale", "wait"] as const;
const WAIT_MS = 3000;
type Action = (typeof ACTIONS)[number];

/** Wraps `files`; operation number `k` (from 1) of the named kind fails in the named way. */
export function faultyFiles(files: Files, fault: string): Files {
  const [operation, when = "", action = ""] = fault.split(":");
  const at = Number(/^(\d+)\+?$/.exec(when)?.[1] ?? 0);
  const known = OPERATIONS.includes(operation as Operation) && ACTIONS.includes(action as Action);
  if (!known || at < 1)
    throw new UserError(`THESEUS_FAULT expected operation:k:action, got "${fault}"`);
  let seen = 0;
  const strike = async (kind: Operation): Promise<void> => {
    if (kind !== operation) return;
    seen++;
    if (when.endsWith("+") ? seen < at : seen !== at) return;
    if (action === "wait") return Bun.sleep(WAIT_MS);
    if (action === "kill") process.kill(process.pid, "SIGKILL");
    const code = action.toUpperCase();
    throw Object.assign(new Error(`${code}: injected at ${fault}`), { code });
  };
  const wrap = (file: OpenFile): OpenFile => ({
    async write(bytes) {
      await strike("write");
      await file.write(bytes);
    },
    async sync() {
      await strike("fsync");
      await file.sync();
    },
    close: () => file.close(),
  });
  return {
    ...files,
    async makeFolder(path) {
      await strike("mkdir");
      await files.makeFolder(path);
    },
    async create(path) {
      await strike("create");
      return wrap(await files.create(path));
    },
    async rename(from, to) {
      await strike("rename");
      await files.rename(from, to);
    },
    async syncFolder(path) {
      await strike("fsync");
      await files.syncFolder(path);
    },
  };
}
