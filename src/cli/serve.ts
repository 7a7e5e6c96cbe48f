/** @file theseus serve: OpenAI's HTTP interface over one model, until a signal ends it. */
import { basename, resolve } from "node:path";
import { TextServer } from "../generate/serve/server.ts";
import { modelFiles } from "../jobs/model_place.ts";
import { modelTemplate } from "../jobs/model_template.ts";
import { openTextModel } from "../jobs/text_model.ts";
import { log } from "../util/log.ts";
import { command, UsageError } from "./command.ts";
import { deviceArgs, deviceOf } from "./device_args.ts";
import { interruption } from "./interrupt.ts";
import { numberOf, precisionArgs, precisionOf } from "./numbers.ts";
import { rootArgs, rootOf } from "./place.ts";
import { loadArgs, loadUserCode } from "./user_code.ts";

const TOKEN_VARIABLE = "THESEUS_SERVE_TOKEN";
const PATIENCE_MS = 30_000;
const WAITING_MAX = 1024;

export default command({
  name: "serve",
  summary: "answer OpenAI's clients over HTTP",
  examples: [
    "theseus serve first",
    "theseus serve hf:org/name --port 9000 --batch 32 --context 2048",
    "THESEUS_SERVE_TOKEN=... theseus serve first --host 0.0.0.0",
  ],
  args: {
    model: {
      type: "positional",
      required: true,
      description: "RUN, RUN@best, RUN@step-000123, a folder, or hf:org/name",
    },
    ...rootArgs,
    host: {
      type: "string",
      default: "127.0.0.1",
      description: "address to listen on; others than this machine's own need a token",
    },
    port: { type: "string", default: "8000", description: "0: any that is free" },
    token: {
      type: "string",
      description: `what clients must show as API key (better: the variable ${TOKEN_VARIABLE})`,
    },
    name: { type: "string", description: "name of the model for clients (default: MODEL)" },
    batch: { type: "string", default: "8", description: "answers in the making at a time" },
    context: {
      type: "string",
      description:
        "tokens of prompt and answer together (default: what the model takes, up to 4096)",
    },
    template: {
      type: "string",
      default: "auto",
      description: "chat template: auto, chatml, llama3, plain, raw, or a file",
    },
    ...precisionArgs,
    ...deviceArgs,
    threads: { type: "string", description: "of the computation (default: all cores)" },
  },
  repeated: loadArgs,
  async run({ args, repeated }) {
    await loadUserCode(repeated.load);
    const whole = { low: 1, integer: true } as const;
    const port = numberOf(args.port, "port", { low: 0, high: 65535, integer: true });
    const rows = numberOf(args.batch, "batch", whole);
    const optional = (name: "context" | "threads") =>
      args[name] === undefined ? {} : { [name]: numberOf(args[name], name, whole) };
    const token = args.token ?? process.env[TOKEN_VARIABLE] ?? "";
    if (args.token === "") throw new UsageError("--token must not be empty");
    const files = await modelFiles(args.model, rootOf(undefined, args.root));
    const source = { ...files, ...optional("threads"), ...deviceOf(args.device) };
    const model = await openTextModel(source, {
      ...{ rows, ...optional("context"), ...precisionOf(args.precision) },
    });
    const ended = new AbortController();
    let fault: unknown;
    const stop = interruption("closing; answers in the making are finished first");
    try {
      const server = new TextServer({
        ...{ model, hostname: args.host, port, waitingMax: WAITING_MAX },
        name: args.name ?? basename(resolve(args.model)),
        template: modelTemplate(args.template, model),
        token: token === "" ? null : token,
        onFault(error) {
          if (!ended.signal.aborted) fault = error;
          ended.abort();
        },
      });
      const { places } = model.generator;
      const started = { schema_version: 1, url: `${server.url}/v1`, context: places, batch: rows };
      if (args.json === true) process.stdout.write(`${JSON.stringify(started)}\n`);
      else log.info(`${server.url}/v1  ${rows} answers at a time, context ${places}; Ctrl-C ends`);
      await new Promise<void>((resolve) => {
        for (const signal of [stop.signal, ended.signal])
          signal.addEventListener("abort", () => resolve(), { once: true });
      });
      await server.close(ended.signal.aborted ? 0 : PATIENCE_MS);
    } finally {
      stop.release();
      model.close();
    }
    if (ended.signal.aborted) throw fault;
    return 0;
  },
});
