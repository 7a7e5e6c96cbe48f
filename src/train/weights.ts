/** @file Weights on disk as safetensors, named by parameter path; written whole or not at all. */
import { closeSync, fsyncSync, openSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { LanguageModel } from "../nn/language_model.ts";
import { CheckpointError } from "../util/errors.ts";
import { sameShape, shapeText } from "../util/shapes.ts";
import type { Engine } from "./engine.ts";
import { syncFolder } from "./run_directory.ts";
import { layOut, readTensorFile } from "./safetensors.ts";

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

export function loadWeights(engine: Engine, model: LanguageModel, path: string): void {
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
    engine.state(`param/${param.path}`).loadFrom(path, tensor.offset, 0, tensor.bytes);
  }
}
