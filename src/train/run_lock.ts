/** @file One trainer a run directory: its file `lock`. */
import { join } from "node:path";
import { UserError } from "../util/errors.ts";
import { lockFileState, readOwner, takeLockFile } from "../util/lock_file.ts";

/** `held` also where the owner is on another host and nobody can tell; `dead`: its process is certainly gone. */
export const lockState = (directory: string): "free" | "held" | "dead" =>
  lockFileState(join(directory, "lock"));

/** Takes the lock of a run directory or throws `conflict`; the result gives it back. */
export function lockRun(directory: string): () => void {
  const path = join(directory, "lock");
  const release = takeLockFile(path);
  if (release !== null) return release;
  const other = readOwner(path);
  throw new UserError(
    `another trainer is at work in ${directory}` +
      (other === null ? "" : ` (process ${other.pid} on ${other.host})`),
    { code: "conflict", hint: `stop it first; if it is certainly gone, remove ${path}` },
  );
}
