/** @file Which of the engine's states a checkpoint holds, and how they lie in its files. */
import { HuggingFaceModel } from "../models/exchange/hugging_face.ts";
import type { LanguageModel } from "../nn/language_model.ts";
import type { Param } from "../nn/param.ts";
import { type TensorLayout, type TensorPart, tensorLayout } from "./checkpoint/image.ts";
import { matchTensors } from "./checkpoint/match.ts";
import type { Engine } from "./engine.ts";
import { isAdapted, tensorName } from "./weights.ts";

/** A state of the engine that belongs into a checkpoint: its buffer's name, and its name and shape in the file. */
export interface SavedState {
  readonly file: "model" | "adapter_model" | "optimizer";
  readonly state: string;
  readonly name: string;
  readonly shape: readonly number[];
}

/** As the writers of Hugging Face order them, so that the same tensors make the same file. */
const inFileOrder = (model: LanguageModel): readonly Param[] => {
  const params = model.parameters().filter((param) => param.trainable);
  if (!(model instanceof HuggingFaceModel)) return params;
  const names = new Map(params.map((param) => [param, model.tensorName(param.path)]));
  const nameOf = (param: Param) => names.get(param) ?? "";
  return params.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
};

/** The states of a language model's training that a checkpoint holds. */
export function savedStates(model: LanguageModel): SavedState[] {
  const file = isAdapted(model) ? "adapter_model" : "model";
  return inFileOrder(model).flatMap(({ path, axes }): SavedState[] => {
    const shape = axes.map(({ size }) => size);
    const moment = (kind: string): SavedState => ({
      ...{ file: "optimizer", state: `${kind}/${path}`, name: `${kind}/${path}`, shape },
    });
    const weight: SavedState = {
      file,
      state: `param/${path}`,
      name: tensorName(model, path),
      shape,
    };
    return [weight, moment("adam_m"), moment("adam_v")];
  });
}

/** How the states lie in the tensor files of a checkpoint, by the file's name. */
export function stateLayouts(
  states: readonly SavedState[],
): Map<string, TensorLayout<SavedState & TensorPart>> {
  const layouts = new Map<string, TensorLayout<SavedState & TensorPart>>();
  for (const file of new Set(states.map((state) => state.file))) {
    const tensors = states
      .filter((state) => state.file === file)
      .map((state) => {
        const bytes = 4 * state.shape.reduce((n, size) => n * size, 1);
        return { ...state, dtype: "F32" as const, bytes };
      });
    layouts.set(`${file}.safetensors`, tensorLayout(tensors));
  }
  return layouts;
}

/** Bytes of all tensor files of a checkpoint. */
export const imageBytes = (states: readonly SavedState[]): number =>
  [...stateLayouts(states).values()].reduce((sum, { bytes }) => sum + bytes, 0);

/** Puts the tensors of a verified checkpoint into the engine's states. */
export function loadStates(engine: Engine, states: readonly SavedState[], folder: string): void {
  for (const file of new Set(states.map((state) => state.file))) {
    const path = `${folder}/${file}.safetensors`;
    const wanted = states.filter((state) => state.file === file);
    const tensors = matchTensors(path, wanted);
    const stateOf = new Map(wanted.map(({ name, state }) => [name, state]));
    for (const [name, { offset, bytes }] of tensors)
      engine.state(stateOf.get(name) ?? "").loadFrom(path, offset, 0, bytes);
  }
}
