/**
 * @file Requests to the hub: the token goes to the hub alone, never to where it redirects; a rate limit, a server in trouble or a
 * broken connection is tried again; every refusal says what the user can do.
 */
import { UserError } from "../../util/errors.ts";
import { log } from "../../util/log.ts";
import { type HubRepo, repoPage, repoText } from "./repo.ts";
import type { HubSettings } from "./settings.ts";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 60_000;
const RESPONSE_TIMEOUT_MS = 30_000;
const MOST_REDIRECTS = 10;

export interface HubRequest {
  readonly method: "GET" | "HEAD";
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether redirects to other hosts are followed; a HEAD stops there, since what it asks for stands in the redirect. */
  readonly away: boolean;
  readonly repo: HubRepo;
  /** What is asked for, in words: a file's name, "its list of files". */
  readonly what: string;
  readonly settings: HubSettings;
}

export interface HubResponse {
  readonly response: Response;
  /** Ends the transfer. */
  abort(): void;
}

/** A server that could not be reached or did not answer well, after all attempts. */
export class HubUnreachable extends UserError {}

export const pause = (ms: number): Promise<void> => Bun.sleep(ms);

export const backoffMs = (attempt: number): number =>
  Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt);

/** What `Retry-After` asks for: seconds, or a date. */
export function retryAfterMs(header: string | null, now = Date.now()): number | undefined {
  if (header === null) return undefined;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - now;
  return Number.isFinite(ms) ? Math.min(10 * LONGEST_PAUSE_MS, Math.max(0, ms)) : undefined;
}

async function once(request: HubRequest): Promise<HubResponse> {
  const { settings } = request;
  const home = new URL(settings.endpoint).host;
  const controller = new AbortController();
  const timer = setTimeout(
    () => controller.abort(new Error(`no answer within ${RESPONSE_TIMEOUT_MS / 1000} s`)),
    RESPONSE_TIMEOUT_MS,
  );
  try {
    let url = new URL(request.url);
    for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
      const headers = new Headers({ "Accept-Encoding": "identity", ...request.headers });
      if (url.host === home && settings.token !== undefined)
        headers.set("Authorization", `Bearer ${settings.token}`);
      const options = { method: request.method, headers, redirect: "manual" as const };
      const response = await fetch(url, { ...options, signal: controller.signal });
      const location = response.headers.get("Location");
      const redirects = response.status >= 300 && response.status < 400 && location !== null;
      const next = redirects ? new URL(location, url) : url;
      if (!redirects || (next.host !== home && !request.away))
        return { response, abort: () => controller.abort() };
      await response.body?.cancel();
      url = next;
    }
    throw new Error(`more than ${MOST_REDIRECTS} redirects`);
  } finally {
    clearTimeout(timer);
  }
}

function missing(text: string, hint?: string): UserError {
  return new UserError(
    text,
    hint === undefined ? { code: "not_found" } : { code: "not_found", hint },
  );
}

/** An answer that will not change by asking again. */
function refusal(response: Response, request: HubRequest): UserError | undefined {
  const { repo, what, settings } = request;
  const { status } = response;
  const code = response.headers.get("X-Error-Code");
  const said = response.headers.get("X-Error-Message");
  const page = repoPage(repo, settings);
  const login =
    settings.token === undefined
      ? "if it is private, set HF_TOKEN to a token that may read it (none is set)"
      : "the token that is set (HF_TOKEN or `hf auth login`) may not read it, or has expired";
  if (code === "GatedRepo")
    return missing(
      `${repoText(repo)} is gated: ${said ?? "its owners decide who may read it"}`,
      `ask for access at ${page}; ${settings.token === undefined ? "then set HF_TOKEN" : login}`,
    );
  if (code === "EntryNotFound")
    return missing(`${repoText(repo)} has no file ${what}`, `its files: ${page}/tree/main`);
  if (code === "RevisionNotFound")
    return missing(`${repo.kind} ${repo.name} has no revision ${repo.revision}`);
  if (code === "RepoNotFound" || status === 401)
    return missing(`there is no ${repoText(repo)} at ${settings.endpoint} for you to read`, login);
  if (status === 403)
    return missing(
      `${settings.endpoint} forbids to read ${repoText(repo)}: ${said ?? "403"}`,
      login,
    );
  if (status === 404) return missing(`${repoText(repo)} has no ${what} (404 at ${request.url})`);
  if (status >= 400 && status < 500 && status !== 408 && status !== 429)
    return missing(`${settings.endpoint} answered ${status} for ${what} of ${repoText(repo)}`);
  return undefined;
}

const reasonOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** Throws not_found for what is not there or not allowed, HubUnreachable when every attempt failed. */
export async function hubRequest(request: HubRequest): Promise<HubResponse> {
  const { settings, repo, what } = request;
  let why = "";
  for (let attempt = 0; attempt < settings.attempts; attempt++) {
    let wait = backoffMs(attempt);
    try {
      const result = await once(request);
      const { response } = result;
      if (response.status < 400 || response.status === 416) return result;
      const refused = refusal(response, request);
      await response.body?.cancel();
      if (refused !== undefined) throw refused;
      why = response.status === 429 ? "too many requests (429)" : `it answered ${response.status}`;
      wait = retryAfterMs(response.headers.get("Retry-After")) ?? wait;
    } catch (error) {
      if (error instanceof UserError) throw error;
      why = reasonOf(error);
    }
    if (attempt + 1 < settings.attempts) {
      log.debug(`${settings.endpoint}: ${why}; trying again in ${wait / 1000} s`);
      await pause(wait);
    }
  }
  throw new HubUnreachable(
    `cannot get ${what} of ${repoText(repo)} from ${settings.endpoint}: ${why}`,
    {
      code: "not_found",
      hint: "check the network, HF_ENDPOINT and the proxy variables; HF_HUB_OFFLINE=1 uses only the cache",
    },
  );
}
