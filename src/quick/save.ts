/** @file A quick run's configuration as a YAML file. */
import { writeFileSync } from "node:fs";
import { checkAssignment } from "../config/load.ts";
import { writeYaml } from "../config/write.ts";
import type { Job } from "../train/job.ts";
import { UserError } from "../util/errors.ts";
import type { LiveConfig } from "./live_config.ts";

/** What the run should get when it is submitted: `request:` of its configuration. */
export interface Hardware {
  readonly chip?: string;
  readonly chips?: number;
  readonly nodes?: number;
  readonly cpus?: number;
  /** A node: "64 GiB". */
  readonly memory?: string;
  /** "12 hours". */
  readonly time?: string;
}

export function saveRunConfig(
  path: string,
  job: Job,
  settings: LiveConfig,
  hardware: Hardware,
): void {
  let config = settings.toConfig();
  for (const [key, value] of Object.entries(hardware)) {
    if (value === undefined) continue;
    const path = `request/${key}`;
    const checked = checkAssignment(job.schema, ["request", key], value, "save");
    const field = job.schema.fields.get(path);
    if (field !== undefined) config = config.with(new Map([[field, checked.get(path)]]));
  }
  const header = `${job.name}: ${job.doc}`;
  try {
    writeFileSync(path, writeYaml(job.schema, config, header));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UserError(`cannot write ${path}: ${why}`);
  }
}
