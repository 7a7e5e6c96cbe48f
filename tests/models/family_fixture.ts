/** @file Reads the fixtures that scripts/fixtures/families.py wrote: a Hugging Face folder, tokens, logits, and some gradients. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigJson } from "../../src/models/exchange/config_json.ts";
import type { HuggingFaceModel } from "../../src/models/exchange/hugging_face.ts";
import { modelOf } from "../../src/models/families.ts";
import { readSafetensors } from "../../src/train/checkpoint/safetensors.ts";

export const FAMILIES = join(import.meta.dir, "../fixtures/families");

/** Adapters as PEFT saved them; base.txt names the model that each belongs to. */
export const ADAPTERS = join(import.meta.dir, "../fixtures/adapters");

export const VARIANTS = readdirSync(FAMILIES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .sort();

export interface Expected {
  readonly rows: number;
  readonly length: number;
  readonly tokens: Int32Array;
  readonly values: ReadonlyMap<string, Float32Array>;
  readonly targets: Int32Array | undefined;
}

export function readExpected(name: string, fixtures = FAMILIES): Expected {
  const path = join(fixtures, name, "expected.safetensors");
  const bytes = readFileSync(path);
  const values = new Map<string, Float32Array>();
  const ints = new Map<string, Int32Array>();
  let shape: readonly number[] = [];
  for (const tensor of readSafetensors(path).tensors) {
    const part = bytes.buffer.slice(
      bytes.byteOffset + tensor.offset,
      bytes.byteOffset + tensor.offset + tensor.bytes,
    );
    if (tensor.dtype === "I32") ints.set(tensor.name, new Int32Array(part));
    else values.set(tensor.name, new Float32Array(part));
    if (tensor.name === "tokens") shape = tensor.shape;
  }
  const [rows = 0, length = 0] = shape;
  const tokens = ints.get("tokens") ?? new Int32Array(0);
  return { rows, length, tokens, values, targets: ints.get("targets") };
}

export function modelAt(folder: string, blockSize?: number): HuggingFaceModel {
  const path = join(folder, "config.json");
  const options = blockSize === undefined ? {} : { blockSize };
  return modelOf(ConfigJson.parse(readFileSync(path, "utf8"), path), options);
}
