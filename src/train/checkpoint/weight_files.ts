/**
 * @file The tensors of a model on disk: in one safetensors file, or in the shards that an index names. Only headers are read; every
 * name of the index is checked against the shards, and nothing outside the folder is opened.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { CheckpointError, UserError } from "../../util/errors.ts";
import { readSafetensors, type TensorEntry } from "./safetensors.ts";

export const WEIGHTS_FILE = "model.safetensors";
export const INDEX_FILE = "model.safetensors.index.json";

export interface StoredTensor extends TensorEntry {
  /** The file that holds it. */
  readonly path: string;
}

export interface WeightFiles {
  /** The file or folder, as it was named. */
  readonly place: string;
  /** Names of the files, in the order of their tensors. */
  readonly files: readonly string[];
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

function readShards(folder: string, names: readonly string[]): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (const name of names) {
    const path = join(folder, name);
    if (!existsSync(path))
      throw new CheckpointError(`the shard ${name} is missing`, { place: { path: folder } });
    for (const tensor of readSafetensors(path).tensors) {
      const other = tensors.get(tensor.name);
      if (other !== undefined)
        throw new CheckpointError(`"${tensor.name}" is in ${other.path} too`, { place: { path } });
      tensors.set(tensor.name, { ...tensor, path });
    }
  }
  return tensors;
}

/** Tensor names and the shards that hold them. */
function weightMap(path: string): ReadonlyMap<string, string> {
  const fail = (why: string): never => {
    throw new CheckpointError(why, { place: { path } });
  };
  let index: unknown;
  try {
    index = JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return fail("expected JSON");
  }
  const map = (index as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== "object" || map === null || Array.isArray(map))
    return fail("weight_map expected an object of tensor names and their files");
  for (const [name, file] of Object.entries(map))
    if (typeof file !== "string" || !/^\w[\w.-]*\.safetensors$/.test(file))
      fail(`weight_map expected a file of this folder for ${name}, got ${JSON.stringify(file)}`);
  return new Map(Object.entries(map as Record<string, string>));
}

/** What a folder with an index holds. */
function sharded(folder: string): WeightFiles {
  const map = weightMap(join(folder, INDEX_FILE));
  const files = [...new Set(map.values())].sort();
  const tensors = readShards(folder, files);
  for (const [name, file] of map) {
    const tensor = tensors.get(name);
    if (tensor === undefined || tensor.path !== join(folder, file))
      throw new CheckpointError(`${name} is not in ${file}, where ${INDEX_FILE} says it is`, {
        place: { path: folder },
      });
  }
  return { place: folder, files, tensors };
}

/** `place` is a safetensors file, or a folder with `model.safetensors` or its index. */
export function openWeightFiles(place: string): WeightFiles {
  const stat = statSync(place, { throwIfNoEntry: false });
  if (stat?.isFile() === true) {
    const tensors = readSafetensors(place).tensors.map((each) => ({ ...each, path: place }));
    return {
      place,
      files: [place.split("/").at(-1) ?? place],
      tensors: new Map(tensors.map((each) => [each.name, each])),
    };
  }
  if (existsSync(join(place, INDEX_FILE))) return sharded(place);
  if (existsSync(join(place, WEIGHTS_FILE)))
    return { place, files: [WEIGHTS_FILE], tensors: readShards(place, [WEIGHTS_FILE]) };
  throw new UserError(`${place} holds no ${WEIGHTS_FILE} and no ${INDEX_FILE}`, {
    code: "not_found",
    hint: "weights in other formats (pytorch_model.bin, gguf) are not read: convert them to safetensors",
  });
}
