/** @file theseus cancel: ends a submitted job; what it has saved stays. */
import { cancelJob } from "../dispatch/cancel.ts";
import { command } from "./command.ts";
import { hostArgs, printJson, submittedRun } from "./dispatch_args.ts";

export default command({
  name: "cancel",
  summary: "end a submitted job; what it saved stays, and submit goes on from there",
  examples: ["theseus cancel first", "theseus cancel first --host login"],
  args: {
    name: { type: "positional", required: true, description: "name of a submitted run" },
    ...hostArgs,
  },
  async run({ args }) {
    const { host, record, status } = await submittedRun(args.name, args);
    const over = ["finished", "failed", "cancelled"].includes(status.state);
    const ended = over ? false : await cancelJob(host, { ...record, job: status.job });
    if (args.json === true)
      printJson({
        run: status.run,
        host: status.host,
        job: status.job,
        cancelled: ended,
        before: status.state,
      });
    else
      process.stdout.write(
        ended
          ? `asked job ${status.job} of ${status.run} on ${status.host} to save and end\n`
          : `${status.run} has no job to end: it is ${status.state}\n`,
      );
    return 0;
  },
});
