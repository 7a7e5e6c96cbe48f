/** @file theseus submit: the same run on another host. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { JobRecord } from "../dispatch/job_record.ts";
import { runText } from "../dispatch/job_spec.ts";
import { measuredOn } from "../dispatch/measured.ts";
import { absolute } from "../dispatch/probe.ts";
import type { Candidate } from "../dispatch/solve.ts";
import { solve } from "../dispatch/solve.ts";
import { stateFolder } from "../dispatch/state_folder.ts";
import { type Prepared, prepare, type Submitted, submitOne } from "../dispatch/submit.ts";
import type { LoadedJob } from "../jobs/load_job.ts";
import { configSource } from "../jobs/load_job.ts";
import { loadStages } from "../jobs/load_stages.ts";
import { ConfigError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { command } from "./command.ts";
import { dispatchArgs, dispatchFileOf, printJson } from "./dispatch_args.ts";
import { printDryRun, shownDryRun } from "./dry_run.ts";
import { followLog } from "./follow_log.ts";
import { tableText } from "./format.ts";
import { choiceOf, submitArgs, submitOptions, submitRepeated } from "./submission.ts";
import { type TimeNeeded, timeNeeded, warnOfTime } from "./time_needed.ts";
import { uploadLine } from "./upload_line.ts";
import { loadUserCode } from "./user_code.ts";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

export function checkNames(names: Readonly<Record<string, string>>): void {
  for (const [what, name] of Object.entries(names))
    if (!NAME.test(name))
      throw new ConfigError(`${what}: expected letters, digits, ".", "_" and "-", got "${name}"`);
}

export function showCandidates(candidates: readonly Candidate[], json: boolean): void {
  if (json) return;
  const rows = candidates.map(({ host, verdict, reason, taken }) => [
    ...[taken ? "*" : " ", host, verdict, reason],
  ]);
  process.stdout.write(tableText(rows));
}

/** Null: no time is asked for, or there is nothing that tells how long it takes. */
async function neededBy(
  { host, probe, resources, specs }: Prepared,
  stages: readonly LoadedJob[],
): Promise<TimeNeeded | null> {
  const [spec] = specs;
  const [stage, ...more] = stages;
  const { chip, chips, timeSeconds } = resources;
  if (timeSeconds === null || spec === undefined || stage === undefined || more.length > 0)
    return null;
  const root = absolute(host.entry.cluster.root, probe);
  const needed = timeNeeded(stage, await measuredOn(host, root, spec.run, chip), chip, chips);
  warnOfTime(spec.run.name, needed, timeSeconds);
  return needed;
}

/** Training knows one device today: the script is right already, and kept for that day. */
function expectOneDevice({ resources, scripts, specs }: Prepared): void {
  if (resources.nodes === 1 && resources.chips === 1) return;
  const folder = join(stateFolder(), "scripts");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${specs[0]?.run.name}.sh`);
  writeFileSync(path, scripts[0] ?? "");
  throw new ConfigError(
    `training on several devices is not there yet: ${resources.chips} chips on ${resources.nodes} nodes are asked for`,
    { hint: `nothing was submitted; the script that it would be is in ${path}` },
  );
}

function report(before: readonly JobRecord[], record: JobRecord, json: boolean): void {
  const lines = [...before, record].map((each) => {
    const { host, job, directory, log: path } = each;
    return { run: runText(each), host, job, directory, log: path };
  });
  const own = lines.at(-1);
  if (json) printJson({ event: "submitted", ...own, before: lines.slice(0, -1) });
  else
    for (const { run, host, job } of lines)
      process.stdout.write(`submitted ${run} to ${host}: job ${job}\n`);
  log.info(`theseus status ${record.name}, theseus logs ${record.name} -f`);
}

export default command({
  name: "submit",
  summary: "run a job on another host or a SLURM cluster",
  examples: [
    "theseus submit first gpt/tiny-sotu --host login",
    'theseus submit big my.yaml --chip h100 --time "12 hours" training.steps=20000',
    "theseus submit mine my.yaml --load my_model.ts --ship-data --follow",
    "theseus submit mine my.yaml data.tokens=stories --prepare stories.yaml --fetch-data",
    "theseus submit first my.yaml --dry-run --explain",
  ],
  overrides: true,
  args: {
    name: { type: "positional", required: true, description: "name of the run" },
    config: { type: "positional", required: true, description: "a YAML file or a preset's name" },
    project: { type: "string", alias: "p", default: "general", description: "project" },
    group: { type: "string", alias: "g", default: "default", description: "group" },
    ...dispatchArgs,
    ...submitArgs,
    follow: { type: "boolean", description: "show its log until it ends" },
  },
  repeated: {
    ...submitRepeated,
    stage: {
      alias: "s",
      valueHint: "stage.yaml",
      description: "a further stage, as for theseus run",
    },
  },
  async run({ args, overrides, repeated }) {
    const { name, project, group } = args;
    const json = args.json === true;
    checkNames({ name, project, group });
    await loadUserCode(repeated.load);
    const stages = loadStages([args.config, ...repeated.stage].map(configSource), overrides);
    const file = dispatchFileOf(args);
    const line = uploadLine(args.quiet === true || json);
    const options = await submitOptions(
      file,
      [{ run: { project, group, name }, stages }],
      args,
      repeated,
    );
    let candidates: readonly Candidate[] = [];
    const solution = await solve(file, options.resources, choiceOf(args, file), (all) => {
      candidates = all;
      if (args.explain === true) showCandidates(all, json);
    });
    const prepared = await prepare({ ...options, onProgress: line.for }, solution);
    const time = await neededBy(prepared, stages);
    if (args["dry-run"] === true) {
      if (json) printJson({ ...(await shownDryRun(prepared)), candidates, time_needed: time });
      else await printDryRun(prepared);
    }
    expectOneDevice(prepared);
    if (args["dry-run"] === true) return 0;
    let submitted: Submitted;
    try {
      submitted = await submitOne(prepared);
    } finally {
      line.end();
    }
    const [record] = submitted.cells;
    if (record === undefined) throw new Error("internal: no record");
    report(submitted.before, record, json);
    return args.follow === true ? followLog(solution.host, record, json) : 0;
  },
});
