/**
 * @file A server that speaks the hub's API as far as clients of files need it: resolve with commit and etags, large files
 * redirected to another host, trees in pages, errors with X-Error-Code; and the troubles of a network on demand.
 */
import { createHash } from "node:crypto";

export interface FakeFile {
  readonly content: Uint8Array;
  /** Large files live on another host and are named by SHA-256. */
  readonly large?: boolean;
}

export interface FakeRepo {
  readonly commit: string;
  readonly files: Readonly<Record<string, FakeFile>>;
  readonly gated?: boolean;
  /** Only with this token. */
  readonly token?: string;
}

export interface Troubles {
  /** So many of the next requests are answered 429 with Retry-After: 0. */
  busy?: number;
  failing?: number;
  /** Bodies end after so many bytes, for so many responses. */
  cutAfter?: number;
  cuts?: number;
  ignoreRange?: boolean;
  damage?: boolean;
}

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

export function etagOf({ content, large }: FakeFile): string {
  if (large === true) return createHash("sha256").update(content).digest("hex");
  return createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
}

export class FakeHub implements Disposable {
  readonly troubles: Troubles = {};
  /** `METHOD path` of every request, with the Range asked for and whether a token came along. */
  readonly seen: {
    readonly line: string;
    readonly range: string | null;
    readonly token: boolean;
  }[] = [];
  private readonly repos: Record<string, FakeRepo>;
  private readonly hub: ReturnType<typeof Bun.serve>;
  private readonly storage: ReturnType<typeof Bun.serve>;

  /** Repositories by `models/org/name` and `datasets/org/name`. */
  constructor(repos: Record<string, FakeRepo>, port = 0) {
    this.repos = repos;
    const error = (): Response => new Response("", { status: 500 });
    const common = { hostname: "127.0.0.1", idleTimeout: 5, development: false, error };
    this.hub = Bun.serve({ ...common, port, fetch: (request) => this.answer(request) });
    this.storage = Bun.serve({ ...common, port: 0, fetch: (request) => this.stored(request) });
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.hub.port}`;
  }

  /** Requests so far, without those of a kind. */
  lines(prefix = ""): string[] {
    return this.seen.map(({ line }) => line).filter((line) => line.startsWith(prefix));
  }

  stop(): void {
    this.hub.stop(true);
    this.storage.stop(true);
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  private note(request: Request): Response | undefined {
    const { pathname, search } = new URL(request.url);
    const { headers, method } = request;
    const [range, token] = [headers.get("Range"), headers.has("Authorization")];
    this.seen.push({ line: `${method} ${pathname}${search}`, range, token });
    if ((this.troubles.busy ?? 0) > 0) {
      this.troubles.busy = (this.troubles.busy ?? 0) - 1;
      return new Response("slow down", { status: 429, headers: { "Retry-After": "0" } });
    }
    if ((this.troubles.failing ?? 0) > 0) {
      this.troubles.failing = (this.troubles.failing ?? 0) - 1;
      return new Response("oops", { status: 503, headers: { "Retry-After": "0" } });
    }
    return undefined;
  }

  private answer(request: Request): Response {
    const trouble = this.note(request);
    if (trouble !== undefined) return trouble;
    const { pathname, search } = new URL(request.url);
    const path = decodeURIComponent(pathname);
    const api = /^\/api\/(models|datasets)\/([^/]+\/[^/]+)\/(revision|tree)\/([^/]+)$/.exec(path);
    const resolve = /^\/(datasets\/)?([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(path);
    const key = api ? `${api[1]}/${api[2]}` : `${resolve?.[1] ?? "models/"}${resolve?.[2]}`;
    const repo = this.repos[key];
    const refused = this.refusal(repo, (api ? api[4] : resolve?.[3]) ?? "", request);
    if (repo === undefined || refused !== undefined)
      return refused ?? new Response("", { status: 404 });
    if (api?.[3] === "revision") return Response.json({ id: api[2], sha: repo.commit });
    if (api) return this.tree(repo, pathname, search);
    return this.resolve(repo, resolve?.[4] ?? "", key, request);
  }

  private refusal(repo: FakeRepo | undefined, revision: string, request: Request) {
    const error = (status: number, code: string, message: string): Response =>
      new Response("", { status, headers: { "X-Error-Code": code, "X-Error-Message": message } });
    if (repo === undefined) return error(401, "RepoNotFound", "Repository not found");
    if (repo.gated === true) return error(403, "GatedRepo", "Access to it is restricted");
    if (repo.token !== undefined && request.headers.get("Authorization") !== `Bearer ${repo.token}`)
      return error(401, "RepoNotFound", "Invalid username or password.");
    if (revision !== "main" && revision !== repo.commit)
      return error(404, "RevisionNotFound", "Invalid rev id");
    return undefined;
  }

  /** Two entries a page, as if there were thousands. */
  private tree(repo: FakeRepo, pathname: string, search: string): Response {
    const files = Object.entries(repo.files).map(([path, file]) => ({
      ...{ type: "file", oid: etagOf({ content: file.content }), size: file.content.length, path },
      ...(file.large === true ? { lfs: { oid: etagOf(file), size: file.content.length } } : {}),
    }));
    const all = [{ type: "directory", oid: "0", size: 0, path: "data" }, ...files];
    const cursor = Number(new URLSearchParams(search).get("cursor") ?? 0);
    const next = `<http://127.0.0.1:${this.hub.port}${pathname}?recursive=true&cursor=${cursor + 2}>; rel="next"`;
    const headers = cursor + 2 < all.length ? { Link: next } : {};
    return Response.json(all.slice(cursor, cursor + 2), { headers });
  }

  private resolve(repo: FakeRepo, name: string, key: string, request: Request): Response {
    const file = repo.files[name];
    const base = { "X-Repo-Commit": repo.commit };
    if (file === undefined)
      return new Response("", {
        status: 404,
        headers: { ...base, "X-Error-Code": "EntryNotFound" },
      });
    if (file.large === true) {
      const location = `http://localhost:${this.storage.port}/${key}/${name}?signature=x`;
      const size = String(file.content.length);
      const linked = { "X-Linked-Etag": `"${etagOf(file)}"`, "X-Linked-Size": size };
      return new Response("", { status: 302, headers: { ...base, ...linked, Location: location } });
    }
    return this.body(file, request, { ...base, ETag: `"${etagOf(file)}"` });
  }

  private stored(request: Request): Response {
    const trouble = this.note(request);
    if (trouble !== undefined) return trouble;
    const [, kind, org, repo, ...rest] = decodeURIComponent(new URL(request.url).pathname).split(
      "/",
    );
    const file = this.repos[`${kind}/${org}/${repo}`]?.files[rest.join("/")];
    if (file === undefined) return new Response("", { status: 404 });
    return this.body(file, request, { ETag: '"of the storage"' });
  }

  private body(file: FakeFile, request: Request, headers: Record<string, string>): Response {
    const { troubles } = this;
    const asked = /^bytes=(\d+)-$/.exec(request.headers.get("Range") ?? "");
    const from = asked === null || troubles.ignoreRange === true ? 0 : Number(asked[1]);
    const { length } = file.content;
    if (from >= length && from > 0) return new Response("", { status: 416 });
    const status = from > 0 ? 206 : 200;
    if (from > 0) headers["Content-Range"] = `bytes ${from}-${length - 1}/${length}`;
    const content = file.content.slice(from);
    if (troubles.damage === true && content.length > 0) content[0] = (content[0] ?? 0) ^ 1;
    if (request.method === "HEAD" || (troubles.cuts ?? 0) === 0)
      return new Response(content, { status, headers });
    troubles.cuts = (troubles.cuts ?? 0) - 1;
    const part = content.slice(0, troubles.cutAfter ?? 0);
    const stream = new ReadableStream({
      async start(controller) {
        controller.enqueue(part);
        await Bun.sleep(20);
        controller.error(new Error("cut"));
      },
    });
    return new Response(stream, { status, headers });
  }
}
