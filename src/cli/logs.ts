/** @file theseus logs: what a submitted run prints. */
import { readLog } from "../dispatch/logs.ts";
import { command, UsageError } from "./command.ts";
import { hostArgs, submittedRun } from "./dispatch_args.ts";
import { followLog, writePiece } from "./follow_log.ts";

export default command({
  name: "logs",
  summary: "what a submitted run prints",
  examples: [
    "theseus logs first",
    "theseus logs first -f",
    "theseus logs first --host login --lines 1000",
  ],
  args: {
    name: { type: "positional", required: true, description: "name of a submitted run" },
    ...hostArgs,
    follow: { type: "boolean", alias: "f", description: "go on until the run ends" },
    lines: {
      type: "string",
      valueHint: "count",
      default: "100",
      description: "so many from the end",
    },
  },
  async run({ args }) {
    const lines = Number(args.lines);
    if (!Number.isSafeInteger(lines) || lines < 1)
      throw new UsageError(`--lines expected a number >= 1, got "${args.lines}"`);
    const { host, record } = await submittedRun(args.name, args);
    const json = args.json === true;
    if (args.follow === true) return followLog(host, record, json, lines);
    writePiece((await readLog(host, record.log, -lines)).bytes, json);
    return 0;
  },
});
