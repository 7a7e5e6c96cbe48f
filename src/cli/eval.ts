/** @file theseus eval: judges a model on tasks and writes what came of it beside its run. */
import { basename, join, resolve } from "node:path";
import { taskNamed } from "../evaluate/builtin_tasks.ts";
import { type Evaluated, evaluateTask } from "../evaluate/evaluate.ts";
import { EVALUATIONS, resultsJson, resultsTable, writeResults } from "../evaluate/results.ts";
import { modelFiles } from "../jobs/model_place.ts";
import { openJudged } from "../jobs/open_judged.ts";
import { UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { command } from "./command.ts";
import { deviceArgs, deviceOf } from "./device_args.ts";
import { tableText } from "./format.ts";
import { interruption } from "./interrupt.ts";
import { LiveLine } from "./live_line.ts";
import { numberOf } from "./numbers.ts";
import { rootArgs, rootOf } from "./place.ts";
import { loadArgs, loadUserCode } from "./user_code.ts";

/** `first@best` becomes `best`, a checkpoint's folder its own name, anything else `latest`. */
function labelOf(model: string, weights: string | undefined): string {
  const at = model.lastIndexOf("@");
  if (at !== -1) return model.slice(at + 1);
  const step = /step-\d+/.exec(weights ?? "")?.[0];
  return step ?? "latest";
}

export default command({
  name: "eval",
  summary: "judge a model on evaluation tasks",
  examples: [
    "theseus eval first --tasks my_task.yaml",
    "theseus eval first@best --tasks hellaswag,arc_easy --limit 200",
    "theseus eval path/to/hf-folder --tasks gsm8k --shots 3 -o results/",
  ],
  args: {
    model: { type: "positional", required: true, description: "RUN, RUN@best, or a folder" },
    tasks: {
      type: "string",
      required: true,
      valueHint: "a,b",
      description: "names (`theseus tasks`) and task files, lm-evaluation-harness's as they stand",
    },
    limit: { type: "string", description: "only the first so many items of each task" },
    shots: { type: "string", description: "worked examples before each item; default: the task's" },
    seed: { type: "string", default: "1234", description: "seed of the draw of examples" },
    output: {
      type: "string",
      alias: "o",
      valueHint: "dir",
      description: "folder for results.json and samples; default: evaluations/ of the run",
    },
    ...deviceArgs,
    threads: { type: "string", description: "CPU threads" },
    cache: {
      type: "boolean",
      default: true,
      description: "reuse earlier results of the same task",
    },
    ...rootArgs,
  },
  repeated: loadArgs,
  async run({ args, repeated }) {
    await loadUserCode(repeated.load);
    const root = rootOf(undefined, args.root);
    const tasks = args.tasks.split(",").map((name) => taskNamed(name.trim()));
    const files = await modelFiles(args.model, root);
    const count = (text: string | undefined, name: string, low: number): number | null =>
      text === undefined ? null : numberOf(text, name, { low, integer: true });
    const threads = count(args.threads, "threads", 1);
    const open = await openJudged({
      ...{ ...files, ...(threads === null ? {} : { threads }), ...deviceOf(args.device) },
    });
    const stop = interruption("stopping");
    const line = new LiveLine();
    const options = {
      ...{ limit: count(args.limit, "limit", 1), shots: count(args.shots, "shots", 0) },
      seed: numberOf(args.seed, "seed", { low: 0, integer: true }),
      cache: args.cache ? join(root, "cache", EVALUATIONS) : null,
      ...{ weights: open.weights, precision: open.precision },
    };
    const results: Evaluated[] = [];
    try {
      for (const task of tasks) {
        const onProgress = (done: number, all: number): void => {
          if (args.quiet !== true) line.show(`${task.name}  ${done} of ${all}`);
        };
        results.push(
          await evaluateTask(open.judged, task, options, { onProgress, signal: stop.signal }),
        );
        line.end();
      }
    } catch (error) {
      if (stop.signal.aborted) throw new UserError("interrupted", { code: "interrupted" });
      throw error;
    } finally {
      line.end();
      open.close();
      stop.release();
    }
    const head = {
      model: basename(resolve(args.model)),
      ...{ weights: open.weights, tokenizer: open.tokenizer },
      ...{ limit: options.limit, seed: options.seed },
    };
    const time = new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-");
    const label = `${labelOf(args.model, files.weights)}-${time}`;
    const folder = args.output ?? join(files.runDirectory, EVALUATIONS, label);
    writeResults(folder, results, head);
    if (args.json === true)
      process.stdout.write(`${JSON.stringify({ ...resultsJson(results, head), folder })}\n`);
    else process.stdout.write(tableText(resultsTable(results)));
    const known = results.filter(({ cached }) => cached).map(({ task }) => task.name);
    if (known.length > 0) log.info(`${known.join(", ")}: from the cache`);
    log.info(`results and samples in ${folder}`);
    return 0;
  },
});
