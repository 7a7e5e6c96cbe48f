/** @file theseus fetch: brings a submitted run here. */
import { join } from "node:path";
import { fetchRun } from "../dispatch/fetch.ts";
import { lockState } from "../train/run_lock.ts";
import { UserError } from "../util/errors.ts";
import { bytesText } from "../util/quantities.ts";
import { command, UsageError } from "./command.ts";
import { hostArgs, printJson, submittedRun } from "./dispatch_args.ts";
import { rootArgs, rootOf } from "./place.ts";

export default command({
  name: "fetch",
  summary: "bring a submitted run here: metrics, configuration, newest checkpoints",
  examples: [
    "theseus fetch first",
    "theseus fetch first --all",
    "theseus fetch first --no-checkpoints --root out",
  ],
  args: {
    name: { type: "positional", required: true, description: "name of a submitted run" },
    ...hostArgs,
    ...rootArgs,
    all: { type: "boolean", description: "all checkpoints, not only the newest and the best" },
    checkpoints: { type: "boolean", default: true, description: "checkpoints too" },
  },
  async run({ args }) {
    if (args.all === true && args.checkpoints === false)
      throw new UsageError("--all and --no-checkpoints exclude each other");
    const { host, record, status } = await submittedRun(args.name, args);
    const { project, group, name } = record;
    const target = join(rootOf(undefined, args.root), "runs", project, group, name);
    if (lockState(target) === "held" && target !== record.directory)
      throw new UserError(`${target} is in use by a run here`, { code: "conflict" });
    if (host.entry.ssh === null && join(process.cwd(), target) === record.directory) {
      process.stdout.write(`${record.directory} is here already\n`);
      return 0;
    }
    const checkpoints = args.checkpoints === false ? "none" : args.all === true ? "all" : "newest";
    const came = await fetchRun(host, { directory: record.directory, target, checkpoints });
    if (args.json === true)
      printJson({
        run: status.run,
        host: status.host,
        directory: target,
        state: status.state,
        ...came,
      });
    else
      process.stdout.write(
        `fetched ${came.files} files, ${bytesText(came.bytes)}, into ${target}\n`,
      );
    return 0;
  },
});
