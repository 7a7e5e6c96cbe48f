/** @file Adapters added into the weights they belong to: W + (alpha / rank) B A, row by row of the matrix as it is stored. */
import type { HuggingFaceModel } from "../models/exchange/hugging_face.ts";
import type { Linear } from "../nn/linear.ts";
import { assert } from "../util/errors.ts";
import { readValues } from "./checkpoint/tensor_reader.ts";
import type { StoredTensor } from "./checkpoint/weight_files.ts";
import { matchedWeights } from "./weights.ts";

/** Adds what belongs to consecutive values of a tensor, of which `values` begins at index `first`. */
export type Addition = (values: Float32Array, first: number) => void;

function wholeTensor(stored: ReadonlyMap<string, StoredTensor>, path: string): Float32Array {
  const tensor = stored.get(path);
  assert(tensor !== undefined, `the adapters hold ${path}`);
  const out = new Float32Array(tensor.shape.reduce((n, size) => n * size, 1));
  readValues(tensor, (values, first) => out.set(values, first));
  return out;
}

function additionOf(linear: Linear, stored: ReadonlyMap<string, StoredTensor>): Addition {
  const { adapter, input, output, order } = linear;
  assert(adapter !== undefined, `${linear.path} has an adapter`);
  const a = wholeTensor(stored, adapter.a.path);
  const b = wholeTensor(stored, adapter.b.path);
  const rank = a.length / input.size;
  const columns = order === "out_in" ? input.size : output.size;
  // Of row `row` of the stored matrix: what its coefficients are, and the vectors that they weigh.
  const coefficient = (row: number, r: number): number =>
    (order === "out_in" ? b[row * rank + r] : a[r * input.size + row]) ?? 0;
  const vector = (r: number, column: number): number =>
    (order === "out_in" ? a[r * input.size + column] : b[column * rank + r]) ?? 0;
  return (values, first) => {
    for (let at = 0; at < values.length; ) {
      const row = Math.floor((first + at) / columns);
      const column = (first + at) % columns;
      const count = Math.min(columns - column, values.length - at);
      for (let r = 0; r < rank; r++) {
        const weight = adapter.scale * coefficient(row, r);
        for (let i = 0; i < count; i++)
          values[at + i] = (values[at + i] ?? 0) + weight * vector(r, column + i);
      }
      at += count;
    }
  };
}

/** By path of the parameter that is changed; `folder` holds the adapters. */
export function additionsOf(
  model: HuggingFaceModel,
  folder: string,
): ReadonlyMap<string, Addition> {
  const stored = matchedWeights(model, folder);
  const adapted = [...model.linears().values()].filter(({ adapter }) => adapter !== undefined);
  return new Map(adapted.map((linear) => [linear.weight.path, additionOf(linear, stored)]));
}
