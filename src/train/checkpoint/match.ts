/** @file Tensors of files against what somebody expects of them: these names, these shapes, a dtype that can be read. */
import { CheckpointError } from "../../util/errors.ts";
import { type Shape, sameShape, shapeText } from "../../util/shapes.ts";
import { readSafetensors, type SafetensorsDtype, type TensorEntry } from "./safetensors.ts";

export interface ExpectedTensor {
  readonly name: string;
  readonly shape: Shape;
}

export interface MatchOptions {
  /** Where the tensors stand, for messages. */
  readonly place: string;
  readonly dtypes: readonly SafetensorsDtype[];
  /** Tensors that may be there although nobody expects them. */
  readonly ignored?: (name: string) => boolean;
}

const LISTED = 6;

function shortList(names: readonly string[]): string {
  const more = names.length > LISTED ? ` and ${names.length - LISTED} more` : "";
  return names.slice(0, LISTED).join(", ") + more;
}

/** The expected entries by name. Throws CheckpointError naming the place and what is missing, extra or different. */
export function matchEntries<T extends TensorEntry>(
  tensors: ReadonlyMap<string, T>,
  expected: readonly ExpectedTensor[],
  { place, dtypes, ignored = () => false }: MatchOptions,
): ReadonlyMap<string, T> {
  const fail = (why: string): never => {
    throw new CheckpointError(why, { place: { path: place } });
  };
  const names = new Set(expected.map(({ name }) => name));
  const extra = [...tensors.keys()].filter((name) => !names.has(name) && !ignored(name));
  if (extra.length > 0) fail(`holds ${shortList(extra)}, which the model does not have`);
  const missing = [...names].filter((name) => !tensors.has(name));
  if (missing.length > 0)
    fail(`${shortList(missing)} ${missing.length === 1 ? "is" : "are"} missing`);
  const found = new Map<string, T>();
  for (const { name, shape } of expected) {
    const tensor = tensors.get(name) ?? fail(`${name} is missing`);
    if (!dtypes.includes(tensor.dtype) || !sameShape(tensor.shape, shape))
      fail(
        `${name}: expected ${dtypes.join(" or ")} ${shapeText(shape)}, found ${tensor.dtype} ${shapeText(tensor.shape)}`,
      );
    found.set(name, tensor);
  }
  return found;
}

/** The entries of one file that holds exactly these tensors, as f32. */
export const matchTensors = (
  path: string,
  expected: readonly ExpectedTensor[],
): ReadonlyMap<string, TensorEntry> => {
  const tensors = new Map(readSafetensors(path).tensors.map((tensor) => [tensor.name, tensor]));
  return matchEntries(tensors, expected, { place: path, dtypes: ["F32"] });
};
