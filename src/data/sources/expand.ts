/** @file From what the user names (files, folders, globs) to the list of files, in an order that no machine changes. */
import { readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { ConfigError, UserError } from "../../util/errors.ts";
import { log } from "../../util/log.ts";
import { formatOf, SUPPORTED } from "./format.ts";
import { holdsArray } from "./json_array.ts";
import type { SourceFile } from "./source_file.ts";

export const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Throws when the file is of no kind that can be read. */
export function sourceFile(path: string, name: string): SourceFile {
  const format = formatOf(name);
  if (format === undefined)
    throw new ConfigError(`${path}: expected a file whose name ends with one of ${SUPPORTED}`, {
      place: { key: "source.files" },
    });
  const { size: bytes, mtimeMs: modifiedMs } = statSync(path);
  if (/\.json(\.|$)/i.test(name) && holdsArray(path, format.compression))
    return { ...format, content: "json_array", path, name, bytes, modifiedMs };
  return { ...format, path, name, bytes, modifiedMs };
}

const isHidden = (name: string): boolean => name.split("/").some((part) => part.startsWith("."));

function inFolder(folder: string): SourceFile[] {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => !isHidden(name) && statSync(join(folder, name)).isFile())
    .sort(byText);
  const known = names.filter((name) => formatOf(name) !== undefined);
  const other = names.length - known.length;
  if (other > 0)
    log.info(`${folder}: ${other} files of other kinds are not read (${SUPPORTED} are)`);
  if (known.length === 0)
    throw new UserError(`${folder} holds no file that can be read: expected ${SUPPORTED}`, {
      code: "not_found",
      place: { key: "source.files" },
    });
  return known.map((name) => sourceFile(join(folder, name), name));
}

function matching(pattern: string): SourceFile[] {
  // The part before the first wildcard names a folder, below which names are the same everywhere.
  const base = /^[^*?[{]*\//.exec(pattern)?.[0] ?? "";
  const glob = new Bun.Glob(pattern.slice(base.length));
  const folder = base === "" ? "." : base;
  const names = statSync(folder, { throwIfNoEntry: false })?.isDirectory()
    ? [...glob.scanSync({ cwd: folder, onlyFiles: true })].sort(byText)
    : [];
  if (names.length === 0)
    throw new UserError(`no file matches ${pattern}`, {
      code: "not_found",
      place: { key: "source.files" },
    });
  return names.map((name) => sourceFile(base === "" ? name : join(base, name), name));
}

/** The files that an entry names: a file, a folder, or a pattern. */
export function expandEntry(entry: string): SourceFile[] {
  const stat = statSync(entry, { throwIfNoEntry: false });
  if (stat?.isDirectory()) return inFolder(entry);
  if (stat?.isFile()) return [sourceFile(entry, basename(entry))];
  if (/[*?[{]/.test(entry)) return matching(entry);
  throw new UserError(`there is no file or folder ${entry}`, {
    code: "not_found",
    place: { key: "source.files" },
  });
}
