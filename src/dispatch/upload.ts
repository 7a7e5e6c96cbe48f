/**
 * @file Files on a host by the hash of their content: looked for first, sent once, from where an interrupted upload stopped, under a
 * temporary name that becomes the real one only when the hash of all of it is right.
 */
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { RemoteError, UserError } from "../util/errors.ts";
import { takeLockFile } from "../util/lock_file.ts";
import { expectRun, type Host, lastLine } from "./host.ts";
import { quote } from "./quote.ts";
import type { Reply } from "./shell.ts";
import { stateFolder } from "./state_folder.ts";

const BLOCK = 65_536;
export const UPLOAD_TIMEOUT_MS = 24 * 3600 * 1000;
const WAIT_MS = 200;

export async function fileHash(path: string): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  for await (const part of Bun.file(path).stream()) hasher.update(part);
  return hasher.digest("hex");
}

/** The hash of a large file that rarely changes, remembered by size and time. */
export async function rememberedHash(path: string): Promise<string> {
  const { size, mtimeMs, ino } = statSync(path);
  const key = `${path}\n${size}\n${mtimeMs}\n${ino}`;
  const name = new Bun.CryptoHasher("sha256").update(key).digest("hex").slice(0, 32);
  const memory = join(stateFolder(), "hashes", name);
  if (existsSync(memory)) return readFileSync(memory, "utf8");
  const hash = await fileHash(path);
  mkdirSync(dirname(memory), { recursive: true });
  writeFileSync(memory, hash);
  return hash;
}

export interface Blob {
  readonly local: string;
  readonly hash: string;
  /** Absolute, on the host. */
  readonly target: string;
  readonly executable: boolean;
  /** As it is called in messages. */
  readonly what: string;
}

/** First with what is there already, then with all that is there by then. */
export type Progress = (there: number, total: number) => void;

/** Of this user on this machine, so that nobody else writes into the same temporary file. */
export const client = (): string =>
  new Bun.CryptoHasher("sha256")
    .update(`${hostname()} ${userInfo().uid}`)
    .digest("hex")
    .slice(0, 8);

/** The name that a file has until all of it is there. */
export const partOf = ({ target }: Blob): string => `${target}.part-${client()}`;

/** Null: it is there already; else how much of it has come. */
async function missingFrom(host: Host, blob: Blob): Promise<number | null> {
  const part = quote(partOf(blob));
  const script = `if [ -f ${quote(blob.target)} ]; then echo have; else wc -c <${part} 2>/dev/null || echo 0; fi`;
  const { stdout } = await expectRun(host, script, `look for ${blob.what}`);
  return stdout.trim() === "have" ? null : Number.parseInt(stdout.trim(), 10) || 0;
}

/** Waits until no other process of this user sends the same file to the same host. */
export async function alone(name: string): Promise<() => void> {
  const folder = join(stateFolder(), "uploads");
  mkdirSync(folder, { recursive: true });
  for (;;) {
    const release = takeLockFile(join(folder, name));
    if (release !== null) return release;
    await Bun.sleep(WAIT_MS);
  }
}

/** Returns the bytes that were sent; 0: the file was there. */
export async function upload(host: Host, blob: Blob, progress?: Progress): Promise<number> {
  const release = await alone(`${host.entry.name}-${blob.hash.slice(0, 16)}`);
  try {
    const come = await missingFrom(host, blob);
    return come === null ? 0 : await send(host, blob, come, progress);
  } finally {
    release();
  }
}

/** `come`: as much of it has come before. Returns the bytes that were sent. */
export async function send(
  host: Host,
  blob: Blob,
  come: number,
  progress?: Progress,
): Promise<number> {
  const file = Bun.file(blob.local);
  const total = file.size;
  const from = come > total ? 0 : Math.floor(come / BLOCK);
  progress?.(from * BLOCK, total);
  const [part, target] = [quote(partOf(blob)), quote(blob.target)];
  const script = `
mkdir -p ${quote(dirname(blob.target))} || exit 30
${come > total ? `rm -f ${part}` : ""}
if ! dd of=${part} bs=${BLOCK} seek=${from} conv=notrunc iflag=fullblock status=none; then
  rm -f ${part}
  exit 31
fi
[ "$(wc -c <${part})" -ge ${total} ] || exit 32
if [ "$(sha256sum <${part} | cut -c 1-64)" != ${blob.hash} ]; then
  rm -f ${part}
  exit 33
fi
${blob.executable ? `chmod 755 ${part}` : `chmod 644 ${part}`}
mv -f ${part} ${target}`;
  const reply = await host.shell.run(script, {
    input: file.slice(from * BLOCK),
    timeoutMs: UPLOAD_TIMEOUT_MS,
    onSent: (sent) => progress?.(from * BLOCK + sent, total),
  });
  if (reply.code === 0) return total - from * BLOCK;
  // A damaged beginning from an earlier attempt: once more from the start.
  if (reply.code === 33 && from > 0) return send(host, blob, 0, progress);
  throw uploadFailure(host, blob, reply);
}

/** Exit codes of the scripts that take files: 30 no folder, 31 cannot be written, 32 not all came, 33 another hash. */
export function uploadFailure(host: Host, blob: Pick<Blob, "what" | "target">, reply: Reply) {
  const said = lastLine(reply.stderr);
  const where = `${host.entry.name}:${dirname(blob.target)}`;
  if (reply.code === 32)
    return new RemoteError(
      `${blob.what} reached ${host.entry.name} only in part; again, and it goes on from there`,
    );
  if (reply.code === 33)
    return new RemoteError(
      `${blob.what} arrived damaged on ${host.entry.name}; nothing of it was kept`,
    );
  const full = /No space left|quota/i.test(said);
  return new UserError(`cannot write ${blob.what} to ${where}: ${said}`, {
    code: full ? "remote" : "config",
    hint: full
      ? "make room there, or name another `work` folder in the dispatch file"
      : "`root` and `work` of the cluster must be folders that you may write to",
  });
}
