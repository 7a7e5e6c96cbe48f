/**
 * @file Users' code as it is at this moment: the files that git knows or does not ignore, or a folder without git less what
 * `.theseusignore` names, packed and named by its content, so that what is edited later does not run.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { UserError } from "../util/errors.ts";
import { expectRun, type Host } from "./host.ts";
import { quote } from "./quote.ts";
import { fileHash, upload } from "./upload.ts";

export interface CodeSnapshot {
  /** The folder on this machine. */
  readonly folder: string;
  readonly files: readonly string[];
  /** What `--load` names, below the folder. */
  readonly loads: readonly string[];
  /** Of the archive. */
  readonly archive: Uint8Array;
  readonly hash: string;
}

const MAX_BYTES = 256 * 2 ** 20;
const IGNORE_FILE = ".theseusignore";
const ALWAYS_LEFT_OUT = [".git", "node_modules", "theseus-out"];

function git(folder: string, args: readonly string[]): string | null {
  if (Bun.which("git") === null) return null;
  const done = Bun.spawnSync(["git", "-C", folder, ...args], { stderr: "ignore" });
  return done.exitCode === 0 ? done.stdout.toString() : null;
}

/** A line of `.theseusignore`: a glob for a path below the folder, or a name at any depth. */
function ignored(path: string, patterns: readonly string[]): boolean {
  const parts = path.split("/");
  return patterns.some((pattern) => {
    const glob = new Bun.Glob(pattern);
    const anywhere = !pattern.includes("/");
    return parts.some((part, i) => glob.match(anywhere ? part : parts.slice(0, i + 1).join("/")));
  });
}

function walk(
  folder: string,
  patterns: readonly string[],
  below = "",
  out: string[] = [],
): string[] {
  for (const entry of readdirSync(join(folder, below), { withFileTypes: true })) {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    if (ALWAYS_LEFT_OUT.includes(entry.name) || ignored(path, patterns)) continue;
    if (entry.isDirectory()) walk(folder, patterns, path, out);
    else if (entry.isFile()) out.push(path);
  }
  return out;
}

function listed(folder: string, clean: boolean): string[] {
  if (clean) {
    const changed = git(folder, ["status", "--porcelain"]) ?? "";
    const [first] = changed.trim().split("\n");
    if (first !== undefined && first !== "")
      throw new UserError(`${folder} has changes that are not committed: ${first.trim()}`, {
        code: "conflict",
        hint: "commit them, or --dirty ships them as they are",
      });
  }
  const text = git(folder, ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]) ?? "";
  const files = [...new Set(text.split("\0"))].filter((path) => path !== "");
  // A file that git knows may be gone.
  return files.filter(
    (path) => statSync(join(folder, path), { throwIfNoEntry: false })?.isFile() === true,
  );
}

export async function snapshotOf(
  loads: readonly string[],
  clean: boolean,
): Promise<CodeSnapshot | null> {
  const [first] = loads;
  if (first === undefined) return null;
  for (const path of loads)
    if (!existsSync(path))
      throw new UserError(`there is no file ${path}`, { code: "config", place: { path } });
  const own = dirname(resolve(first));
  const top = git(own, ["rev-parse", "--show-toplevel"])?.trim();
  if (top === undefined && clean)
    throw new UserError(`${own} is not in a git repository: --clean has no meaning there`, {
      code: "config",
    });
  const folder = top ?? own;
  const ignoreFile = join(folder, IGNORE_FILE);
  const patterns = existsSync(ignoreFile)
    ? readFileSync(ignoreFile, "utf8")
        .split("\n")
        .map((line) => line.trim().replace(/\/$/, ""))
        .filter((line) => line !== "" && !line.startsWith("#"))
    : [];
  const files = (
    top === undefined
      ? walk(folder, patterns)
      : listed(folder, clean).filter((path) => !ignored(path, patterns))
  ).sort();
  const bytes = files.reduce((sum, path) => sum + statSync(join(folder, path)).size, 0);
  if (bytes > MAX_BYTES)
    throw new UserError(
      `${folder} holds ${Math.round(bytes / 2 ** 20)} MiB of files; at most ${MAX_BYTES / 2 ** 20} are shipped`,
      {
        code: "config",
        hint: `.gitignore or ${IGNORE_FILE} leaves out what a run does not need`,
      },
    );
  const relatives = loads.map((path) => relative(folder, resolve(path)));
  for (const path of relatives)
    if (!files.includes(path))
      throw new UserError(`${path} is not among the files of ${folder} that would be shipped`, {
        code: "config",
        hint: path.startsWith("..") ? "all files of --load must be in one folder" : "it is ignored",
      });
  const archive = await packed(folder, files);
  const hash = new Bun.CryptoHasher("sha256").update(archive).digest("hex");
  return { folder, files, loads: relatives, archive, hash };
}

async function packed(folder: string, files: readonly string[]): Promise<Uint8Array> {
  const fixed = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0"];
  const tar = Bun.spawn(
    ["tar", ...fixed, "-C", folder, "--null", "--verbatim-files-from", "-T", "-", "-cf", "-"],
    {
      stdin: new Blob([files.map((path) => `${path}\0`).join("")]),
      stdout: "pipe",
      stderr: "pipe",
    },
  );
  const bytes = new Uint8Array(await new Response(tar.stdout).arrayBuffer());
  if ((await tar.exited) !== 0)
    throw new UserError(
      `tar could not pack ${folder}: ${(await new Response(tar.stderr).text()).trim()}`,
    );
  return bytes;
}

export const snapshotTarget = ({ hash }: CodeSnapshot, work: string): string =>
  `${work}/code/${hash.slice(0, 16)}`;

/** Sends and unpacks it where it is not there yet. */
export async function unpackSnapshot(host: Host, code: CodeSnapshot, work: string): Promise<void> {
  const target = snapshotTarget(code, work);
  const there = await expectRun(
    host,
    `[ -d ${quote(target)} ] && echo have || echo`,
    "look for the code",
  );
  if (there.stdout.trim() === "have") return;
  const folder = mkdtempSync(join(tmpdir(), "theseus-code-"));
  try {
    const local = join(folder, "code.tar");
    await Bun.write(local, code.archive);
    const blob = {
      local,
      hash: await fileHash(local),
      target: `${target}.tar`,
      executable: false,
      what: "your code",
    };
    await upload(host, blob);
    // Where two submit the same code at once, the one that is done first takes the archive away: its folder is there then.
    const script = `
d=${quote(target)}
rm -rf "$d.$$" && mkdir -p "$d.$$" || exit 1
tar -xf "$d.tar" -C "$d.$$" && mv -T "$d.$$" "$d" 2>/dev/null || rm -rf "$d.$$"
rm -f "$d.tar"
[ -d "$d" ]`;
    await expectRun(host, script, "unpack your code");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
