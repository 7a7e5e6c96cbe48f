/** @file A repository of the hub as a user names it, and its folder in the cache. */
import { join } from "node:path";
import { ConfigError } from "../../util/errors.ts";
import type { HubSettings } from "./settings.ts";

export type RepoKind = "model" | "dataset";

export interface HubRepo {
  /** `org/name`. */
  readonly name: string;
  readonly kind: RepoKind;
  /** Branch, tag or commit. */
  readonly revision: string;
}

export interface HubOptions {
  readonly kind: RepoKind;
  /** Branch, tag or commit; default: main. */
  readonly revision?: string;
  /** Default: those of the environment. */
  readonly settings?: HubSettings;
}

const NAME = /^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)?$/;
const REVISION = /^[\w][\w./-]*$/;

export function hubRepo(name: string, kind: RepoKind, revision = "main"): HubRepo {
  if (!NAME.test(name) || name.includes("..") || name.includes("--"))
    throw new ConfigError(`expected a repository of the hub like org/name, got "${name}"`);
  if (!REVISION.test(revision) || revision.includes(".."))
    throw new ConfigError(`expected a branch, tag or commit of ${name}, got "${revision}"`);
  return { name, kind, revision };
}

/** How it is called in messages: `dataset org/name` or, at another revision, `dataset org/name at v2`. */
export const repoText = ({ name, kind, revision }: HubRepo): string =>
  `${kind} ${name}${revision === "main" ? "" : ` at ${revision}`}`;

export const repoFolder = (repo: HubRepo, settings: HubSettings): string =>
  join(settings.cache, `${repo.kind}s--${repo.name.replace("/", "--")}`);

const pagePath = ({ kind, name }: HubRepo): string =>
  kind === "model" ? name : `${kind}s/${name}`;

/** Its page for people. */
export const repoPage = (repo: HubRepo, settings: HubSettings): string =>
  `${settings.endpoint}/${pagePath(repo)}`;

export function fileUrl(repo: HubRepo, file: string, settings: HubSettings): string {
  const path = file.split("/").map(encodeURIComponent).join("/");
  return `${repoPage(repo, settings)}/resolve/${encodeURIComponent(repo.revision)}/${path}`;
}

export const treeUrl = (repo: HubRepo, settings: HubSettings): string =>
  `${settings.endpoint}/api/${repo.kind}s/${repo.name}/tree/${encodeURIComponent(repo.revision)}?recursive=true`;

/** Names of files come from users and from servers; none may lead out of the cache. */
export function checkFileName(file: string): string {
  const parts = file.split("/");
  if (file.includes("\\") || file.includes("\0") || parts.some((p) => /^\.{0,2}$/.test(p)))
    throw new ConfigError(`expected the path of a file within a repository, got "${file}"`);
  return file;
}
