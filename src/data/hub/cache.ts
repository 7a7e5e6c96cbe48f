/**
 * @file The cache that all programs of a machine share, laid out as Python's huggingface_hub does: blobs by hash, snapshots of
 * symbolic links by commit, refs from branches to commits. `.no_exist` is not written: we never probe for optional files.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { type HubRepo, repoFolder } from "./repo.ts";
import type { HubSettings } from "./settings.ts";

const COMMIT = /^[0-9a-f]{40}$/;

export const isCommit = (revision: string): boolean => COMMIT.test(revision);

/** The commit that the cache last saw at a revision. */
export function cachedCommit(repo: HubRepo, settings: HubSettings): string | undefined {
  if (isCommit(repo.revision)) return repo.revision;
  const ref = join(repoFolder(repo, settings), "refs", repo.revision);
  if (statSync(ref, { throwIfNoEntry: false })?.isFile() !== true) return undefined;
  return readFileSync(ref, "utf8").trim();
}

export const snapshotFolder = (repo: HubRepo, commit: string, settings: HubSettings): string =>
  join(repoFolder(repo, settings), "snapshots", commit);

export const blobPath = (repo: HubRepo, etag: string, settings: HubSettings): string =>
  join(repoFolder(repo, settings), "blobs", etag);

/** The file in a snapshot, if it is there whole. */
export function cachedFile(
  repo: HubRepo,
  commit: string,
  file: string,
  settings: HubSettings,
): string | undefined {
  const path = join(snapshotFolder(repo, commit, settings), file);
  // Follows the link: a blob that somebody removed makes the file missing.
  return existsSync(path) ? path : undefined;
}

/** Files of a snapshot, as far as they were fetched. */
export function cachedFiles(repo: HubRepo, commit: string, settings: HubSettings): string[] {
  const folder = snapshotFolder(repo, commit, settings);
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => statSync(join(folder, file), { throwIfNoEntry: false })?.isFile() === true)
    .sort();
}

function replace(path: string, write: (temporary: string) => void): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${crypto.randomUUID().slice(0, 8)}.tmp`;
  write(temporary);
  renameSync(temporary, path);
}

/** Notes which commit a branch or tag stands for. */
export function writeRef(repo: HubRepo, commit: string, settings: HubSettings): void {
  if (repo.revision === commit) return;
  const path = join(repoFolder(repo, settings), "refs", repo.revision);
  if (existsSync(path) && readFileSync(path, "utf8") === commit) return;
  replace(path, (temporary) => writeFileSync(temporary, commit));
}

/** Puts a blob into a snapshot under its name; returns the path there. */
export function linkBlob(
  repo: HubRepo,
  commit: string,
  file: string,
  etag: string,
  settings: HubSettings,
): string {
  const path = join(snapshotFolder(repo, commit, settings), file);
  const target = relative(dirname(path), blobPath(repo, etag, settings));
  // Renaming over it also replaces a link whose blob is gone.
  replace(path, (temporary) => symlinkSync(target, temporary));
  return path;
}

const TAG = `Signature: 8a477f597d28d172789f06886806bc55
# This file is a cache directory tag created by huggingface_hub.
# For information about cache directory tags, see:
#	https://bford.info/cachedir/
`;

/** Marks the cache for backup programs. */
export function tagCache(settings: HubSettings): void {
  const path = join(settings.cache, "CACHEDIR.TAG");
  if (!existsSync(path)) replace(path, (temporary) => writeFileSync(temporary, TAG));
}
