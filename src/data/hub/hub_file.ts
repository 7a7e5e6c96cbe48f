/** @file A file of a repository of the Hugging Face hub: from the cache, or fetched into it. */
import { join } from "node:path";
import { DataError, UserError } from "../../util/errors.ts";
import { log } from "../../util/log.ts";
import {
  blobPath,
  cachedCommit,
  cachedFile,
  isCommit,
  linkBlob,
  tagCache,
  writeRef,
} from "./cache.ts";
import { fetchBlob } from "./download.ts";
import {
  checkFileName,
  fileUrl,
  type HubOptions,
  type HubRepo,
  hubRepo,
  repoFolder,
  repoText,
} from "./repo.ts";
import { HubUnreachable, hubRequest } from "./request.ts";
import { type HubSettings, hubSettings } from "./settings.ts";

const TELL_BYTES = 10 * 2 ** 20;

interface RemoteFile {
  readonly commit: string;
  readonly etag: string;
  readonly bytes: number | null;
}

async function remoteFile(repo: HubRepo, file: string, settings: HubSettings): Promise<RemoteFile> {
  const url = fileUrl(repo, file, settings);
  const request = { method: "HEAD" as const, url, away: false, repo, what: file, settings };
  const { response, abort } = await hubRequest(request);
  abort();
  const { headers } = response;
  const commit = headers.get("X-Repo-Commit") ?? "";
  const etag = (headers.get("X-Linked-Etag") ?? headers.get("ETag") ?? "")
    .replace(/^W\//, "")
    .replaceAll('"', "");
  // Both become names of files.
  if (!/^[0-9a-zA-Z]+$/.test(commit) || !/^[\w][\w.-]*$/.test(etag))
    throw new DataError(
      `${settings.endpoint} does not answer like a Hugging Face hub: no commit or no ETag for ${file} of ${repoText(repo)}`,
      { hint: "is HF_ENDPOINT right, and does a proxy drop headers?" },
    );
  const redirected = response.status >= 300;
  const length =
    headers.get("X-Linked-Size") ?? (redirected ? null : headers.get("Content-Length"));
  return { commit, etag, bytes: length === null ? null : Number(length) };
}

function notCached(repo: HubRepo, file: string, settings: HubSettings): UserError {
  const offline = `${file} of ${repoText(repo)} is not in the cache`;
  return new UserError(`${offline} ${settings.cache}, and HF_HUB_OFFLINE is set`, {
    code: "not_found",
    hint: "fetch it once with HF_HUB_OFFLINE unset, or copy the cache from a machine that has it",
  });
}

async function fetchFile(repo: HubRepo, file: string, settings: HubSettings): Promise<string> {
  const remote = await remoteFile(repo, file, settings);
  const { commit, etag, bytes } = remote;
  const there = cachedFile(repo, commit, file, settings);
  if (there !== undefined) {
    // A cache that may only be read still serves.
    try {
      writeRef(repo, commit, settings);
    } catch {}
    return there;
  }
  if (bytes !== null && bytes >= TELL_BYTES)
    log.info(`fetching ${file} of ${repoText(repo)} (${(bytes / 2 ** 20).toFixed(0)} MiB)`);
  tagCache(settings);
  writeRef(repo, commit, settings);
  const folder = repoFolder(repo, settings);
  await fetchBlob({
    ...{ repo, file, etag, bytes, settings },
    url: fileUrl({ ...repo, revision: commit }, file, settings),
    path: blobPath(repo, etag, settings),
    lockPath: join(
      settings.cache,
      ".locks",
      folder.slice(settings.cache.length),
      `${etag}.theseus`,
    ),
  });
  return linkBlob(repo, commit, file, etag, settings);
}

/**
 * The path of a file in the cache, in whose snapshot's folder the other files of the repository lie beside it. Asks the hub first
 * unless the revision is a commit; when the hub cannot be reached, what the cache last saw serves, with a warning.
 */
export async function hubFile(name: string, file: string, options: HubOptions): Promise<string> {
  const settings = options.settings ?? hubSettings();
  const repo = hubRepo(name, options.kind, options.revision);
  checkFileName(file);
  const commit = cachedCommit(repo, settings);
  const cached = commit === undefined ? undefined : cachedFile(repo, commit, file, settings);
  if (cached !== undefined && (settings.offline || isCommit(repo.revision))) return cached;
  if (settings.offline) throw notCached(repo, file, settings);
  // With a copy at hand there is no need to wait long for a hub that does not answer.
  const attempts = cached === undefined ? settings.attempts : 1;
  try {
    return await fetchFile(repo, file, { ...settings, attempts });
  } catch (error) {
    if (!(error instanceof HubUnreachable) || cached === undefined) throw error;
    log.warn(`${error.message}; using the cached one`);
    return cached;
  }
}
