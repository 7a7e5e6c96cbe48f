/** @file A quick run's configuration as a YAML file. */
import { writeFileSync } from "node:fs";
import { checkAssignment } from "../config/load.ts";
import { writeYaml } from "../config/write.ts";
import type { Job } from "../train/job.ts";
import { ConfigError, UserError } from "../util/errors.ts";
import type { LiveConfig } from "./live_config.ts";

/** What the run should get when it is submitted. */
export interface Hardware {
  readonly chip?: string;
  readonly chips?: number;
}

function checkHardware({ chip, chips }: Hardware): void {
  if (chip !== undefined && (typeof chip !== "string" || !/^[\w.-]+$/.test(chip)))
    throw new ConfigError(`chip  expected a name like "h100", got ${JSON.stringify(chip)}`);
  if (chips !== undefined && !(Number.isSafeInteger(chips) && chips >= 1))
    throw new ConfigError(`chips  expected integer >= 1, got ${JSON.stringify(chips)}`);
}

/** A schema without a `request` group would refuse the keys, so they are told as a comment. */
function hardwareComment({ chip, chips }: Hardware): string {
  const words = [chips === undefined ? "" : `${chips} x`, chip ?? "(any chip)"];
  const flags = [
    chip === undefined ? "" : ` --chip ${chip}`,
    chips === undefined ? "" : ` -n ${chips}`,
  ];
  const wanted = words.filter((word) => word !== "").join(" ");
  return `\nwanted hardware: ${wanted} (theseus submit NAME THIS_FILE${flags.join("")})`;
}

export function saveRunConfig(
  path: string,
  job: Job,
  settings: LiveConfig,
  hardware: Hardware,
): void {
  checkHardware(hardware);
  let config = settings.toConfig();
  const wanted = Object.entries(hardware).filter(([, value]) => value !== undefined);
  let header = `${job.name}: ${job.doc}`;
  if (wanted.every(([key]) => job.schema.fields.has(`request/${key}`))) {
    for (const [key, value] of wanted) {
      const field = job.schema.fields.get(`request/${key}`);
      checkAssignment(job.schema, ["request", key], value, "save");
      if (field !== undefined) config = config.with(new Map([[field, value]]));
    }
  } else header += hardwareComment(hardware);
  try {
    writeFileSync(path, writeYaml(job.schema, config, header));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UserError(`cannot write ${path}: ${why}`);
  }
}
