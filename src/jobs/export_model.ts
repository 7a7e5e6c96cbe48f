/**
 * @file A model as a folder to give away: the weights in a dtype and in shards as asked, its configuration, its tokenizer. What is not
 * asked to change is copied byte for byte.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { CONFIG_JSON, ConfigJson, type JsonObject } from "../models/exchange/config_json.ts";
import type { HuggingFaceModel } from "../models/exchange/hugging_face.ts";
import { modelOf } from "../models/families.ts";
import { adapterBase, readAdapterJson } from "../train/adapter_folder.ts";
import {
  type FileLayout,
  type OutTensor,
  shardLayout,
  writeFolder,
} from "../train/checkpoint/folder_writer.ts";
import type { FloatDtype } from "../train/checkpoint/half.ts";
import { readValues } from "../train/checkpoint/tensor_reader.ts";
import { openWeightFiles, type StoredTensor } from "../train/checkpoint/weight_files.ts";
import { type Addition, additionsOf } from "../train/merge_adapters.ts";
import { jsonText } from "../train/model_texts.ts";
import { matchedWeights, tensorName } from "../train/weights.ts";
import { UserError } from "../util/errors.ts";

/** What a folder holds beside config.json and the weights; what is there of it goes along. */
const BESIDE = [
  ...["generation_config.json", "tokenizer.json", "tokenizer_config.json"],
  ...["special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt"],
  ...["tokenizer.model", "chat_template.jinja", "config.yaml"],
];

export interface ExportOptions {
  /** Absent: as they are stored. */
  readonly dtype?: FloatDtype;
  /** Most bytes of a file; absent: in files as they are. */
  readonly shardBytes?: number;
}

const DTYPE_WORDS = { F32: "float32", BF16: "bfloat16", F16: "float16" } as const;

/** Another dtype under the key that the file has, of the two that are in use. */
function withDtype(json: JsonObject, dtype: FloatDtype): JsonObject {
  const key = "dtype" in json ? "dtype" : "torch_dtype";
  return { ...json, [key]: DTYPE_WORDS[dtype] };
}

function outTensors(
  model: HuggingFaceModel,
  folder: string,
  dtype?: FloatDtype,
  additions: ReadonlyMap<string, Addition> = new Map(),
): OutTensor[] {
  const stored = matchedWeights(model, folder);
  return model.parameters().flatMap(({ path }): OutTensor[] => {
    const tensor = stored.get(path);
    if (tensor === undefined) return [];
    const add = additions.get(path);
    const read = (use: (values: Float32Array<ArrayBuffer>) => void) =>
      readValues(tensor, (values, first) => {
        add?.(values, first);
        use(values);
      });
    const name = tensorName(model, path);
    return [{ name, dtype: dtype ?? (tensor.dtype as FloatDtype), shape: tensor.shape, read }];
  });
}

/** The same tensors in the same files as before. */
function sameLayout(
  tensors: readonly OutTensor[],
  files: readonly string[],
  fileOf: (name: string) => string | undefined,
): FileLayout {
  return new Map(files.map((file) => [file, tensors.filter(({ name }) => fileOf(name) === file)]));
}

function layoutOf(tensors: readonly OutTensor[], folder: string, shardBytes?: number): FileLayout {
  if (shardBytes !== undefined) return shardLayout(tensors, shardBytes);
  const { files, tensors: stored } = openWeightFiles(folder);
  const path = (name: string): StoredTensor | undefined =>
    stored.get(name) ?? [...stored.values()].find((each) => name.endsWith(`.${each.name}`));
  return sameLayout(tensors, files, (name) => path(name)?.path.slice(folder.length + 1));
}

/** Writes a folder as a whole or not at all; refuses to write over anything. */
function writeWhole(out: string, write: (temporary: string) => void): void {
  if (existsSync(out)) throw new UserError(`${out} exists already`, { code: "conflict" });
  const temporary = `${out}.tmp-${crypto.randomUUID()}`;
  try {
    mkdirSync(dirname(out), { recursive: true });
    mkdirSync(temporary);
    write(temporary);
    renameSync(temporary, out);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    if (error instanceof UserError) throw error;
    throw new UserError(error instanceof Error ? error.message : String(error));
  }
}

/** A run's configuration would say that there are adapters. */
const isModelFile = (name: string): boolean => name !== "config.yaml";

function copyBeside(
  folder: string,
  temporary: string,
  which: (name: string) => boolean = () => true,
): void {
  for (const name of BESIDE.filter(which))
    if (existsSync(join(folder, name))) copyFileSync(join(folder, name), join(temporary, name));
}

/** Writes the config.json of a folder, with another dtype where one is asked for. */
function writeConfig(folder: string, temporary: string, dtype?: FloatDtype): void {
  const path = join(folder, CONFIG_JSON);
  const text = readFileSync(path, "utf8");
  const json = ConfigJson.parse(text, path);
  const changed = dtype === undefined ? text : jsonText(withDtype(json.values, dtype));
  writeFileSync(join(temporary, CONFIG_JSON), changed);
}

/** `folder` holds adapters; `out` becomes the model with them added into its weights. */
export function exportMerged(folder: string, out: string, options: ExportOptions): void {
  const base = adapterBase(folder);
  const path = join(base, CONFIG_JSON);
  const model = modelOf(ConfigJson.parse(readFileSync(path, "utf8"), path));
  model.adapt(readAdapterJson(folder));
  const tensors = outTensors(model, base, options.dtype, additionsOf(model, folder));
  const layout = layoutOf(tensors, base, options.shardBytes);
  writeWhole(out, (temporary) => {
    writeConfig(base, temporary, options.dtype);
    copyBeside(base, temporary, isModelFile);
    copyBeside(folder, temporary, isModelFile);
    writeFolder(temporary, layout);
  });
}

/** `folder` holds a Hugging Face model; `out` is made. */
export function exportFolder(folder: string, out: string, options: ExportOptions): void {
  const path = join(folder, CONFIG_JSON);
  const model = modelOf(ConfigJson.parse(readFileSync(path, "utf8"), path));
  const tensors = outTensors(model, folder, options.dtype);
  const layout = layoutOf(tensors, folder, options.shardBytes);
  writeWhole(out, (temporary) => {
    writeConfig(folder, temporary, options.dtype);
    copyBeside(folder, temporary);
    writeFolder(temporary, layout);
  });
}
