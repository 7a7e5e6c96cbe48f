/** @file From a command line to what is submitted: configurations, resources, code, data, the executable. */
import { join, resolve } from "node:path";
import { parseDuration, parseMemory } from "../config/amounts.ts";
import type { Config } from "../config/config.ts";
import { requestFields } from "../config/request_fields.ts";
import { writeYaml } from "../config/write.ts";
import type { Before } from "../dispatch/before.ts";
import { type DispatchFile, hostNamed } from "../dispatch/dispatch_file.ts";
import type { Resources } from "../dispatch/job_spec.ts";
import { type HostPaths, type Named, nameOf } from "../dispatch/run_data.ts";
import { snapshotOf } from "../dispatch/snapshot.ts";
import type { Choice } from "../dispatch/solve.ts";
import type { Cell, SubmitOptions } from "../dispatch/submit.ts";
import type { LoadedJob } from "../jobs/load_job.ts";
import { type DataContext, type JobsData, madePlace, runData } from "../jobs/run_data.ts";
import { trainingFields } from "../train/fields.ts";
import { ConfigError } from "../util/errors.ts";
import { UsageError } from "./command.ts";
import { pairs } from "./dispatch_args.ts";
import { expectRead, type JobBefore, jobsBefore, sameAs } from "./jobs_before.ts";
import { rootOf } from "./place.ts";
import { loadArgs } from "./user_code.ts";

export const submitArgs = {
  host: {
    type: "string",
    valueHint: "host",
    description: "the host, instead of the first that fits",
  },
  cluster: { type: "string", valueHint: "cluster", description: "only hosts of this cluster" },
  "exclude-cluster": {
    type: "string",
    valueHint: "cluster",
    description: "no host of this cluster",
  },
  chip: { type: "string", valueHint: "chip", description: "accelerator (default: request.chip)" },
  chips: { type: "string", alias: "n", valueHint: "count", description: "accelerators in all" },
  nodes: { type: "string", valueHint: "count", description: "machines" },
  partition: { type: "string", valueHint: "partition", description: "of SLURM" },
  time: { type: "string", valueHint: "time", description: 'most time: "12 hours", "1-12:00:00"' },
  mem: { type: "string", valueHint: "memory", description: 'memory a node: "64 GiB"' },
  cpu: { type: "string", valueHint: "count", description: "cores a node" },
  "ship-data": { type: "boolean", description: "copy data that is here and not on the host" },
  "fetch-data": {
    type: "boolean",
    description: "fetch what the host's Hugging Face cache does not have, there",
  },
  "init-from": {
    type: "string",
    valueHint: "model",
    description: "as for theseus run: a model of this machine, or a run of the host",
  },
  clean: { type: "boolean", description: "ship users' code only as it is committed" },
  dirty: { type: "boolean", description: "ship users' code as it is (the default)" },
  "allow-change": { type: "boolean", description: "as for theseus run" },
  "dry-run": { type: "boolean", description: "show host, script and what would be shipped" },
  explain: { type: "boolean", description: "show every host and why it was taken or not" },
} as const;

export const submitRepeated = {
  ...loadArgs,
  prepare: {
    valueHint: "job.yaml",
    description: "a job that makes data for it, submitted before it unless it has finished",
  },
  env: { valueHint: "k=v", description: `a variable for the job; \${env:NAME} is taken from here` },
  sbatch: { valueHint: "key=v", description: "any option of sbatch" },
} as const;

export interface SubmitFlags {
  readonly [name: string]: unknown;
}

const textOf = (flags: SubmitFlags, name: string): string | undefined => {
  const value = flags[name];
  return typeof value === "string" ? value : undefined;
};

function countOf(flags: SubmitFlags, name: string): number | undefined {
  const text = textOf(flags, name);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new UsageError(`--${name} expected a number >= 1, got "${text}"`);
  return value;
}

function parsed<T>(
  flags: SubmitFlags,
  name: string,
  parse: (text: string) => T | undefined,
  what: string,
): T | undefined {
  const text = textOf(flags, name);
  if (text === undefined) return undefined;
  const value = parse(text);
  if (value === undefined) throw new UsageError(`--${name} expected ${what}, got "${text}"`);
  return value;
}

export function resourcesOf(config: Config, flags: SubmitFlags): Resources {
  const request = config.values(requestFields);
  const chip = textOf(flags, "chip") ?? request.chip;
  const memory = parsed(flags, "mem", parseMemory, 'memory like "64 GiB"');
  const time = parsed(flags, "time", parseDuration, 'time like "12 hours" or "1-12:00:00"');
  const nodes = countOf(flags, "nodes") ?? request.nodes;
  const chips = countOf(flags, "chips") ?? request.chips;
  if (chips % nodes !== 0 && chip !== null)
    throw new ConfigError(`request: ${chips} chips do not spread evenly over ${nodes} nodes`, {
      place: { key: "request.nodes" },
    });
  return {
    ...{ chip, chips, nodes },
    cpus: countOf(flags, "cpu") ?? request.cpus,
    memoryBytes: memory ?? parseMemory(request.memory) ?? null,
    timeSeconds: time ?? parseDuration(request.time) ?? null,
  };
}

export function choiceOf(flags: SubmitFlags, file: DispatchFile): Choice {
  const list = (name: string): string[] =>
    (textOf(flags, name) ?? "").split(",").filter((each) => each !== "");
  const host = textOf(flags, "host");
  if (host !== undefined) hostNamed(file, host);
  return {
    ...{ host, clusters: list("cluster"), excluded: list("exclude-cluster") },
    partition: textOf(flags, "partition"),
    all: flags.explain === true,
  };
}

/** This executable; from a source tree, the one that scripts/build.ts made. */
export function binaryOf(): string {
  const named = process.env.THESEUS_BINARY;
  if (named !== undefined && named !== "") return resolve(named);
  return Bun.main.startsWith("/$bunfs/")
    ? process.execPath
    : join(import.meta.dir, "../../dist/theseus");
}

/** Asks a training to save and to end; a task listens to SIGTERM alone. */
function signalOf({ job, config }: LoadedJob): string {
  if (job.kind !== "training") return "TERM";
  const signal = config.get(trainingFields.preemptionSignal);
  if (signal === "none")
    throw new ConfigError("a submitted job is told by a signal to save and to end, got none", {
      place: { key: "training.preemption_signal" },
    });
  return signal.replace(/^SIG/, "");
}

function replaced(value: unknown, key: string, paths: HostPaths): unknown {
  if (typeof value === "string") return paths.get(nameOf({ key, value })) ?? value;
  if (Array.isArray(value)) return value.map((each) => replaced(each, key, paths));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, replaced(each, key, paths)]),
  );
}

function configText({ job, config }: LoadedJob, paths: HostPaths): string {
  const changes = [...config.schema.fields.values()].map((field) => {
    const key = field.path.replaceAll("/", ".");
    return [field, replaced(config.at(field.path), key, paths)] as const;
  });
  return writeYaml(job.schema, config.with(new Map(changes)), `${job.name}, as it was submitted`);
}

export interface CellRequest {
  readonly run: Cell["run"];
  readonly stages: readonly LoadedJob[];
}

const cellOf = ({ run, stages }: CellRequest, { hub }: JobsData): Cell => ({
  run,
  hub: stages.flatMap((stage) => hub.get(stage) ?? []),
  configs: stages.map((stage, i) => ({
    name: i === 0 ? "config.yaml" : `config-stage-${i + 1}.yaml`,
    text: (paths) => configText(stage, paths),
  })),
});

/** It needs data of its own. */
async function beforeOf(job: JobBefore, context: DataContext, made: Named): Promise<Before> {
  const own = await runData([job.job], context);
  const output = job.made;
  const moved = output.value !== "" && output.path !== `data/${output.value}`;
  const textOf = (paths: HostPaths): string => configText(job.job, paths);
  return {
    cell: cellOf({ run: job.run, stages: [job.job] }, own),
    data: moved ? { ...own.data, made: [madePlace(output)] } : own.data,
    resources: resourcesOf(job.job.config, {}),
    signal: signalOf(job.job),
    expectSame: sameAs(job, textOf),
    made,
  };
}

export async function submitOptions(
  file: DispatchFile,
  cells: readonly CellRequest[],
  flags: SubmitFlags,
  repeated: {
    readonly load: readonly string[];
    readonly prepare: readonly string[];
    readonly env: readonly string[];
    readonly sbatch: readonly string[];
  },
): Promise<SubmitOptions> {
  const [first] = cells[0]?.stages ?? [];
  if (first === undefined) throw new UsageError("there is nothing to submit");
  if (flags.clean === true && flags.dirty === true)
    throw new UsageError("--clean and --dirty exclude each other");
  const initFrom = textOf(flags, "init-from") ?? null;
  if (initFrom !== null && first.job.kind === "task")
    throw new UsageError(`${first.job.name} is no training: it takes no --init-from`);
  const root = rootOf(undefined, undefined);
  const place = { project: String(flags.project), group: textOf(flags, "group") ?? "default" };
  const before = jobsBefore(repeated.prepare, place, root);
  const context: DataContext = { root, made: before.map(({ made }) => made) };
  const jobs = cells.flatMap(({ stages }) => stages);
  const data = await runData(jobs, context, initFrom ?? undefined);
  expectRead(before, new Set(data.data.made.map(({ path }) => path)));
  const read = ({ made }: JobBefore): Named =>
    data.data.made.find(({ path }) => path === made.path) ?? made;
  const alone: DataContext = { root, made: [] };
  return {
    ...{ file, cells: cells.map((cell) => cellOf(cell, data)), sweep: null },
    initFrom,
    resources: resourcesOf(first.config, flags),
    sbatch: pairs("sbatch", repeated.sbatch, /^[a-z][a-z0-9-]*$/),
    env: pairs("env", repeated.env, /^[A-Za-z_]\w*$/),
    signal: signalOf(first),
    args: flags["allow-change"] === true ? ["--allow-change"] : [],
    binary: binaryOf(),
    code: await snapshotOf(repeated.load, flags.clean === true),
    data: data.data,
    before: await Promise.all(before.map((each) => beforeOf(each, alone, read(each)))),
    allowed: { ship: flags["ship-data"] === true, fetch: flags["fetch-data"] === true },
  };
}
