/** @file Weights on disk as safetensors, named by parameter path; written whole or not at all. */
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
import type { LanguageModel } from "../nn/language_model.ts";
import { syncFolder } from "../util/atomic_file.ts";
import { matchTensors } from "./checkpoint/match.ts";
import { safetensorsHeader, type TensorEntry } from "./checkpoint/safetensors.ts";
import type { Engine } from "./engine.ts";

export const WEIGHTS_FILE = "model.safetensors";

const parametersOf = (model: LanguageModel) =>
  model.parameters().map(({ path, axes, count }) => {
    const shape = axes.map(({ size }) => size);
    return { name: path, shape, dtype: "F32" as const, bytes: count * 4 };
  });

/** The library writes the tensors straight from its buffers. */
export function saveWeights(
  engine: Engine,
  model: LanguageModel,
  path: string,
  metadata: Readonly<Record<string, string>>,
): void {
  const params = parametersOf(model);
  const header = safetensorsHeader(params, { format: "pt", ...metadata });
  const temporary = `${path}.tmp`;
  const file = openSync(temporary, "w");
  try {
    for (let at = 0; at < header.length; ) at += writeSync(file, header, at);
    let offset = header.length;
    for (const { name, bytes } of params) {
      engine.state(`param/${name}`).saveTo(temporary, offset, 0, bytes);
      offset += bytes;
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  syncFolder(dirname(path));
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

/** The tensors of a file by parameter; throws CheckpointError where the file does not hold just this model's parameters. */
export const matchedWeights = (
  model: LanguageModel,
  path: string,
): ReadonlyMap<string, TensorEntry> => matchTensors(path, parametersOf(model));

export function loadWeights(engine: Engine, model: LanguageModel, path: string): void {
  for (const [name, { offset, bytes }] of matchedWeights(model, path))
    engine.state(`param/${name}`).loadFrom(path, offset, 0, bytes);
}
