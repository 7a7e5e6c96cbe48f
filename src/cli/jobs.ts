/** @file theseus jobs: what can be configured. */
import { PRESETS, presetSummary } from "../jobs/presets.ts";
import { JOBS } from "../jobs/registry.ts";
import { command } from "./command.ts";
import { tableText } from "./format.ts";
import { loadArgs, loadUserCode } from "./user_code.ts";

export default command({
  name: "jobs",
  summary: "what can be configured",
  examples: ["theseus jobs", "theseus jobs --json"],
  args: {},
  repeated: loadArgs,
  async run({ args, repeated }) {
    await loadUserCode(repeated.load);
    const jobs = JOBS.all.map(({ name, doc }) => ({ name, doc }));
    if (args.json === true) {
      process.stdout.write(`${JSON.stringify({ schema_version: 1, jobs, presets: PRESETS })}\n`);
      return 0;
    }
    process.stdout.write(`jobs\n${tableText(jobs.map(({ name, doc }) => [name, doc]))}`);
    process.stdout.write(
      `\npresets\n${tableText(PRESETS.map((name) => [name, presetSummary(name)]))}`,
    );
    return 0;
  },
});
