/**
 * @file One blob into the cache. What arrived before the connection broke, or the process died, stays as `<etag>.theseus.incomplete`
 * and is gone on with; the blob takes its place only when its size and, where the etag is a hash of it, its content are right.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname } from "node:path";
import { syncFolder, writeAll } from "../../util/atomic_file.ts";
import { DataError, UserError } from "../../util/errors.ts";
import { readOwner, takeLockFile } from "../../util/lock_file.ts";
import { log } from "../../util/log.ts";
import { type HubRepo, repoText } from "./repo.ts";
import { backoffMs, HubUnreachable, hubRequest, pause } from "./request.ts";
import type { HubSettings } from "./settings.ts";

const STALL_MS = 30_000;
const FRUITLESS_ATTEMPTS = 5;
const LOCK_POLL_MS = 200;
const LOCK_TELL_MS = 5000;
const WINDOW_BYTES = 2 ** 20;

export interface Blob {
  readonly repo: HubRepo;
  readonly file: string;
  readonly url: string;
  readonly etag: string;
  /** Null: the server does not say. */
  readonly bytes: number | null;
  /** Where it is to be. */
  readonly path: string;
  readonly lockPath: string;
  readonly settings: HubSettings;
}

const fileBytes = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;

/** The next part of a body, or an error when nothing comes for a while. */
async function nextPart(reader: { read(): Promise<{ done: boolean; value?: Uint8Array }> }) {
  let timer: Timer | undefined;
  const stalled = new Promise<never>((_, reject) => {
    const error = new Error(`nothing arrived for ${STALL_MS / 1000} s`);
    timer = setTimeout(() => reject(error), STALL_MS);
  });
  try {
    return await Promise.race([reader.read(), stalled]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks for what is missing and writes what comes; returns whether the body came to its end. */
async function receive(blob: Blob, path: string): Promise<boolean> {
  const have = fileBytes(path);
  const headers: Record<string, string> = have > 0 ? { Range: `bytes=${have}-` } : {};
  const { repo, settings, url, file } = blob;
  const request = { method: "GET" as const, url, headers, away: true, repo, settings };
  const { response, abort } = await hubRequest({ ...request, what: file });
  const out = openSync(path, existsSync(path) ? "r+" : "w+");
  try {
    const range = /^bytes (\d+)-/.exec(response.headers.get("Content-Range") ?? "");
    const goesOn = response.status === 206 && Number(range?.[1]) === have;
    // 416: there is nothing beyond what we have, so what we have is wrong.
    if (!goesOn) ftruncateSync(out, 0);
    if (response.status !== 200 && !goesOn) return false;
    let at = goesOn ? have : 0;
    const reader = response.body?.getReader();
    for (;;) {
      const part = reader === undefined ? undefined : await nextPart(reader);
      if (part?.value === undefined) return blob.bytes === null || at === blob.bytes;
      writeAll(out, part.value, at);
      at += part.value.length;
      if (blob.bytes !== null && at > blob.bytes) {
        ftruncateSync(out, 0);
        throw new Error(`more than its ${blob.bytes} bytes arrived`);
      }
    }
  } finally {
    abort();
    fsyncSync(out);
    closeSync(out);
  }
}

/** SHA-256 names blobs of large files, git's SHA-1 the others; other etags say nothing of the content. */
function contentHash(path: string, etag: string): string | undefined {
  const algorithm = /^[0-9a-f]{64}$/.test(etag) ? "sha256" : "sha1";
  if (algorithm === "sha1" && !/^[0-9a-f]{40}$/.test(etag)) return undefined;
  const hasher = new Bun.CryptoHasher(algorithm);
  if (algorithm === "sha1") hasher.update(`blob ${fileBytes(path)}\0`);
  const window = new Uint8Array(WINDOW_BYTES);
  const file = openSync(path, "r");
  try {
    for (let n = readSync(file, window); n > 0; n = readSync(file, window))
      hasher.update(window.subarray(0, n));
  } finally {
    closeSync(file);
  }
  return hasher.digest("hex");
}

const isSystemError = (error: Error): boolean =>
  "code" in error && ["ENOSPC", "EDQUOT", "EIO", "EROFS", "EACCES"].includes(String(error.code));

async function fetchWhole(blob: Blob, path: string): Promise<void> {
  let fruitless = 0;
  let why = "the connection ended early";
  while (fruitless < FRUITLESS_ATTEMPTS) {
    const before = fileBytes(path);
    try {
      if (await receive(blob, path)) return;
    } catch (error) {
      // A refusal, or all attempts to connect in vain; a disk that is full is no fault of the connection either.
      if (error instanceof UserError || !(error instanceof Error) || isSystemError(error))
        throw error;
      why = error.message;
    }
    fruitless = fileBytes(path) > before ? 0 : fruitless + 1;
    if (fruitless > 0) await pause(backoffMs(fruitless - 1));
  }
  throw new HubUnreachable(
    `${blob.file} of ${repoText(blob.repo)} stops after ${fileBytes(path)} bytes: ${why}`,
    { code: "not_found", hint: "the same command again goes on from there" },
  );
}

async function download(blob: Blob): Promise<void> {
  const incomplete = `${blob.path}.theseus.incomplete`;
  for (let attempt = 0; attempt < 2; attempt++) {
    if (blob.bytes === null || fileBytes(incomplete) > blob.bytes)
      rmSync(incomplete, { force: true });
    if (blob.bytes === null || fileBytes(incomplete) !== blob.bytes || blob.bytes === 0)
      await fetchWhole(blob, incomplete);
    const hash = contentHash(incomplete, blob.etag);
    if (hash === undefined || hash === blob.etag) {
      renameSync(incomplete, blob.path);
      syncFolder(dirname(blob.path));
      return;
    }
    // The part from an earlier attempt may have been damaged: once more from the start.
    rmSync(incomplete, { force: true });
  }
  throw new DataError(
    `${blob.file} of ${repoText(blob.repo)}: what ${blob.settings.endpoint} sends does not have the hash ${blob.etag}`,
  );
}

function tellWaiting({ file, lockPath }: Blob): void {
  const owner = readOwner(lockPath);
  const who = owner === null ? "another process" : `process ${owner.pid} on ${owner.host}`;
  log.info(
    `waiting for ${who}, which fetches ${file}; if it is certainly gone, remove ${lockPath}`,
  );
}

/** Brings the blob into the cache unless it is there; two processes that want it fetch it once. */
export async function fetchBlob(blob: Blob): Promise<void> {
  mkdirSync(dirname(blob.path), { recursive: true });
  mkdirSync(dirname(blob.lockPath), { recursive: true });
  for (let waited = 0; ; waited += LOCK_POLL_MS) {
    if (existsSync(blob.path)) return;
    const release = takeLockFile(blob.lockPath);
    if (release === null) {
      if (waited === LOCK_TELL_MS) tellWaiting(blob);
      await pause(LOCK_POLL_MS);
      continue;
    }
    try {
      if (!existsSync(blob.path)) await download(blob);
      return;
    } finally {
      release();
    }
  }
}
