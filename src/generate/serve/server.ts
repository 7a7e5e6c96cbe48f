/**
 * @file The HTTP server: OpenAI's completions and chat completions over one model. Requests that wait together are worked on
 * together; a client that leaves takes its request along. Loopback needs no token, but then only loopback's own names are answered,
 * so that no web page can reach it under another.
 */
import { timingSafeEqual } from "node:crypto";
import type { ChatTemplate } from "../../data/chat/chat_template.ts";
import { DeviceError, UserError } from "../../util/errors.ts";
import { chatPrompt, type TurnEnd, turnEnd } from "../chat_prompt.ts";
import { promptTokens } from "../text_generation.ts";
import {
  chatForm,
  checkJob,
  completionForm,
  type Job,
  type ServedModel,
  streamAnswer,
  wholeAnswer,
} from "./answers.ts";
import { ApiError, errorBody, errorResponse } from "./api_error.ts";
import { chatRequest, completionRequest } from "./read_request.ts";

export interface ServeOptions {
  readonly model: ServedModel;
  /** As requests name it. */
  readonly name: string;
  /** Null: the model is for completions only. */
  readonly template: ChatTemplate | null;
  readonly hostname: string;
  /** 0: any free port. */
  readonly port: number;
  /** What clients must show; null: nothing. */
  readonly token: string | null;
  /** Requests that may wait for a row. */
  readonly waitingMax: number;
  /** Called with what went wrong inside. */
  readonly onFault?: (error: unknown) => void;
}

const BODY_BYTES_MAX = 16 << 20;
const LAST_EVENTS_MS = 20;
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\]|::1)$/;

export const isLoopback = (hostname: string): boolean => LOOPBACK.test(hostname);

const NO_END: TurnEnd = { ids: [], texts: [] };

export class TextServer {
  readonly url: string;
  private readonly options: ServeOptions;
  private readonly end: TurnEnd;
  private readonly server: Bun.Server<undefined>;
  private readonly created = Math.floor(Date.now() / 1000);
  private closing = false;

  constructor(options: ServeOptions) {
    const { hostname, port, token, template, model } = options;
    if (token === null && !isLoopback(hostname))
      throw new UserError(`${hostname} can be reached by others: a token is needed`, {
        code: "config",
        hint: "give --token, or set THESEUS_SERVE_TOKEN; or serve on 127.0.0.1",
      });
    this.options = options;
    this.end = template === null ? NO_END : turnEnd(template, model.tokenizer);
    const handle = { fetch: (request: Request) => this.handle(request) };
    try {
      this.server = Bun.serve({
        ...{ hostname, port, maxRequestBodySize: BODY_BYTES_MAX, idleTimeout: 0, ...handle },
      });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new UserError(`cannot listen on ${hostname}:${port}: ${why}`, {
        code: "conflict",
        hint: "another program may use the port; choose one with --port, 0 for any",
      });
    }
    this.url = `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${this.server.port}`;
  }

  /** Lets what is in the making end, for `timeoutMs` at most; takes nothing new. */
  async close(timeoutMs: number): Promise<void> {
    this.closing = true;
    let timer: Timer | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([this.options.model.generator.idle(), patience]);
    clearTimeout(timer);
    // The last events are on their way.
    await Bun.sleep(LAST_EVENTS_MS);
    await this.server.stop(true);
  }

  private async handle(request: Request): Promise<Response> {
    try {
      return await this.route(request);
    } catch (error) {
      if (!(error instanceof ApiError) && isFault(error)) this.options.onFault?.(error);
      return errorResponse(error);
    }
  }

  private async route(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const { name, token } = this.options;
    this.checkHost(request);
    if (pathname === "/health") return this.health();
    if (token !== null) checkToken(request, token);
    const card = { id: name, object: "model", created: this.created, owned_by: "theseus" };
    switch (`${request.method} ${pathname}`) {
      case "GET /v1/models":
        return Response.json({ object: "list", data: [card] });
      case "POST /v1/completions":
        return this.answer(request, await this.completion(await bodyOf(request)));
      case "POST /v1/chat/completions":
        return this.answer(request, await this.chat(await bodyOf(request)));
    }
    if (request.method === "GET" && pathname === `/v1/models/${encodeURIComponent(name)}`)
      return Response.json(card);
    if (request.method === "GET" && pathname.startsWith("/v1/models/"))
      this.expectModel(decodeURIComponent(pathname.slice("/v1/models/".length)));
    throw new ApiError(404, `unknown request URL: ${request.method} ${pathname}`, {
      code: "unknown_url",
    });
  }

  private health(): Response {
    const { active, waiting } = this.options.model.generator.load;
    const status = this.closing ? "closing" : "ok";
    return Response.json({ status, active, waiting }, { status: this.closing ? 503 : 200 });
  }

  private checkHost(request: Request): void {
    if (this.options.token !== null) return;
    const host = (request.headers.get("host") ?? "").replace(/:\d+$/, "");
    if (!isLoopback(host)) throw new ApiError(403, `this server does not answer for ${host}`);
  }

  private expectModel(asked: string): void {
    const { name } = this.options;
    if (asked === name) return;
    throw new ApiError(404, `the model ${asked} does not exist; this server has ${name}`, {
      ...{ code: "model_not_found", param: "model" },
    });
  }

  private completion(body: unknown): Job {
    const request = completionRequest(body);
    this.expectModel(request.model);
    const { tokenizer } = this.options.model;
    const prompts = request.prompts.map((prompt) =>
      typeof prompt === "string" ? promptTokens(tokenizer, prompt) : prompt,
    );
    const textOf = (prompt: string | readonly number[]): string =>
      typeof prompt === "string" ? prompt : tokenizer.decode(prompt);
    const heads = request.prompts.map((prompt) => (request.echo ? textOf(prompt) : ""));
    return { request, form: completionForm, prompts, heads, end: NO_END };
  }

  private chat(body: unknown): Job {
    const request = chatRequest(body);
    this.expectModel(request.model);
    const { template, model } = this.options;
    if (template === null)
      throw new ApiError(400, "this model has no chat template: use /v1/completions", {
        code: "unsupported",
      });
    const { ids } = chatPrompt(request.messages, template, model.tokenizer);
    return { request, form: chatForm, prompts: [ids], heads: [""], end: this.end };
  }

  private async answer(request: Request, job: Job): Promise<Response> {
    const { model, waitingMax } = this.options;
    if (this.closing) throw new ApiError(503, "the server is closing", { code: "closing" });
    checkJob(model, job);
    if (model.generator.load.waiting >= waitingMax)
      throw new ApiError(429, "too many requests are waiting; try again later", {
        code: "rate_limit_exceeded",
      });
    if (!job.request.stream) return Response.json(await wholeAnswer(model, job, request.signal));
    return this.stream(request, job);
  }

  private stream(request: Request, job: Job): Response {
    const left = new AbortController();
    const signal = AbortSignal.any([left.signal, request.signal]);
    const encoder = new TextEncoder();
    const { model, onFault } = this.options;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        const write = (data: string): void => {
          if (!signal.aborted) controller.enqueue(encoder.encode(`data: ${data}\n\n`));
        };
        const send = (event: object): void => write(JSON.stringify(event));
        const finish = (): void => {
          if (!left.signal.aborted) controller.close();
        };
        streamAnswer(model, job, signal, send)
          .then(() => write("[DONE]"))
          .catch((error: unknown) => {
            if (isFault(error)) onFault?.(error);
            send(errorBody(error));
          })
          .then(finish)
          .catch((error: unknown) => onFault?.(error));
      },
      cancel() {
        left.abort();
      },
    });
    const headers = { "content-type": "text/event-stream", "cache-control": "no-cache" };
    return new Response(body, { headers });
  }
}

/** Nobody gets an answer any more after a bug, or when the device has failed. */
const isFault = (error: unknown): boolean =>
  !(error instanceof UserError) || error instanceof DeviceError;

function checkToken(request: Request, token: string): void {
  const given = request.headers.get("authorization") ?? "";
  const digest = (text: string) => new Bun.CryptoHasher("sha256").update(text).digest();
  if (timingSafeEqual(digest(given), digest(`Bearer ${token}`))) return;
  throw new ApiError(401, "incorrect or missing token: expected Authorization: Bearer TOKEN", {
    code: "invalid_api_key",
  });
}

/** JSON by name, which no web page may send here without asking first. */
async function bodyOf(request: Request): Promise<unknown> {
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/json\b/.test(type))
    throw new ApiError(415, `expected content-type application/json, got "${type}"`);
  try {
    return await request.json();
  } catch {
    throw new ApiError(400, "the body is not JSON");
  }
}
