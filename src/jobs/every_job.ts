/** @file What every job has, be it a training or a task. */
import { requestFields } from "../config/request_fields.ts";
import { ConfigError } from "../util/errors.ts";

export const EVERY_JOB = [{ config: requestFields }] as const;

const NAME = /^[a-z0-9][a-z0-9_-]*(\/[a-z0-9][a-z0-9_-]*)+$/;

export function expectJobName(name: string): void {
  if (!NAME.test(name))
    throw new ConfigError(`expected a job's name like "gpt/pretrain", got "${name}"`);
}
