/** @file theseus configure: writes the complete, documented configuration of a job. */
import { existsSync, writeFileSync } from "node:fs";
import type { Origin } from "../config/problems.ts";
import { writeYaml } from "../config/write.ts";
import { configSource, type LoadedJob, loadJob } from "../jobs/load_job.ts";
import { PRESETS, presetNamed } from "../jobs/presets.ts";
import { jobNamed } from "../jobs/registry.ts";
import { UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { command, UsageError } from "./command.ts";
import { tableText } from "./format.ts";
import { loadArgs, loadUserCode } from "./user_code.ts";

function save(path: string, text: string, force: boolean): void {
  if (path === "-") {
    process.stdout.write(text);
    return;
  }
  if (existsSync(path) && !force)
    throw new UserError(`${path} exists already`, {
      code: "conflict",
      hint: "choose another name, or --force to replace it",
    });
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw new UserError(error instanceof Error ? error.message : String(error));
  }
  log.info(`wrote ${path}`);
}

/** `kind` is default, preset, file or command line. */
function originOf(origin: Origin | null): { readonly kind: string; readonly place: string } {
  if (origin === null) return { kind: "default", place: "" };
  const { source, line, column } = origin;
  if (line === undefined) return { kind: source, place: "" };
  const preset = PRESETS.some((name) => presetNamed(name)?.name === source);
  return { kind: preset ? "preset" : "file", place: [source, line, column].join(":") };
}

function showOrigins({ config, origins }: LoadedJob, json: boolean): void {
  const values = [...origins].map(([path, origin]) => {
    const { kind, place } = originOf(origin);
    return { path: path.replaceAll("/", "."), value: config.at(path), kind, place };
  });
  if (json) process.stdout.write(`${JSON.stringify({ schema_version: 1, values })}\n`);
  else {
    const rows = values.map(({ path, value, kind, place }) => [
      path,
      JSON.stringify(value) ?? "-",
      place === "" ? kind : `${kind} ${place}`,
    ]);
    process.stdout.write(tableText(rows));
  }
}

export default command({
  name: "configure",
  summary: "write a job's complete configuration",
  examples: [
    "theseus configure gpt/pretrain run.yaml",
    "theseus configure gpt/pretrain run.yaml --from gpt/tiny-sotu training.steps=500",
    "theseus configure gpt/pretrain run.yaml --chip h100 -n 8 request.time='12 hours'",
    "theseus configure gpt/pretrain -",
    "theseus configure gpt/pretrain --origins --from run.yaml training.steps=500",
  ],
  overrides: true,
  args: {
    job: { type: "positional", required: true, description: "a job's name (theseus jobs)" },
    out: { type: "positional", required: false, description: 'file to write; "-": stdout' },
    from: { type: "string", valueHint: "config", description: "start from this file or preset" },
    chip: { type: "string", valueHint: "h100", description: "sets request.chip" },
    chips: { type: "string", alias: "n", valueHint: "8", description: "sets request.chips" },
    force: { type: "boolean", description: "replace an existing file" },
    origins: { type: "boolean", description: "show each value and where it comes from instead" },
  },
  repeated: loadArgs,
  async run({ args, overrides, repeated }) {
    await loadUserCode(repeated.load);
    const { name, doc } = jobNamed(args.job);
    const source =
      args.from === undefined ? { name: "", text: `job: ${name}\n` } : configSource(args.from);
    const wanted = [
      ...(args.chip === undefined ? [] : [`request.chip=${JSON.stringify(args.chip)}`]),
      ...(args.chips === undefined ? [] : [`request.chips=${args.chips}`]),
    ];
    const loaded = loadJob(source, [...wanted, ...overrides]);
    const { job, config } = loaded;
    if (job.name !== name)
      throw new UserError(`${args.from} configures ${job.name}, not ${name}`, { code: "config" });
    if (args.origins === true) {
      showOrigins(loaded, args.json === true);
      return 0;
    }
    if (args.out === undefined) throw new UsageError("configure expects OUT");
    save(args.out, writeYaml(job.schema, config, `${name}: ${doc}`), args.force === true);
    return 0;
  },
});
