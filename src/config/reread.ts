/** @file The configuration that a run directory holds, read back with the schema of its job. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ConfigSchema } from "./collect.ts";
import type { Config } from "./config.ts";
import { loadConfig } from "./load.ts";

/** Null when the run was interrupted before its configuration was written. */
export function readConfigTexts(directory: string, schema: ConfigSchema): Config | null {
  const path = join(directory, "config.resolved.yaml");
  if (!existsSync(path)) return null;
  return loadConfig({ schema, source: { name: path, text: readFileSync(path, "utf8") } });
}
