/** @file theseus jobs: what can be configured. */

import { DATASETS } from "../data/datasets/registry.ts";
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
    const datasets = DATASETS.all.map(({ name, doc, kind }) => ({ name, doc, kind }));
    if (args.json === true) {
      const body = { schema_version: 1, jobs, presets: PRESETS, datasets };
      process.stdout.write(`${JSON.stringify(body)}\n`);
      return 0;
    }
    process.stdout.write(`jobs\n${tableText(jobs.map(({ name, doc }) => [name, doc]))}`);
    process.stdout.write(
      `\npresets\n${tableText(PRESETS.map((name) => [name, presetSummary(name)]))}`,
    );
    const rows = datasets.map(({ name, doc, kind }) => [name, kind, doc]);
    process.stdout.write(`\ndatasets (source.dataset)\n${tableText(rows)}`);
    return 0;
  },
});
