/** @file A host that is in use: what the dispatch file says of it, and a shell on it. */
import { RemoteError } from "../util/errors.ts";
import type { HostEntry } from "./dispatch_file.ts";
import { LocalShell, type Reply, type RunOptions, type Shell } from "./shell.ts";
import { SshShell } from "./ssh.ts";

export interface Host {
  readonly entry: HostEntry;
  readonly shell: Shell;
}

export const openHost = (entry: HostEntry): Host => ({
  entry,
  shell: entry.ssh === null ? new LocalShell() : new SshShell(entry.ssh, entry.sshConfig),
});

/** The last words of a command that failed. */
export const lastLine = (text: string): string => text.trim().split("\n").at(-1)?.trim() ?? "";

/** Runs a script that must end well. */
export async function expectRun(
  { shell, entry }: Host,
  script: string,
  what: string,
  options?: RunOptions,
): Promise<Reply> {
  const reply = await shell.run(script, options);
  if (reply.code === 0) return reply;
  const said = lastLine(reply.stderr) || lastLine(reply.stdout);
  throw new RemoteError(
    `${entry.name}: cannot ${what} (exit code ${reply.code}${said === "" ? "" : `: ${said}`})`,
  );
}

/** Parts of a script's output, each begun by a line that `mark` prints. */
export const MARK = "@@theseus@@";

export const mark = (name: string): string => `printf '\\n%s %s\\n' '${MARK}' '${name}'`;

export function sections(text: string): ReadonlyMap<string, string> {
  const out = new Map<string, string>();
  const parts = `\n${text}`.split(`\n${MARK} `);
  for (const part of parts.slice(1)) {
    const end = part.indexOf("\n");
    const name = end === -1 ? part : part.slice(0, end);
    out.set(name, end === -1 ? "" : part.slice(end + 1).replace(/\n$/, ""));
  }
  return out;
}
