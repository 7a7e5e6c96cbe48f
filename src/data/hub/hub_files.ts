/**
 * @file The files of a repository. The list is kept in the cache by commit, so that a dataset is the same set of files offline:
 * a snapshot's folder alone holds only what was fetched, and would drop the rest silently.
 */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { writeAtomically } from "../../util/atomic_file.ts";
import { DataError, UserError } from "../../util/errors.ts";
import { log } from "../../util/log.ts";
import { cachedCommit, cachedFiles, isCommit, writeRef } from "./cache.ts";
import { type HubOptions, type HubRepo, hubRepo, repoFolder, repoText, treeUrl } from "./repo.ts";
import { HubUnreachable, hubRequest } from "./request.ts";
import { type HubSettings, hubSettings } from "./settings.ts";

export interface HubFileEntry {
  readonly path: string;
  /** Null: known only from the cache. */
  readonly bytes: number | null;
}

export interface HubListing {
  readonly commit: string;
  readonly files: readonly HubFileEntry[];
}

const MOST_PAGES = 10_000;

const listPath = (repo: HubRepo, commit: string, settings: HubSettings): string =>
  join(repoFolder(repo, settings), ".theseus", `files-${commit}.json`);

function keptList(repo: HubRepo, commit: string, settings: HubSettings): HubListing | undefined {
  const path = listPath(repo, commit, settings);
  if (!existsSync(path)) return undefined;
  return { commit, files: JSON.parse(readFileSync(path, "utf8")) as HubFileEntry[] };
}

function keep(repo: HubRepo, listing: HubListing, settings: HubSettings): void {
  const path = listPath(repo, listing.commit, settings);
  mkdirSync(dirname(path), { recursive: true });
  writeAtomically(path, `${JSON.stringify(listing.files)}\n`);
}

async function getJson(repo: HubRepo, url: string, settings: HubSettings) {
  const what = "list of files";
  const request = { method: "GET" as const, url, away: true, repo, what, settings };
  const { response } = await hubRequest(request);
  try {
    return { value: (await response.json()) as unknown, headers: response.headers };
  } catch {
    throw new DataError(`${settings.endpoint} did not answer with JSON at ${url}`, {
      hint: "is HF_ENDPOINT right?",
    });
  }
}

function entriesOf(page: unknown, url: string): HubFileEntry[] {
  if (!Array.isArray(page)) throw new DataError(`expected a list of files at ${url}`);
  const files: HubFileEntry[] = [];
  for (const entry of page as { type?: unknown; path?: unknown; size?: unknown }[])
    if (entry.type === "file" && typeof entry.path === "string")
      files.push({ path: entry.path, bytes: typeof entry.size === "number" ? entry.size : null });
  return files;
}

async function remoteList(repo: HubRepo, settings: HubSettings): Promise<HubListing> {
  const { kind, name, revision } = repo;
  const info = `${settings.endpoint}/api/${kind}s/${name}/revision/${encodeURIComponent(revision)}`;
  const { sha } = (await getJson(repo, info, settings)).value as { sha?: unknown };
  if (typeof sha !== "string" || !/^[0-9a-zA-Z]+$/.test(sha))
    throw new DataError(`${settings.endpoint} does not say the commit of ${repoText(repo)}`);
  const files: HubFileEntry[] = [];
  let url: string | undefined = treeUrl({ ...repo, revision: sha }, settings);
  for (let pages = 0; url !== undefined; pages++) {
    if (pages > MOST_PAGES) throw new DataError(`the list of files at ${url} does not end`);
    const { value, headers } = await getJson(repo, url, settings);
    files.push(...entriesOf(value, url));
    const next = /<([^>]+)>;\s*rel="next"/.exec(headers.get("Link") ?? "")?.[1];
    url = next === undefined ? undefined : new URL(next, url).href;
  }
  files.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  return { commit: sha, files };
}

function fromCache(repo: HubRepo, settings: HubSettings): HubListing | undefined {
  const commit = cachedCommit(repo, settings);
  if (commit === undefined) return undefined;
  const kept = keptList(repo, commit, settings);
  if (kept !== undefined) return kept;
  const files = cachedFiles(repo, commit, settings).map((path) => ({ path, bytes: null }));
  if (files.length === 0) return undefined;
  log.warn(
    `${repoText(repo)}: nothing says which files it has besides the ${files.length} in the cache`,
  );
  return { commit, files };
}

/** All files at a revision, sorted by path. */
export async function hubFiles(name: string, options: HubOptions): Promise<HubListing> {
  const settings = options.settings ?? hubSettings();
  const repo = hubRepo(name, options.kind, options.revision);
  if (settings.offline) {
    const known = fromCache(repo, settings);
    if (known !== undefined) return known;
    throw new UserError(
      `${repoText(repo)} is not in the cache ${settings.cache}, and HF_HUB_OFFLINE is set`,
      { code: "not_found", hint: "fetch it once with HF_HUB_OFFLINE unset" },
    );
  }
  const kept = isCommit(repo.revision) ? keptList(repo, repo.revision, settings) : undefined;
  if (kept !== undefined) return kept;
  try {
    const listing = await remoteList(repo, settings);
    writeRef(repo, listing.commit, settings);
    keep(repo, listing, settings);
    return listing;
  } catch (error) {
    const known = error instanceof HubUnreachable ? fromCache(repo, settings) : undefined;
    if (known === undefined) throw error;
    log.warn(`${(error as Error).message}; using what the cache knows`);
    return known;
  }
}
