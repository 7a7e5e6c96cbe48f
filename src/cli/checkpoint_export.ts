/** @file theseus checkpoint export: the weights of a model as a folder of their own. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseMemory } from "../config/amounts.ts";
import { exportFolder, exportMerged } from "../jobs/export_model.ts";
import { checkpointsOf, findModel, modelFolder } from "../jobs/model_place.ts";
import { CONFIG_JSON } from "../models/exchange/config_json.ts";
import { ADAPTER_FILE, ADAPTER_JSON, isAdapterFolder } from "../train/adapter_folder.ts";
import { copyWeights } from "../train/checkpoint/copy_weights.ts";
import { realFiles } from "../train/checkpoint/files.ts";
import type { FloatDtype } from "../train/checkpoint/half.ts";
import { verifyCheckpoint } from "../train/checkpoint/restore.ts";
import { WEIGHTS_FILE } from "../train/checkpoint/weight_files.ts";
import { CheckpointError, UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { command, UsageError } from "./command.ts";
import { rootArgs, rootOf } from "./place.ts";

const DTYPES: Readonly<Record<string, FloatDtype>> = { f32: "F32", bf16: "BF16", f16: "F16" };
const ADAPTERS = [ADAPTER_FILE, ADAPTER_JSON] as const;
const OWN = [WEIGHTS_FILE, "config.yaml"] as const;

interface Wishes {
  readonly dtype?: FloatDtype;
  readonly shardBytes?: number;
}

function wishesOf(args: { dtype?: string; "shard-size"?: string }): Wishes {
  const dtype = args.dtype === undefined ? undefined : DTYPES[args.dtype];
  if (args.dtype !== undefined && dtype === undefined)
    throw new UsageError(
      `--dtype expected one of ${Object.keys(DTYPES).join(", ")}, got "${args.dtype}"`,
    );
  const size = args["shard-size"];
  const shardBytes = size === undefined ? undefined : parseMemory(size);
  if (size !== undefined && (shardBytes === undefined || shardBytes < 1))
    throw new UsageError(`--shard-size expected an amount like "4 GiB", got "${size}"`);
  return {
    ...(dtype === undefined ? {} : { dtype }),
    ...(shardBytes === undefined ? {} : { shardBytes }),
  };
}

/** Adapters, or a model of no family that others know: the files as they are. */
function exportOwn(folder: string, out: string, wishes: Wishes, needed: readonly string[]): void {
  if (Object.keys(wishes).length > 0)
    throw new UserError(
      `${folder} holds no ${CONFIG_JSON}: only whole models of Hugging Face's families are written in another dtype or in shards`,
      { code: "config" },
    );
  for (const name of needed)
    if (!existsSync(join(folder, name)))
      throw new CheckpointError(`it holds no ${name}`, { place: { path: folder } });
  copyWeights(folder, out);
}

interface Exported {
  readonly folder: string;
  readonly step?: number;
  readonly tokens?: number;
}

/** The folder that holds the weights. The checkpoint of a run must verify: an older one is not given away in its place. */
async function sourceOf(model: string, root: string): Promise<Exported> {
  const named = await modelFolder(model);
  if (named !== undefined) return { folder: named.runDirectory };
  const chosen = (await checkpointsOf(await findModel(model, root))).at(-1);
  if (chosen === undefined)
    throw new UserError(`${model} has no checkpoint`, { code: "not_found" });
  const { step, tokens } = await verifyCheckpoint(realFiles, chosen.path);
  return { folder: chosen.path, step, tokens };
}

export const checkpointExport = command({
  name: "checkpoint export",
  summary: "write the weights of a model as a folder",
  examples: [
    "theseus checkpoint export first weights",
    "theseus checkpoint export first@best weights --dtype bf16 --json",
    "theseus checkpoint export tuned weights --merge",
    "theseus checkpoint export hf:org/name weights --shard-size '4 GiB'",
  ],
  args: {
    model: {
      type: "positional",
      required: true,
      description: "RUN, RUN@best, RUN@step-000123, a Hugging Face folder, or hf:org/name",
    },
    out: {
      type: "positional",
      required: true,
      description: "folder to make: a Hugging Face model where the family is known there",
    },
    ...rootArgs,
    dtype: {
      type: "string",
      valueHint: "f32|bf16|f16",
      description: "of the tensors; default: as they are stored",
    },
    merge: { type: "boolean", description: "add adapters into the weights of their model" },
    "shard-size": {
      type: "string",
      valueHint: "bytes",
      description: "most of a file, like 4 GiB; default: in files as they are",
    },
  },
  async run({ args }) {
    const wishes = wishesOf(args);
    const out = args.out.replace(/(.)\/+$/, "$1");
    if (existsSync(out)) throw new UserError(`${out} exists already`, { code: "conflict" });
    const { folder, ...at } = await sourceOf(args.model, rootOf(undefined, args.root));
    const adapters = isAdapterFolder(folder);
    if (args.merge === true && !adapters)
      throw new UserError(`${folder} holds no adapters to merge`, { code: "config" });
    if (args.merge === true) exportMerged(folder, out, wishes);
    else if (existsSync(join(folder, CONFIG_JSON))) exportFolder(folder, out, wishes);
    else exportOwn(folder, out, wishes, adapters ? ADAPTERS : OWN);
    if (args.json === true)
      process.stdout.write(`${JSON.stringify({ schema_version: 1, out, from: folder, ...at })}\n`);
    else log.info(`wrote ${out}: the weights of ${folder}`);
    return 0;
  },
});
