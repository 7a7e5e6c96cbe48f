/**
 * @file Weights on disk as safetensors, under the names that the model's family has in Hugging Face's files, else by parameter path;
 * written whole or not at all.
 */
import {
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { HuggingFaceModel } from "../models/exchange/hugging_face.ts";
import type { LanguageModel } from "../nn/language_model.ts";
import { syncFolder } from "../util/atomic_file.ts";
import { FLOAT_DTYPES } from "./checkpoint/half.ts";
import { matchEntries } from "./checkpoint/match.ts";
import { hashFile } from "./checkpoint/restore.ts";
import { safetensorsHeader } from "./checkpoint/safetensors.ts";
import { readValues } from "./checkpoint/tensor_reader.ts";
import {
  openWeightFiles,
  type StoredTensor,
  WEIGHTS_FILE,
  type WeightFiles,
} from "./checkpoint/weight_files.ts";
import type { Engine } from "./engine.ts";

/** What a parameter is called in files. */
export const tensorName = (model: LanguageModel, path: string): string =>
  model instanceof HuggingFaceModel ? model.tensorName(path) : path;

const parametersOf = (model: LanguageModel) =>
  model.parameters().map(({ path, axes, count }) => {
    const shape = axes.map(({ size }) => size);
    const name = tensorName(model, path);
    return { path, name, shape, dtype: "F32" as const, bytes: count * 4 };
  });

/** The library writes the tensors straight from its buffers. */
export function saveWeights(
  engine: Engine,
  model: LanguageModel,
  file: string,
  metadata: Readonly<Record<string, string>>,
): void {
  const params = parametersOf(model);
  const header = safetensorsHeader(params, { format: "pt", ...metadata });
  const temporary = `${file}.tmp`;
  const fd = openSync(temporary, "w");
  try {
    for (let at = 0; at < header.length; ) at += writeSync(fd, header, at);
    let offset = header.length;
    for (const { path, bytes } of params) {
      engine.state(`param/${path}`).saveTo(temporary, offset, 0, bytes);
      offset += bytes;
    }
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, file);
  syncFolder(dirname(file));
}

/** The weights of the run's newest checkpoint, without a second copy on disk where links are possible. */
export function publishWeights(directory: string): void {
  const source = newestWeights(directory);
  if (source === null) return;
  const target = join(directory, WEIGHTS_FILE);
  const temporary = `${target}.tmp`;
  rmSync(temporary, { force: true });
  try {
    linkSync(source, temporary);
  } catch {
    copyFileSync(source, temporary);
  }
  renameSync(temporary, target);
  // Where both names are the same file already, rename does nothing and leaves the other name.
  rmSync(temporary, { force: true });
  syncFolder(directory);
}

/** The weights file of the checkpoint that `latest` names. */
export function newestWeights(directory: string): string | null {
  const root = join(directory, "checkpoints");
  const latest = join(root, "latest");
  if (!existsSync(latest)) return null;
  const path = join(root, readFileSync(latest, "utf8").trim(), WEIGHTS_FILE);
  return existsSync(path) ? path : null;
}

/** Tensor names as the files have them: some leave out the prefix that all names of the model have in common. */
function withoutPrefix(model: LanguageModel, tensors: WeightFiles["tensors"]): string {
  if (!(model instanceof HuggingFaceModel)) return "";
  const { prefix } = model.form;
  return [...tensors.keys()].some((name) => name.startsWith(prefix)) ? "" : prefix;
}

/** The stored tensors by parameter path. Throws CheckpointError where the files do not hold just this model's parameters. */
export function matchedWeights(
  model: LanguageModel,
  place: string,
): ReadonlyMap<string, StoredTensor> {
  const { tensors } = openWeightFiles(place);
  const prefix = withoutPrefix(model, tensors);
  const stored = (name: string): string =>
    prefix !== "" && name.startsWith(prefix) ? name.slice(prefix.length) : name;
  const expected = parametersOf(model).map((each) => ({ ...each, name: stored(each.name) }));
  const ignored = (name: string): boolean =>
    model instanceof HuggingFaceModel && model.ignores(name);
  const found = matchEntries(tensors, expected, { place, dtypes: FLOAT_DTYPES, ignored });
  const entries = expected.map(({ path, name }) => [path, found.get(name)] as const);
  return new Map(entries.flatMap(([path, tensor]) => (tensor ? [[path, tensor] as const] : [])));
}

/** Puts the weights of a file or folder into the engine's states, from 16-bit formats window by window. */
export function loadWeights(engine: Engine, model: LanguageModel, place: string): void {
  for (const [path, tensor] of matchedWeights(model, place)) {
    const state = engine.state(`param/${path}`);
    if (tensor.dtype === "F32") state.loadFrom(tensor.path, tensor.offset, 0, tensor.bytes);
    else readValues(tensor, (values, first) => state.write(values, 4 * first));
  }
}

/** Of one file as manifests have it; of shards, of all their hashes. */
export async function hashWeights(place: string): Promise<string> {
  const paths = [...new Set([...openWeightFiles(place).tensors.values()].map(({ path }) => path))];
  const hashes = await Promise.all(paths.sort().map(hashFile));
  const [only = "", ...others] = hashes;
  if (others.length === 0) return only;
  return `sha256:${new Bun.CryptoHasher("sha256").update(hashes.join("\n")).digest("hex")}`;
}
