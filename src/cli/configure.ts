/** @file theseus configure: writes the complete, documented configuration of a job. */
import { existsSync, writeFileSync } from "node:fs";
import { writeYaml } from "../config/write.ts";
import { configSource, loadJob } from "../jobs/load_job.ts";
import { jobNamed } from "../jobs/registry.ts";
import { UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { command } from "./command.ts";
import { loadArgs, loadUserCode } from "./user_code.ts";

function save(path: string, text: string, force: boolean): void {
  if (path === "-") {
    process.stdout.write(text);
    return;
  }
  if (existsSync(path) && !force)
    throw new UserError(`${path} exists already`, {
      code: "conflict",
      hint: "choose another name, or --force to replace it",
    });
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw new UserError(error instanceof Error ? error.message : String(error));
  }
  log.info(`wrote ${path}`);
}

export default command({
  name: "configure",
  summary: "write a job's complete configuration",
  examples: [
    "theseus configure gpt/pretrain run.yaml",
    "theseus configure gpt/pretrain run.yaml --from gpt/tiny-sotu training.steps=500",
    "theseus configure gpt/pretrain -",
  ],
  overrides: true,
  args: {
    job: { type: "positional", required: true, description: "a job's name (theseus jobs)" },
    out: { type: "positional", required: true, description: 'file to write; "-": stdout' },
    from: { type: "string", valueHint: "config", description: "start from this file or preset" },
    force: { type: "boolean", description: "replace an existing file" },
  },
  repeated: loadArgs,
  async run({ args, overrides, repeated }) {
    await loadUserCode(repeated.load);
    const { name, doc } = jobNamed(args.job);
    const source =
      args.from === undefined ? { name: "", text: `job: ${name}\n` } : configSource(args.from);
    const { job, config } = loadJob(source, overrides);
    if (job.name !== name)
      throw new UserError(`${args.from} configures ${job.name}, not ${name}`, { code: "config" });
    save(args.out, writeYaml(job.schema, config, `${name}: ${doc}`), args.force === true);
    return 0;
  },
});
