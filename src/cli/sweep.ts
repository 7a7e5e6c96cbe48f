/** @file theseus sweep: one configuration in many variants, each a run of its own; a rerun submits only what is not finished. */

import { type GridCell, parseGrid } from "../dispatch/grid.ts";
import { expectRun, type Host } from "../dispatch/host.ts";
import type { JobRecord } from "../dispatch/job_record.ts";
import type { RunName } from "../dispatch/job_spec.ts";
import { runFolder, runText } from "../dispatch/job_spec.ts";
import { absolute } from "../dispatch/probe.ts";
import { queryHost, type RunStatus } from "../dispatch/query.ts";
import { solve } from "../dispatch/solve.ts";
import { type Prepared, prepare, submitMany } from "../dispatch/submit.ts";
import { configSource, loadJob } from "../jobs/load_job.ts";
import { ConfigError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { command, UsageError } from "./command.ts";
import { dispatchArgs, dispatchFileOf, printJson } from "./dispatch_args.ts";
import { dataRows, shownData } from "./dry_run.ts";
import { tableText } from "./format.ts";
import { choiceOf, submitArgs, submitOptions, submitRepeated } from "./submission.ts";
import { checkNames, showCandidates } from "./submit.ts";
import { uploadLine } from "./upload_line.ts";
import { loadUserCode } from "./user_code.ts";

const DEFAULT_MAX_ARRAY = 1001;

/** The longest array that SLURM takes; indices begin at 0. */
async function maxArray(host: Host): Promise<number> {
  if (host.entry.type !== "slurm") return Number.POSITIVE_INFINITY;
  const { stdout } = await expectRun(
    host,
    "scontrol show config 2>/dev/null | sed -n 's/^MaxArraySize *= *//p'",
    "ask for the longest array",
  );
  const size = Number(stdout.trim() || DEFAULT_MAX_ARRAY);
  return Number.isSafeInteger(size) && size > 0 ? size : DEFAULT_MAX_ARRAY;
}

interface Split {
  readonly todo: readonly GridCell[];
  readonly kept: readonly RunStatus[];
}

/** Cells that are finished or have a live job are left as they are. */
async function unfinished(
  host: Host,
  cells: readonly GridCell[],
  runOf: (cell: GridCell) => RunName,
  root: string,
): Promise<Split> {
  const { statuses } = await queryHost(
    host,
    cells.map((cell) => runFolder(root, runOf(cell))),
  );
  const kept = statuses.filter(({ state }) => ["finished", "running", "queued"].includes(state));
  const names = new Set(kept.map(({ run }) => run));
  return { kept, todo: cells.filter((cell) => !names.has(runText(runOf(cell)))) };
}

function parallelOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new UsageError(`--max-parallel expected a number >= 1, got "${text}"`);
  return value;
}

/** What would happen, or that nothing would. */
async function printPlan(
  host: string,
  prepared: Prepared | null,
  todo: readonly string[],
  kept: readonly RunStatus[],
  json: boolean,
): Promise<void> {
  if (json) {
    const ships = prepared === null ? {} : await shownData(prepared);
    printJson({ host, submit: todo, kept: kept.map(({ run }) => run), ...ships });
    return;
  }
  const rows = [
    ...(prepared === null ? [] : await dataRows(prepared)),
    ...todo.map((run) => [run, "would be submitted"]),
    ...kept.map(({ run, state }) => [run, state]),
  ];
  process.stdout.write(tableText(rows));
  if (todo.length === 0) process.stdout.write("nothing to submit\n");
}

export default command({
  name: "sweep",
  summary: "submit a run in many variants; the same again submits only what is not finished",
  examples: [
    "theseus sweep rates my.yaml grid.yaml",
    "theseus sweep rates my.yaml grid.yaml --host login --max-parallel 4",
    "theseus sweep rates my.yaml grid.yaml --dry-run",
    "theseus runs --sort val_loss --csv",
  ],
  overrides: true,
  args: {
    name: {
      type: "positional",
      required: true,
      description: "name of the sweep: the group of its runs",
    },
    config: { type: "positional", required: true, description: "a YAML file or a preset's name" },
    grid: { type: "positional", required: true, description: "a YAML file with lists of values" },
    project: { type: "string", alias: "p", default: "general", description: "project" },
    ...dispatchArgs,
    ...submitArgs,
    "max-parallel": { type: "string", valueHint: "count", description: "so many at a time" },
  },
  repeated: submitRepeated,
  async run({ args, overrides, repeated }) {
    const { name, project } = args;
    checkNames({ name, project });
    const json = args.json === true;
    await loadUserCode(repeated.load);
    const source = configSource(args.config);
    const cells = parseGrid(configSource(args.grid));
    // A mistake in any cell is said before anything is submitted.
    const stages = new Map(
      cells.map((cell) => [cell, [loadJob(source, [...overrides, ...cell.overrides])]]),
    );
    const runOf = (cell: GridCell): RunName => ({ project, group: name, name: cell.name });
    for (const cell of cells) checkNames({ [cell.name]: cell.name });
    const file = dispatchFileOf(args);
    const maxParallel = parallelOf(args["max-parallel"]);
    const requests = (of: readonly GridCell[]) =>
      of.map((cell) => ({ run: runOf(cell), stages: stages.get(cell) ?? [] }));
    const all = await submitOptions(file, requests(cells), args, repeated);
    const solution = await solve(file, all.resources, choiceOf(args, file), (candidates) => {
      if (args.explain === true) showCandidates(candidates, json);
    });
    const { host, probe } = solution;
    if (all.resources.chips > 1 || all.resources.nodes > 1)
      throw new ConfigError("training on several devices is not there yet");
    const { todo, kept } = await unfinished(
      host,
      cells,
      runOf,
      absolute(host.entry.cluster.root, probe),
    );
    const line = uploadLine(args.quiet === true || json);
    const options = {
      ...all,
      cells: todo
        .map((cell) => all.cells[cells.indexOf(cell)])
        .filter((cell) => cell !== undefined),
      sweep: { name, maxParallel },
    };
    const prepared =
      todo.length === 0 ? null : await prepare({ ...options, onProgress: line.for }, solution);
    if (prepared === null || args["dry-run"] === true) {
      const names = todo.map((cell) => runText(runOf(cell)));
      await printPlan(host.entry.name, prepared, names, kept, json);
      return 0;
    }
    const { before, cells: records } = await submitMany(prepared, await maxArray(host));
    line.end();
    const named = (all: readonly JobRecord[]) =>
      all.map((record) => ({ run: runText(record), job: record.job }));
    const [jobs, first] = [named(records), named(before)];
    if (json)
      printJson({
        host: host.entry.name,
        before: first,
        submitted: jobs,
        kept: kept.map(({ run }) => run),
      });
    else
      process.stdout.write(
        tableText([...first, ...jobs].map(({ run, job }) => [run, `job ${job}`])),
      );
    log.info(
      `${records.length} submitted, ${kept.length} left as they are; theseus status shows them`,
    );
    return 0;
  },
});
