/** @file theseus script: runs a Quick-API script with the executable alone. */
import { resolve } from "node:path";
import { endRunsOn } from "../quick.ts";
import { command } from "./command.ts";
import { EXIT_INTERRUPTED, interruption } from "./interrupt.ts";
import { loadArgs, loadUserCode, loadUserFile } from "./user_code.ts";

export default command({
  name: "script",
  summary: "run a TypeScript script that trains",
  examples: ["theseus script train.ts", "theseus script sweep.ts 1e-3 3e-3 --steps 200"],
  args: {
    file: {
      type: "positional",
      required: true,
      description: "a script of yours; ARGS are its own",
    },
  },
  repeated: loadArgs,
  passthrough: true,
  async run({ args, repeated, passed }) {
    // As `bun FILE ARGS` would set it: the script reads its own arguments from the third on.
    process.argv = [process.execPath, resolve(args.file), ...passed];
    await loadUserCode(repeated.load);
    const stop = interruption("ending after this step; press Ctrl-C again to quit now");
    endRunsOn(stop.signal);
    try {
      await loadUserFile(args.file);
    } finally {
      stop.release();
    }
    return stop.signal.aborted ? EXIT_INTERRUPTED : Number(process.exitCode ?? 0);
  },
});
