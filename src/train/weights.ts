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
import { CheckpointError } from "../util/errors.ts";
import { sameShape, shapeText } from "../util/shapes.ts";
import type { Engine } from "./engine.ts";
import { syncFolder } from "./run_directory.ts";
import { layOut, readTensorFile, type StoredTensor } from "./safetensors.ts";

export const WEIGHTS_FILE = "model.safetensors";

const shapeOf = (param: { axes: readonly { size: number }[] }) => param.axes.map((a) => a.size);

/** The library writes the tensors straight from its buffers. */
export function saveWeights(
  engine: Engine,
  model: LanguageModel,
  path: string,
  metadata: Readonly<Record<string, string>>,
): void {
  const params = model.parameters().map((p) => ({ name: p.path, shape: shapeOf(p) }));
  const layout = layOut(params, { format: "pt", ...metadata });
  const temporary = `${path}.tmp`;
  const file = openSync(temporary, "w");
  try {
    for (let at = 0; at < layout.header.length; ) at += writeSync(file, layout.header, at);
    for (const { name, offset, bytes } of layout.tensors)
      engine.state(`param/${name}`).saveTo(temporary, offset, 0, bytes);
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
export function matchedWeights(
  model: LanguageModel,
  path: string,
): ReadonlyMap<string, StoredTensor> {
  const stored = readTensorFile(path);
  const params = model.parameters();
  const wanted = new Set(params.map((param) => param.path));
  const extra = [...stored.keys()].filter((name) => !wanted.has(name));
  if (extra.length > 0)
    throw new CheckpointError(`${path}: holds ${extra.join(", ")}, which the model does not have`);
  for (const param of params) {
    const tensor = stored.get(param.path);
    const shape = shapeOf(param);
    if (tensor === undefined) throw new CheckpointError(`${path}: ${param.path} is missing`);
    if (!sameShape(tensor.shape, shape))
      throw new CheckpointError(
        `${path}: ${param.path} has shape ${shapeText(tensor.shape)}, expected ${shapeText(shape)}`,
      );
  }
  return stored;
}

export function loadWeights(engine: Engine, model: LanguageModel, path: string): void {
  for (const [name, { offset, bytes }] of matchedWeights(model, path))
    engine.state(`param/${name}`).loadFrom(path, offset, 0, bytes);
}
