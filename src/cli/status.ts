/** @file theseus status: how submitted runs stand. */
import { hostNamed } from "../dispatch/dispatch_file.ts";
import { matching, onlyOne, remembered } from "../dispatch/job_record.ts";
import type { RunStatus } from "../dispatch/query.ts";
import { UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { command } from "./command.ts";
import { dispatchFileOf, hostArgs, printJson, statusesOf } from "./dispatch_args.ts";
import { durationText, tableText } from "./format.ts";

const WATCH_MS = 5000;
const OVER = ["finished", "failed", "cancelled"];

function rowOf(status: RunStatus): string[] {
  const { run, host, state, step, job, reason, submitted_age_s: since } = status;
  const age = since === null ? "-" : durationText(since);
  return [run, host, state, step === null ? "-" : String(step), job, age, reason];
}

function show(statuses: readonly RunStatus[]): void {
  if (statuses.length === 0) {
    process.stdout.write("nothing was submitted from here\n");
    return;
  }
  const head = ["run", "host", "state", "step", "job", "submitted", ""];
  process.stdout.write(tableText([head, ...statuses.map(rowOf)]));
  for (const { run, log_tail, log: path } of statuses)
    if (log_tail.length > 0)
      process.stdout.write(
        `\nend of the log of ${run} (${path}):\n${log_tail.map((line) => `  ${line}\n`).join("")}`,
      );
}

export default command({
  name: "status",
  summary: "how submitted runs stand",
  examples: ["theseus status", "theseus status first --watch", "theseus status --host login"],
  args: {
    name: { type: "positional", required: false, description: "name of a submitted run" },
    ...hostArgs,
    watch: { type: "boolean", description: "again and again, until all are over" },
  },
  async run({ args }) {
    const file = dispatchFileOf(args);
    const whole = args.host === undefined ? undefined : hostNamed(file, args.host);
    const json = args.json === true;
    const watch = args.watch === true;
    const known = remembered().filter(({ host }) => file.hosts.some(({ name }) => name === host));
    const records = matching(known, args.name);
    if (whole === undefined && args.name !== undefined) onlyOne(known, args.name);
    for (;;) {
      const { statuses, silent } = await statusesOf(file, records, whole);
      const named = args.name;
      const chosen =
        named === undefined
          ? statuses
          : statuses.filter(({ run }) => run === named || run.endsWith(`/${named}`));
      if (named !== undefined && chosen.length === 0)
        throw new UserError(`no submitted run is named "${named}" on ${args.host}`, {
          code: "not_found",
        });
      if (json) printJson({ runs: chosen, silent });
      else show(chosen);
      for (const { host, reason } of silent) log.warn(`${host}: ${reason}`);
      if (!watch || chosen.every(({ state }) => OVER.includes(state)))
        return silent.length > 0 ? 4 : 0;
      await Bun.sleep(WATCH_MS);
    }
  },
});
