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
import { basename, dirname, join } from "node:path";
import { ADAPTER_PREFIX, HuggingFaceModel } from "../models/exchange/hugging_face.ts";
import type { LanguageModel } from "../nn/language_model.ts";
import { syncFolder } from "../util/atomic_file.ts";
import { assert } from "../util/errors.ts";
import { hashFile } from "../util/window_hash.ts";
import { ADAPTER_FILE, adapterBase, isAdapterFolder } from "./adapter_folder.ts";
import { FLOAT_DTYPES, narrow } from "./checkpoint/half.ts";
import { matchEntries } from "./checkpoint/match.ts";
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

/** Whether it has adapters, which alone are trained and saved. */
export const isAdapted = (model: LanguageModel): model is HuggingFaceModel =>
  model instanceof HuggingFaceModel && model.adapter !== undefined;

/** Of the model itself, or of its adapters. */
type Share = "own" | "adapters";

const isAdapterName = (name: string): boolean => name.startsWith(ADAPTER_PREFIX);

const shareOf = (model: LanguageModel, share: Share) =>
  parametersOf(model).filter(({ name }) => isAdapterName(name) === (share === "adapters"));

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
  // Adapters are no weights to use on their own.
  if (source === null || basename(source) !== WEIGHTS_FILE) return;
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

/** The weights file of the checkpoint that `latest` names, or its folder where it holds adapters. */
export function newestWeights(directory: string): string | null {
  const root = join(directory, "checkpoints");
  const latest = join(root, "latest");
  if (!existsSync(latest)) return null;
  const folder = join(root, readFileSync(latest, "utf8").trim());
  const path = join(folder, WEIGHTS_FILE);
  if (existsSync(path)) return path;
  return existsSync(folder) && isAdapterFolder(folder) ? folder : null;
}

/** Tensor names as the files have them: some leave out the prefix that all names of the model have in common. */
function withoutPrefix(model: LanguageModel, tensors: WeightFiles["tensors"]): string {
  if (!(model instanceof HuggingFaceModel)) return "";
  const { prefix } = model.form;
  return [...tensors.keys()].some((name) => name.startsWith(prefix)) ? "" : prefix;
}

/**
 * The stored tensors by parameter path; of the adapters alone where the place is an adapter's. Throws CheckpointError where the files
 * do not hold just these parameters.
 */
export function matchedWeights(
  model: LanguageModel,
  place: string,
): ReadonlyMap<string, StoredTensor> {
  const adapters = isAdapterFolder(place);
  const { tensors } = openWeightFiles(adapters ? join(place, ADAPTER_FILE) : place);
  const prefix = adapters ? "" : withoutPrefix(model, tensors);
  const stored = (name: string): string =>
    prefix !== "" && name.startsWith(prefix) ? name.slice(prefix.length) : name;
  const wanted = shareOf(model, adapters ? "adapters" : "own");
  const expected = wanted.map((each) => ({ ...each, name: stored(each.name) }));
  const ignored = (name: string): boolean =>
    model instanceof HuggingFaceModel && model.ignores(name);
  const found = matchEntries(tensors, expected, { place, dtypes: FLOAT_DTYPES, ignored });
  const entries = expected.map(({ path, name }) => [path, found.get(name)] as const);
  return new Map(entries.flatMap(([path, tensor]) => (tensor ? [[path, tensor] as const] : [])));
}

/**
 * Puts the weights of a file or folder into the engine's states, from 16-bit formats window by window; those of an adapter's folder
 * on top of its model's. Programs of generation may read a matrix from a copy in bf16, instead of or beside the f32 values.
 */
export function loadWeights(engine: Engine, model: LanguageModel, place: string): void {
  if (isAdapterFolder(place)) loadWeights(engine, model, adapterBase(place));
  for (const [path, tensor] of matchedWeights(model, place)) {
    const [exact, rounded] = [engine.has(`param/${path}`), engine.has(`bf16/${path}`)];
    assert(exact || rounded, `no program reads the parameter ${path}`);
    const direct = (dtype: string, name: string): boolean => {
      if (tensor.dtype !== dtype) return false;
      engine.state(name).loadFrom(tensor.path, tensor.offset, 0, tensor.bytes);
      return true;
    };
    const done = !exact || direct("F32", `param/${path}`);
    const doneRounded = !rounded || direct("BF16", `bf16/${path}`);
    if (done && doneRounded) continue;
    readValues(tensor, (values, first) => {
      if (!done) engine.state(`param/${path}`).write(values, 4 * first);
      if (!doneRounded) engine.state(`bf16/${path}`).write(toBf16(values), 2 * first);
    });
  }
}

function toBf16(values: Float32Array): Uint16Array {
  const rounded = new Uint16Array(values.length);
  narrow("BF16", values, rounded);
  return rounded;
}

/** Values of one parameter, from element `first` on, into all states that hold it. */
export function writeParam(engine: Engine, path: string, values: Float32Array, first = 0): void {
  if (engine.has(`param/${path}`)) engine.state(`param/${path}`).write(values, 4 * first);
  if (engine.has(`bf16/${path}`)) engine.state(`bf16/${path}`).write(toBf16(values), 2 * first);
}

/** Of one file as manifests have it; of several, of all their hashes. */
export async function hashWeights(place: string): Promise<string> {
  const adapters = isAdapterFolder(place);
  const { tensors } = openWeightFiles(adapters ? join(place, ADAPTER_FILE) : place);
  const paths = [...new Set([...tensors.values()].map(({ path }) => path))].sort();
  const hashes = await Promise.all(paths.map(hashFile));
  if (adapters) hashes.push(await hashWeights(adapterBase(place)));
  const [only = "", ...others] = hashes;
  if (others.length === 0) return only;
  return `sha256:${new Bun.CryptoHasher("sha256").update(hashes.join("\n")).digest("hex")}`;
}
