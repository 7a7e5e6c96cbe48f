/** @file theseus shell: a shell where a submitted run is, inside its allocation where it has one. */
import { quote, quoteAll } from "../dispatch/quote.ts";
import { command, UsageError } from "./command.ts";
import { hostArgs, submittedRun } from "./dispatch_args.ts";

export default command({
  name: "shell",
  summary: "a shell where a submitted run is, in its allocation and folder",
  examples: [
    "theseus shell first",
    "theseus shell --host login first",
    "theseus shell first nvidia-smi",
  ],
  passthrough: true,
  args: {
    ...hostArgs,
    name: { type: "positional", required: true, description: "name of a submitted run" },
  },
  async run({ args, passed }) {
    if (args.json === true) throw new UsageError("shell has nothing to say in JSON");
    const { host, record, status } = await submittedRun(args.name, args);
    const words = passed[0] === "--" ? passed.slice(1) : passed;
    const program = words.length === 0 ? `"\${SHELL:-/bin/sh}" -l` : quoteAll(words);
    const running = host.entry.type === "slurm" && status.state === "running";
    const pty = process.stdin.isTTY && words.length === 0 ? " --pty" : "";
    const inside = running
      ? `unset SLURM_EXPORT_ENV; exec srun --jobid=${quote(status.job)} --overlap${pty} ${program}`
      : `exec ${program}`;
    return host.shell.interactive(`cd ${quote(record.directory)} && ${inside}`);
  },
});
