/** @file Brings a run's folder here: only files that are missing or differ, through names that become real when they are whole. */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { writeAll } from "../util/atomic_file.ts";
import { RemoteError, UserError } from "../util/errors.ts";
import { expectRun, type Host } from "./host.ts";
import { quote } from "./quote.ts";

export interface FetchOptions {
  readonly directory: string;
  readonly target: string;
  /** newest: those that `latest` and `best` name. */
  readonly checkpoints: "all" | "newest" | "none";
}

interface RemoteFile {
  readonly path: string;
  readonly bytes: number;
}

/** What belongs to the host alone: locks, environment, temporary files. */
const LEFT_OUT = [
  /^lock(\..*)?$/,
  /^checkpoint\.request$/,
  /^submit\/(env|lock|intent|progress|cancel)(\/|$)/,
  /\.(tmp|new)(-[^/]*)?(\/|$)/,
  /^superseded\//,
  /^\.fetch\//,
];
const FETCH_TIMEOUT_MS = 24 * 3600 * 1000;

async function list(
  host: Host,
  directory: string,
): Promise<{ files: RemoteFile[]; kept: Set<string> }> {
  const script = `cd ${quote(directory)} || exit 1
cat checkpoints/latest checkpoints/best 2>/dev/null
echo '//'
find . -type f -printf '%s %P\\n'`;
  const { stdout } = await expectRun(host, script, `look into ${directory}`);
  const [head = "", body = ""] = stdout.split("//\n");
  const files = body.split("\n").flatMap((line) => {
    const [, bytes, path] = /^(\d+) (.+)$/.exec(line) ?? [];
    return path === undefined || LEFT_OUT.some((form) => form.test(path))
      ? []
      : [{ path, bytes: Number(bytes) }];
  });
  return {
    files,
    kept: new Set(
      head
        .split("\n")
        .map((line) => line.trim())
        .filter(Boolean),
    ),
  };
}

const checkpointOf = (path: string): string | undefined =>
  /^checkpoints\/([^/]+)\//.exec(path)?.[1];

function wanted(
  files: readonly RemoteFile[],
  kept: ReadonlySet<string>,
  which: FetchOptions["checkpoints"],
) {
  return files.filter(({ path }) => {
    const checkpoint = checkpointOf(path);
    if (checkpoint === undefined || which === "all") return true;
    return which === "newest" && kept.has(checkpoint);
  });
}

/** A committed checkpoint never changes; anything else may have, at the same size too. */
const isHere = ({ path, bytes }: RemoteFile, target: string): boolean =>
  checkpointOf(path) !== undefined &&
  statSync(join(target, path), { throwIfNoEntry: false })?.size === bytes;

function checkSameRun(target: string, remoteRun: string): void {
  const path = join(target, "run.json");
  if (!existsSync(path) || remoteRun === "") return;
  const idOf = (text: string): unknown => (JSON.parse(text) as { run_id?: unknown }).run_id;
  if (idOf(readFileSync(path, "utf8")) !== idOf(remoteRun))
    throw new UserError(`${target} holds another run of that name`, {
      code: "conflict",
      hint: "--root names another folder to fetch into",
    });
}

/** A file larger than this comes in pieces of this size, and from where an interrupted fetch stopped. */
const PIECE = 32 * 2 ** 20;

/** Returns how many files and bytes came. */
export async function fetchRun(
  host: Host,
  options: FetchOptions,
): Promise<{ files: number; bytes: number }> {
  const { directory, target, checkpoints } = options;
  const run = await expectRun(
    host,
    `cat ${quote(`${directory}/run.json`)} 2>/dev/null; :`,
    "read the run",
  );
  checkSameRun(target, run.stdout.trim());
  const { files, kept } = await list(host, directory);
  const missing = wanted(files, kept, checkpoints).filter((file) => !isHere(file, target));
  const bytes = missing.reduce((sum, file) => sum + file.bytes, 0);
  if (missing.length === 0) return { files: 0, bytes: 0 };
  const temporary = join(target, ".fetch");
  mkdirSync(temporary, { recursive: true });
  for (const batch of batches(missing)) await receive(host, directory, batch, temporary);
  checkSizes(temporary);
  // Checkpoints first: what names them must not come before them.
  const order = [...missing].sort((a, b) => rank(a) - rank(b));
  for (const { path } of order) {
    mkdirSync(dirname(join(target, path)), { recursive: true });
    renameSync(join(temporary, path), join(target, path));
  }
  rmSync(temporary, { recursive: true, force: true });
  return { files: missing.length, bytes };
}

const rank = ({ path }: RemoteFile): number => (checkpointOf(path) === undefined ? 1 : 0);

/** Large files alone, small ones together. */
function batches(files: readonly RemoteFile[]): RemoteFile[][] {
  const out: RemoteFile[][] = [];
  let open: RemoteFile[] = [];
  let bytes = 0;
  for (const file of files) {
    if (file.bytes > PIECE) out.push([file]);
    else {
      if (bytes + file.bytes > PIECE) {
        out.push(open);
        [open, bytes] = [[], 0];
      }
      open.push(file);
      bytes += file.bytes;
    }
  }
  return open.length === 0 ? out : [...out, open];
}

async function receiveLarge(host: Host, directory: string, file: RemoteFile, into: string) {
  const path = join(into, file.path);
  mkdirSync(dirname(path), { recursive: true });
  const come = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  for (let piece = Math.floor(come / PIECE); piece * PIECE < file.bytes; piece++) {
    const script = `dd if=${quote(`${directory}/${file.path}`)} bs=${PIECE} skip=${piece} count=1 status=none`;
    const { bytes } = await expectRun(host, script, `send ${file.path}`, {
      timeoutMs: FETCH_TIMEOUT_MS,
    });
    const out = openSync(path, piece === 0 ? "w" : "r+");
    try {
      writeAll(out, bytes, piece * PIECE);
    } finally {
      closeSync(out);
    }
  }
}

async function receive(
  host: Host,
  directory: string,
  files: readonly RemoteFile[],
  into: string,
): Promise<void> {
  const [first] = files;
  if (first === undefined) return;
  if (first.bytes > PIECE) return receiveLarge(host, directory, first, into);
  const input = Buffer.from(files.map(({ path }) => `${path}\0`).join(""));
  // Files that grow while they are read come as long as they were when tar looked; one that is gone is left out.
  const tarWords = "--null --verbatim-files-from -T - -cf - --ignore-failed-read";
  const script = `cd ${quote(directory)} && { tar ${tarWords}; [ $? -le 1 ]; }`;
  const reply = await host.shell.run(script, { input, timeoutMs: FETCH_TIMEOUT_MS });
  if (reply.code !== 0)
    throw new RemoteError(`${host.entry.name} could not send the run: ${reply.stderr.trim()}`);
  const tar = Bun.spawn(["tar", "-xf", "-", "-C", into], {
    stdin: new Blob([reply.bytes as Uint8Array<ArrayBuffer>]),
    stderr: "pipe",
    stdout: "ignore",
  });
  if ((await tar.exited) !== 0)
    throw new RemoteError(
      `what came is no archive: ${(await new Response(tar.stderr).text()).trim()}`,
    );
}

/** Fetched checkpoints must be whole by their manifest; their hashes are verified whenever they are loaded. */
function checkSizes(folder: string): void {
  const root = join(folder, "checkpoints");
  if (!existsSync(root)) return;
  for (const name of readdirSync(root)) {
    const path = join(root, name, "manifest.json");
    if (!existsSync(path)) continue;
    const { files } = JSON.parse(readFileSync(path, "utf8")) as {
      files: readonly { name: string; bytes: number }[];
    };
    for (const file of files) {
      const size = statSync(join(root, name, file.name), { throwIfNoEntry: false })?.size;
      if (size === file.bytes) continue;
      rmSync(join(root, name), { recursive: true });
      throw new RemoteError(`${name}/${file.name} did not come whole`, {
        hint: "retention may have deleted that checkpoint meanwhile; the same command again fetches what there is now",
      });
    }
  }
}
