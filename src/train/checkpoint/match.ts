/** @file Tensors of a file against what somebody expects of it: exactly these names, f32, these shapes. */
import { CheckpointError } from "../../util/errors.ts";
import { type Shape, sameShape, shapeText } from "../../util/shapes.ts";
import { readSafetensors, type TensorEntry } from "./safetensors.ts";

export interface ExpectedTensor {
  readonly name: string;
  readonly shape: Shape;
}

/** The entries by name. Throws CheckpointError naming the file and the first tensor that is missing, extra or different. */
export function matchTensors(
  path: string,
  expected: readonly ExpectedTensor[],
): ReadonlyMap<string, TensorEntry> {
  const fail = (why: string): never => {
    throw new CheckpointError(why, { place: { path } });
  };
  const tensors = new Map(readSafetensors(path).tensors.map((tensor) => [tensor.name, tensor]));
  const names = new Set(expected.map(({ name }) => name));
  const extra = [...tensors.keys()].filter((name) => !names.has(name));
  if (extra.length > 0) fail(`holds ${extra.join(", ")}, which the model does not have`);
  for (const { name, shape } of expected) {
    const tensor = tensors.get(name) ?? fail(`${name} is missing`);
    if (tensor.dtype !== "F32" || !sameShape(tensor.shape, shape))
      fail(
        `${name}: expected F32 ${shapeText(shape)}, found ${tensor.dtype} ${shapeText(tensor.shape)}`,
      );
  }
  return tensors;
}
