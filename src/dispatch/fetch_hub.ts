/**
 * @file What configurations name of the Hugging Face hub, brought into the host's cache before anything is queued: the host's own
 * theseus, started there with the run's arguments, says what is missing and fetches it. Jobs fetch nothing.
 */
import { RemoteError, UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { lastLine } from "./host.ts";
import type { JobSpec } from "./job_spec.ts";
import { quote } from "./quote.ts";
import environmentScript from "./sh/environment.sh" with { type: "text" };
import fetchScript from "./sh/fetch_hub.sh" with { type: "text" };
import type { Reply } from "./shell.ts";
import type { Cell, Prepared } from "./submit.ts";

const FETCH_TIMEOUT_MS = 7 * 24 * 3600 * 1000;
const NOT_FOUND = 3;

interface Part {
  readonly cell: Cell;
  readonly spec: JobSpec;
}

/** As few runs as name all that there is to name. */
function covering(parts: readonly Part[]): Part[] {
  const seen = new Set<string>();
  return parts.filter(({ cell }) => {
    const fresh = cell.hub.filter((name) => !seen.has(name));
    for (const name of fresh) seen.add(name);
    return fresh.length > 0;
  });
}

const ENCODER = new TextEncoder();

/** `theseus run … --fetch-only` with the run's own arguments, its configurations in a folder for the moment. */
function fetching(prepared: Prepared, { cell, spec }: Part, offline: boolean) {
  const { environment, found } = prepared;
  const files = [
    { name: "env", bytes: ENCODER.encode(environment) },
    ...cell.configs.map(({ name, text }) => ({ name, bytes: ENCODER.encode(text(found.paths)) })),
  ];
  const own = `${spec.directory}/submit/`;
  const words = spec.args.map((word) =>
    word.startsWith(own) ? `"$submit_dir"/${quote(word.slice(own.length))}` : quote(word),
  );
  const body = [
    ...spec.setup,
    environmentScript,
    ...(offline ? [] : ["unset HF_HUB_OFFLINE TRANSFORMERS_OFFLINE"]),
    `"$binary" ${words.join(" ")} --fetch-only`,
  ].join("\n");
  const script = [
    `binary=${quote(spec.binary)}`,
    fetchScript,
    ...files.map(({ name, bytes }) => `head -c ${bytes.length} >"$submit_dir"/${quote(name)}`),
    "export binary submit_dir",
    `bash -c ${quote(body)} </dev/null`,
  ].join("\n");
  return { script, input: Buffer.concat(files.map(({ bytes }) => bytes)) };
}

/** The words of an error that theseus printed there. */
const saidOf = ({ stderr }: Reply): string =>
  /(?:^|\n)error: ([\s\S]*?)(?:\nhint: |\s*$)/.exec(stderr)?.[1] ?? lastLine(stderr);

async function fetchPart(prepared: Prepared, part: Part): Promise<void> {
  const { host, options } = prepared;
  const where = host.entry.name;
  const attempt = (offline: boolean): Promise<Reply> => {
    const { script, input } = fetching(prepared, part, offline);
    let rest = "";
    const onErrors = (text: string): void => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line.trim() !== "") log.info(`${where}: ${line}`);
    };
    const shown = offline ? {} : { onErrors };
    return host.shell.run(script, { input, timeoutMs: FETCH_TIMEOUT_MS, ...shown });
  };
  // What the cache has is taken as it is, so that a second submission does not change a run's data.
  let reply = await attempt(true);
  if (reply.code === NOT_FOUND && options.allowed.fetch) {
    log.info(`${where}: fetching what the run names of the Hugging Face hub`);
    reply = await attempt(false);
  }
  if (reply.code === 0) return;
  const said = saidOf(reply);
  if (reply.code !== NOT_FOUND && reply.code > 5)
    throw new RemoteError(`${where}: cannot look into the Hugging Face cache (${said})`);
  throw new UserError(`data is missing on ${where}: ${said}`, {
    code: reply.code === NOT_FOUND ? "not_found" : "config",
    hint: options.allowed.fetch
      ? "nothing was submitted"
      : "--fetch-data fetches it there; nothing was submitted",
  });
}

export async function fetchHub(prepared: Prepared): Promise<void> {
  const { options, specs, before } = prepared;
  const own = options.cells.flatMap((cell, i) => {
    const spec = specs[i];
    return spec === undefined ? [] : [{ cell, spec }];
  });
  const parts: Part[] = [...before.filter(({ state }) => state !== "finished"), ...own];
  for (const part of covering(parts)) await fetchPart(prepared, part);
}
