/**
 * @file Submits a run: chooses the host, ships what is missing there, and makes one job. Nothing is queued before all that the job
 * needs is on the host.
 */
import { randomBytes } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { parseMemory } from "../config/amounts.ts";
import { RemoteError, UserError } from "../util/errors.ts";
import { type Before, type PreparedBefore, prepareBefore } from "./before.ts";
import {
  COMMIT_EXIT,
  type Commit,
  type CommitCell,
  type CommitFile,
  commitScript,
} from "./commit_script.ts";
import { type DispatchFile, type HostEntry, secondsOf } from "./dispatch_file.ts";
import { fetchHub } from "./fetch_hub.ts";
import { expectRun, type Host, lastLine } from "./host.ts";
import { type JobRecord, remember } from "./job_record.ts";
import { jobScript } from "./job_script.ts";
import {
  type JobSpec,
  leadSeconds,
  type Resources,
  type RunName,
  runFolder,
  runText,
} from "./job_spec.ts";
import { absolute, type Probe } from "./probe.ts";
import { quote } from "./quote.ts";
import {
  type Allowed,
  expectAllowed,
  type Found,
  findData,
  foundOf,
  type HostPaths,
  INIT_FROM,
  joined,
  nameOf,
  type RunData,
  shipData,
} from "./run_data.ts";
import { type CodeSnapshot, snapshotTarget, unpackSnapshot } from "./snapshot.ts";
import type { Placement, Solution } from "./solve.ts";
import { type Progress, rememberedHash, upload } from "./upload.ts";

/** One run that is to be submitted. */
export interface Cell {
  readonly run: RunName;
  /** Written to the run's `submit/` folder: configurations, whose paths may be replaced by those of the host. */
  readonly configs: readonly {
    readonly name: string;
    text(paths: HostPaths): string;
  }[];
  /** What it needs of the hub: what is equal is the same. */
  readonly hub: readonly string[];
}

export interface SubmitOptions {
  readonly file: DispatchFile;
  readonly cells: readonly Cell[];
  /** Name of the sweep whose cells these are. */
  readonly sweep: { readonly name: string; readonly maxParallel: number | null } | null;
  readonly resources: Resources;
  readonly sbatch: ReadonlyMap<string, string>;
  readonly env: ReadonlyMap<string, string>;
  readonly signal: string;
  /** Further arguments of `theseus run`. */
  readonly args: readonly string[];
  /** Weights that every run begins with: MODEL, as it was written. */
  readonly initFrom: string | null;
  readonly binary: string;
  readonly code: CodeSnapshot | null;
  readonly data: RunData;
  readonly allowed: Allowed;
  /** Jobs that make what the cells read. */
  readonly before: readonly Before[];
  readonly onProgress?: (what: string) => Progress;
}

/** What stands in the environment's file; `${env:NAME}` is taken from here, now. */
export function environmentText(entry: HostEntry, own: ReadonlyMap<string, string>): string {
  const all = new Map([...entry.env, ...own]);
  const lines = [...all].map(([key, value]) => {
    const resolved = value.replaceAll(/\$\{env:(\w+)\}/g, (_, name: string) => {
      const found = process.env[name];
      if (found === undefined)
        throw new UserError(
          `the variable ${name} is not set here; ${key} of ${entry.name} needs it`,
          {
            code: "config",
          },
        );
      return found;
    });
    return `${key}='${resolved.replaceAll("'", `'\\''`)}'`;
  });
  return lines.map((line) => `${line}\n`).join("");
}

/** What a request leaves open is the host's. */
export function withDefaults(wanted: Resources, entry: HostEntry): Resources {
  return {
    ...wanted,
    cpus: wanted.cpus ?? entry.cpus,
    memoryBytes: wanted.memoryBytes ?? parseMemory(entry.memory) ?? null,
    timeSeconds: wanted.timeSeconds ?? secondsOf(entry.time),
  };
}

export interface Prepared {
  readonly host: Host;
  readonly probe: Probe;
  readonly options: SubmitOptions;
  readonly submission: string;
  readonly resources: Resources;
  readonly binary: { readonly hash: string; readonly target: string; readonly bytes: number };
  readonly specs: readonly JobSpec[];
  readonly scripts: readonly string[];
  readonly environment: string;
  /** What of the data the host has. */
  readonly found: Found;
  readonly before: readonly PreparedBefore[];
}

const logOf = (entry: HostEntry, probe: Probe, directory: string, run: RunName): string =>
  entry.cluster.log === null
    ? `${directory}/logs/job.log`
    : `${absolute(entry.cluster.log, probe)}/${run.project}/${run.group}/${run.name}.log`;

interface SpecParts {
  readonly binary: string;
  readonly submission: string;
  readonly lastSave: number | null;
  readonly paths: HostPaths;
  readonly after: readonly string[];
}

export function specOf(
  cell: Cell,
  options: SubmitOptions,
  { host, probe, placement }: { host: Host; probe: Probe; placement: Placement },
  resources: Resources,
  parts: SpecParts,
): JobSpec {
  const { entry } = host;
  const root = absolute(entry.cluster.root, probe);
  const directory = runFolder(root, cell.run);
  const { project, group, name } = cell.run;
  const [first = "", ...stages] = cell.configs.map(
    (config) => `${directory}/submit/${config.name}`,
  );
  const code =
    options.code === null ? [] : snapshotLoads(options.code, absolute(entry.cluster.work, probe));
  const args = [
    ...["run", name, first, root, "-p", project, "-g", group],
    ...stages.flatMap((stage) => ["-s", stage]),
    ...code.flatMap((path) => ["--load", path]),
    ...initArgs(options, parts.paths),
    ...options.args,
  ];
  const { sweep } = options;
  const slots =
    sweep?.maxParallel == null || entry.type === "slurm"
      ? null
      : { name: `sweep-${parts.submission}`, count: sweep.maxParallel };
  const slurm =
    entry.type === "slurm"
      ? {
          ...{ partition: placement.partition, gres: placement.gres },
          ...{ account: entry.account, qos: entry.qos },
          extra: new Map([...entry.sbatch, ...options.sbatch]),
        }
      : null;
  return {
    ...{ run: cell.run, host: entry.name, directory, args, resources, slurm, slots },
    log: logOf(entry, probe, directory, cell.run),
    binary: parts.binary,
    setup: entry.setup,
    signal: options.signal,
    leadSeconds: leadSeconds(resources.timeSeconds, parts.lastSave),
    hangSeconds: secondsOf(entry.hangAfter) ?? 0,
    submission: parts.submission,
    after: parts.after,
  };
}

function initArgs({ initFrom }: SubmitOptions, paths: HostPaths): string[] {
  if (initFrom === null) return [];
  return [INIT_FROM, paths.get(nameOf({ key: INIT_FROM, value: initFrom })) ?? initFrom];
}

const snapshotLoads = (code: CodeSnapshot, work: string): string[] =>
  code.loads.map((path) => `${snapshotTarget(code, work)}/${path}`);

/** How long the run's last save took, where it goes on; cells of a sweep begin. */
async function lastSaveOf({ cells }: SubmitOptions, { host, probe }: Solution) {
  const [only, ...others] = cells;
  if (only === undefined || others.length > 0) return null;
  const directory = runFolder(absolute(host.entry.cluster.root, probe), only.run);
  const pattern = 's/.*"event":"saved".*"seconds":\\([0-9.]*\\).*/\\1/p';
  const events = quote(`${directory}/events.jsonl`);
  const script = `[ ! -e ${events} ] || sed -n '${pattern}' ${events} | tail -n 1`;
  const { stdout } = await expectRun(host, script, "look at the run's saves");
  return Number.parseFloat(stdout) || null;
}

const newSubmission = (): string => randomBytes(6).toString("hex");

const waitedFor = (before: readonly PreparedBefore[]): PreparedBefore[] =>
  before.filter(({ state }) => state !== "finished");

/** Everything up to what is sent; nothing is changed on the host. */
export async function prepare(options: SubmitOptions, solution: Solution): Promise<Prepared> {
  const { host, probe } = solution;
  const { entry } = host;
  if (!existsSync(options.binary))
    throw new UserError(`there is no executable ${options.binary} to ship`, {
      code: "not_found",
      hint: "bun scripts/build.ts makes it; THESEUS_BINARY names another one",
    });
  const hash = await rememberedHash(options.binary);
  const target = `${absolute(entry.cluster.work, probe)}/bin/theseus-${hash.slice(0, 16)}`;
  const resources = withDefaults(options.resources, entry);
  const submission = newSubmission();
  const lastSave = resources.timeSeconds === null ? null : await lastSaveOf(options, solution);
  const environment = environmentText(entry, options.env);
  const all = joined([options.data, ...options.before.map(({ data }) => data)]);
  const found = await findData(host, probe, all, environment);
  const { paths } = found;
  const before = await prepareBefore(options, solution, {
    ...{ binary: target, paths },
    submission: newSubmission,
  });
  const after = waitedFor(before).map(({ cell }) => runText(cell.run));
  const parts = { binary: target, submission, lastSave, paths, after };
  const specs = options.cells.map((cell) => specOf(cell, options, solution, resources, parts));
  return {
    ...{ host, probe, options, submission, resources, specs, environment, before },
    found: foundOf(found, joined([options.data, ...waitedFor(before).map(({ data }) => data)])),
    binary: { hash, target, bytes: statSync(options.binary).size },
    scripts: specs.map(jobScript),
  };
}

function recordOf({ host, probe }: Prepared, spec: JobSpec): JobRecord {
  const { submission, resources, after } = spec;
  return {
    ...{ schema_version: 1, ...spec.run, host: host.entry.name },
    scheduler: spec.slurm === null ? "plain" : "slurm",
    ...{ submission, job: "@JOB@", submitted: 0, directory: spec.directory, log: spec.log },
    ...{ binary: spec.binary, user: probe.user, chip: resources.chip },
    ...{ chips: resources.chips, nodes: resources.nodes, time_s: resources.timeSeconds },
    hang_s: spec.hangSeconds,
    ...(after.length === 0 ? {} : { after }),
  };
}

/** Copies the executable, users' code and data; everything has its final name only when all of it is there. */
async function ship(prepared: Prepared): Promise<void> {
  const { host, options, binary, probe, found } = prepared;
  const { entry } = host;
  const report = options.onProgress ?? (() => () => undefined);
  // What is missing and may not be brought is said before anything is sent.
  expectAllowed(host, found, options.allowed);
  const executable = {
    ...{ local: options.binary, hash: binary.hash, target: binary.target, executable: true },
    what: "theseus itself",
  };
  await upload(host, executable, report("theseus itself"));
  if (options.code !== null)
    await unpackSnapshot(host, options.code, absolute(entry.cluster.work, probe));
  await shipData(host, absolute(entry.cluster.root, probe), found.absent, report);
  await fetchHub(prepared);
}

const ENCODER = new TextEncoder();

function cellOf(prepared: Prepared, index: number): CommitCell {
  const spec = prepared.specs[index];
  const cell = prepared.options.cells[index];
  if (spec === undefined || cell === undefined) throw new Error("internal: no such cell");
  return commitCell(prepared, spec, cell, prepared.scripts[index] ?? "");
}

function commitCell(prepared: Prepared, spec: JobSpec, cell: Cell, script: string): CommitCell {
  const after = spec.after.length === 0 ? [] : waitedFor(prepared.before);
  const folders = after.map((each) => `${each.spec.directory}\n`).join("");
  const record = `${JSON.stringify({ ...recordOf(prepared, spec), submitted: "@TIME@" }, null, 2)}\n`;
  const files: CommitFile[] = [
    { name: "job.sh", bytes: ENCODER.encode(script) },
    ...(folders === "" ? [] : [{ name: "after", bytes: ENCODER.encode(folders) }]),
    { name: "job.json", bytes: ENCODER.encode(record) },
    { name: "env", bytes: ENCODER.encode(prepared.environment), secret: true },
    ...cell.configs.map(({ name, text }) => ({
      name,
      bytes: ENCODER.encode(text(prepared.found.paths)),
    })),
  ];
  return { directory: spec.directory, log: spec.log, files };
}

/** Sorted numbers as sbatch takes them: `0-2,5`. */
export function rangeText(indices: readonly number[], maxParallel: number | null): string {
  const parts: string[] = [];
  for (let i = 0; i < indices.length; i++) {
    const from = indices[i] ?? 0;
    let to = from;
    while (indices[i + 1] === to + 1) to = indices[++i] ?? to;
    parts.push(from === to ? String(from) : `${from}-${to}`);
  }
  return parts.join(",") + (maxParallel === null ? "" : `%${maxParallel}`);
}

const specsOf = ({ specs, before }: Prepared): JobSpec[] => [
  ...before.map(({ spec }) => spec),
  ...specs,
];

function failure(prepared: Prepared, code: number, said: string): Error {
  const { host, options } = prepared;
  const where = host.entry.name;
  const [word, id, submit] = said.split(" ");
  const named = specsOf(prepared).find(({ directory }) => `${directory}/submit` === submit);
  const first = named ?? options.cells[0];
  const run = first === undefined ? "" : runText(first.run);
  const job = word === "live" ? (id ?? "") : said.replace(/^job /, "");
  switch (code) {
    case COMMIT_EXIT.busy:
      return new UserError(`${run} is being submitted to ${where} by somebody else right now`, {
        code: "conflict",
        hint: `theseus status ${first?.run.name ?? ""} shows its job`,
      });
    case COMMIT_EXIT.live:
      return new UserError(`${run} has a job on ${where} already: ${job}`, {
        code: "conflict",
        hint: `theseus status or logs show it; theseus cancel ends it, and then it can be submitted again`,
      });
    case COMMIT_EXIT.unknown:
      return new RemoteError(
        `cannot tell whether ${job} of ${run} still lives on ${where}; nothing was submitted`,
      );
    case COMMIT_EXIT.refused:
      return new UserError(`${where} refused the job: ${said}`, {
        code: "config",
        hint: "theseus hosts --check shows partitions, accounts and limits",
      });
    case COMMIT_EXIT.unreachable:
      return new RemoteError(`SLURM on ${where} did not answer: ${said}`, {
        hint: "the same command again is safe: it looks for the job first",
      });
    case COMMIT_EXIT.folder:
      return new UserError(`${where}: ${said}`, { code: "config" });
    default:
      return new RemoteError(`${where} could not make the job (exit code ${code}: ${said})`);
  }
}

/** The queue of all our jobs as it was last asked for; several clients share it. */
export const queueFile = (work: string, user: string): string => `${work}/status/queue-${user}`;

/** A job that was there already may have been submitted from another machine, or here without our seeing the end of it. */
function rememberLive(prepared: Prepared, said: string): void {
  const [, job = "", submit] = said.split(" ");
  const spec = specsOf(prepared).find(({ directory }) => `${directory}/submit` === submit);
  if (spec === undefined) return;
  const submitted = Math.floor(Date.now() / 1000);
  remember({ ...recordOf(prepared, spec), job, submitted });
}

export interface Submitted {
  /** Jobs that make what the others read. */
  readonly before: readonly JobRecord[];
  readonly cells: readonly JobRecord[];
}

const JOIN_MS = 500;
const JOIN_TRIES = 60;

/**
 * Another submission may have taken a job that makes data meanwhile, or be about to: the runs wait for that one. Null: it is
 * something else.
 */
function joining(prepared: Prepared, code: number, said: string): Prepared | null {
  const [, job = "", submit] = said.split(" ");
  const isIt = ({ spec, state }: PreparedBefore): boolean =>
    state === "new" && `${spec.directory}/submit` === submit;
  if (!prepared.before.some(isIt)) return null;
  if (code === COMMIT_EXIT.busy) return prepared;
  if (code !== COMMIT_EXIT.live) return null;
  const before = prepared.before.map((each) =>
    isIt(each) ? { ...each, state: "live" as const, job } : each,
  );
  return { ...prepared, before };
}

async function commit(
  prepared: Prepared,
  array: Commit["array"],
  indices: readonly number[],
  made: readonly string[] | null = null,
): Promise<Submitted> {
  let now = prepared;
  for (let tries = 0; ; tries++) {
    const done = await commitOnce(now, array, indices, made);
    if ("cells" in done) return done;
    const next = tries < JOIN_TRIES ? joining(now, done.code, done.said) : null;
    if (next === null) throw failure(now, done.code, done.said);
    if (next === now) await Bun.sleep(JOIN_MS);
    now = next;
  }
}

interface Refused {
  readonly code: number;
  readonly said: string;
}

/** `made`: jobs that an earlier commit of the same submission has handed over; null: this is the first. */
async function commitOnce(
  prepared: Prepared,
  array: Commit["array"],
  indices: readonly number[],
  made: readonly string[] | null,
): Promise<Submitted | Refused> {
  const { host, probe, specs, submission } = prepared;
  const cells = indices.map((index) => cellOf(prepared, index));
  const before = made === null ? prepared.before.filter(({ state }) => state === "new") : [];
  const known = prepared.before.filter(({ state }) => state === "live").map(({ job }) => job);
  const work = absolute(host.entry.cluster.work, probe);
  const { script, input } = commitScript(
    host.entry,
    {
      ...{ cells, submission, array, known: [...known, ...(made ?? [])] },
      before: before.map(({ spec, cell, script: text }) => ({
        cell: commitCell(prepared, spec, cell, text),
        submission: spec.submission,
      })),
    },
    queueFile(work, probe.user),
  );
  const reply = await host.shell.run(script, { input, timeoutMs: 120_000 });
  const said = lastLine(reply.stdout) || lastLine(reply.stderr);
  if (reply.code === COMMIT_EXIT.live) rememberLive(prepared, said);
  if (reply.code !== 0) return { code: reply.code, said };
  const jobs = [...reply.stdout.matchAll(/^job (\S+) (\d+)$/gm)];
  const recordAt = (spec: JobSpec | undefined, at: number): JobRecord => {
    const [, job = "", time = "0"] = jobs[at] ?? [];
    if (spec === undefined || job === "")
      throw new RemoteError(`${host.entry.name} did not name its job`);
    const record = { ...recordOf(prepared, spec), job, submitted: Number(time) };
    remember(record);
    return record;
  };
  return {
    before: before.map(({ spec }, i) => recordAt(spec, i)),
    cells: indices.map((index, i) => recordAt(specs[index], before.length + i)),
  };
}

/** Ships and submits a single run. */
export async function submitOne(prepared: Prepared): Promise<Submitted> {
  await ship(prepared);
  return commit(prepared, null, [0]);
}

/** Ships once and submits all cells; on SLURM as arrays of at most `maxArray` tasks. */
export async function submitMany(prepared: Prepared, maxArray: number): Promise<Submitted> {
  await ship(prepared);
  const all = prepared.specs.map((_, i) => i);
  const { sweep } = prepared.options;
  const parallel = sweep?.maxParallel ?? null;
  if (prepared.host.entry.type !== "slurm") return commit(prepared, null, all);
  let before: readonly JobRecord[] | null = null;
  const cells: JobRecord[] = [];
  for (let from = 0; from < all.length; from += maxArray) {
    const part = all.slice(from, from + maxArray);
    const array = arrayOf(prepared, part, parallel);
    const made: readonly string[] | null = before?.map(({ job }) => job) ?? null;
    const done: Submitted = await commit(prepared, array, part, made);
    before ??= done.before;
    cells.push(...done.cells);
  }
  return { before: before ?? [], cells };
}

/** One script for all cells of an array: the directives are those of every cell, the work is each cell's own job.sh. */
function arrayOf(
  prepared: Prepared,
  part: readonly number[],
  parallel: number | null,
): Commit["array"] {
  const { specs, scripts, options, submission, host, probe } = prepared;
  const root = absolute(host.entry.cluster.root, probe);
  const first = specs[part[0] ?? 0];
  const folder = `${root}/sweeps/${submission}-${part[0]}`;
  const header = (scripts[part[0] ?? 0] ?? "")
    .split("\n")
    .filter((line) => /^#SBATCH --(?!job-name|output|dependency)/.test(line));
  const lines = [
    "#!/bin/bash",
    `# The jobs of the sweep ${options.sweep?.name ?? ""}, written by theseus sweep: each task is one run's own job.sh.`,
    `#SBATCH --job-name=theseus.sweep.${options.sweep?.name ?? ""}`,
    `#SBATCH --output=${folder}/%a.log`,
    ...header,
    "cells=(",
    ...part.map((index) => `  ${quote(specs[index]?.directory ?? "")}`),
    ")",
    `directory=\${cells[$SLURM_ARRAY_TASK_ID]}`,
    `log=$(sed -n 's/^#SBATCH --output=//p' "$directory/submit/job.sh")`,
    `exec bash "$directory/submit/job.sh" >>"$log" 2>&1`,
  ];
  if (first === undefined) return null;
  const range = rangeText(
    part.map((_, i) => i),
    parallel,
  );
  return { folder, script: ENCODER.encode(`${lines.join("\n")}\n`), range };
}
