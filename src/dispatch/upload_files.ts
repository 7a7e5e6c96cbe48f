/**
 * @file Many files on a host at once: one question for what is there of each, small ones together in one call, large ones by
 * themselves from where they stopped. Each has its own name only when its hash is right.
 */
import { statSync } from "node:fs";
import { basename, dirname } from "node:path";
import { RemoteError, UserError } from "../util/errors.ts";
import { expectRun, type Host } from "./host.ts";
import { quote } from "./quote.ts";
import takeFiles from "./sh/take_files.sh" with { type: "text" };
import {
  alone,
  type Blob,
  client,
  type Progress,
  partOf,
  send,
  UPLOAD_TIMEOUT_MS,
  uploadFailure,
} from "./upload.ts";

/** Smaller files go together: a call costs as long as sending some hundred kilobytes. */
const SMALL_BYTES = 2 ** 20;
const BUNDLE_BYTES = 16 * 2 ** 20;
const BUNDLE_FILES = 1000;

interface Missing {
  readonly blob: Blob;
  readonly bytes: number;
  /** Of it there already. */
  readonly come: number;
}

const ENCODER = new TextEncoder();

function expectOneLine({ local, target }: Blob): void {
  if (/[\n\r]/.test(target))
    throw new UserError(`${JSON.stringify(local)} has a line break in its name`, {
      code: "config",
      hint: "such files cannot be copied: rename it",
    });
}

async function missingOf(host: Host, blobs: readonly Blob[]): Promise<Missing[]> {
  if (blobs.length === 0) return [];
  const input = ENCODER.encode(blobs.map((each) => `${each.target}\n${partOf(each)}\n`).join(""));
  const script = `while IFS= read -r target && IFS= read -r part; do
  if [ -f "$target" ]; then echo have
  elif [ -f "$part" ]; then wc -c <"$part"
  else echo 0
  fi
done`;
  const { stdout } = await expectRun(host, script, "look for the data", { input });
  const answers = stdout.trim().split("\n");
  if (answers.length !== blobs.length)
    throw new RemoteError(`${host.entry.name} answered something else than was asked`);
  return blobs.flatMap((blob, i) => {
    const answer = answers[i]?.trim() ?? "";
    if (answer === "have") return [];
    const bytes = statSync(blob.local).size;
    return [{ blob, bytes, come: Number.parseInt(answer, 10) || 0 }];
  });
}

/** Small files in as many parts as calls. */
function bundlesOf(files: readonly Missing[]): Missing[][] {
  const out: Missing[][] = [];
  let bytes = 0;
  for (const file of files) {
    const last = out.at(-1);
    bytes += file.bytes;
    if (last === undefined || last.length >= BUNDLE_FILES || bytes > BUNDLE_BYTES) {
      out.push([file]);
      bytes = file.bytes;
    } else last.push(file);
  }
  return out;
}

/** As sha256sum writes and reads it. */
const sumLine = (hash: string, name: string): string =>
  name.includes("\\") ? `\\${hash}  ${name.replaceAll("\\", "\\\\")}\n` : `${hash}  ${name}\n`;

async function sendBundle(
  host: Host,
  folder: string,
  files: readonly Missing[],
  sent: (bytes: number) => void,
): Promise<void> {
  let [list, sums] = ["", ""];
  const folders = [...new Set(files.map(({ blob }) => dirname(blob.target)))];
  const ordered = folders.flatMap((target, i) => {
    list += `d${i}\n${target}\n`;
    const own = files.filter(({ blob }) => dirname(blob.target) === target);
    for (const { blob, bytes } of own) {
      const name = basename(blob.target);
      list += `${bytes} ${name}\n`;
      sums += sumLine(blob.hash, `${i}/${name}`);
    }
    return own;
  });
  const heads = [ENCODER.encode(list), ENCODER.encode(sums)] as const;
  const before = heads[0].length + heads[1].length;
  const script = [
    `folder=${quote(folder)}`,
    `client=${client()}`,
    `list_bytes=${heads[0].length}`,
    `sums_bytes=${heads[1].length}`,
    takeFiles,
  ];
  const contents = await Promise.all(ordered.map(({ blob }) => Bun.file(blob.local).bytes()));
  const reply = await host.shell.run(script.join("\n"), {
    input: Buffer.concat([...heads, ...contents]),
    timeoutMs: UPLOAD_TIMEOUT_MS,
    onSent: (bytes) => sent(Math.max(0, bytes - before)),
  });
  if (reply.code === 0) return;
  const what = files.length === 1 ? (files[0]?.blob.what ?? "") : `some of ${files.length} files`;
  throw uploadFailure(host, { what, target: `${folder}/files` }, reply);
}

/** `folder`: all of them lie below it. Returns the bytes that were sent. */
export async function uploadFiles(
  host: Host,
  folder: string,
  blobs: readonly Blob[],
  progress?: Progress,
): Promise<number> {
  for (const blob of blobs) expectOneLine(blob);
  const release = await alone(`${host.entry.name}-${basename(folder)}`);
  try {
    const missing = await missingOf(host, blobs);
    if (missing.length === 0) return 0;
    const total = missing.reduce((sum, { bytes }) => sum + bytes, 0);
    const come = missing.reduce((sum, each) => sum + Math.min(each.come, each.bytes), 0);
    progress?.(come, total);
    const small = missing.filter(({ bytes, come }) => bytes < SMALL_BYTES && come === 0);
    let done = missing
      .filter((each) => !small.includes(each))
      .reduce((sum, each) => sum + Math.min(each.come, each.bytes), 0);
    for (const bundle of bundlesOf(small)) {
      await sendBundle(host, folder, bundle, (bytes) => progress?.(done + bytes, total));
      done += bundle.reduce((sum, { bytes }) => sum + bytes, 0);
    }
    for (const each of missing) {
      if (small.includes(each)) continue;
      const before = Math.min(each.come, each.bytes);
      await send(host, each.blob, each.come, (there) => progress?.(done - before + there, total));
      done += each.bytes - before;
    }
    progress?.(total, total);
    return total - come;
  } finally {
    release();
  }
}
