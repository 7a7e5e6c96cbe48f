/**
 * @file map_reduce: elementwise bytecode whose one result is summed or maximised over some dims without being stored.
 * A plain reduce is the case of no instructions.
 */
import type { DType } from "../../util/dtype.ts";
import { elementCount, sameShape, shapeText } from "../../util/shapes.ts";
import { at, fail } from "../check.ts";
import { defineOp } from "../define.ts";
import type { View } from "../kernel.ts";
import { refTensor } from "../reference.ts";
import { dimGroups, joinDims } from "./join_dims.ts";
import { checkCode, codeWords, type MapCode, runCode } from "./map_code.ts";

export type MapReduceAttrs = MapCode & {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly kind: "sum" | "max";
  readonly dims: readonly number[];
};

const keptDims = ({ shape, dims }: MapReduceAttrs): number[] =>
  shape.map((_, dim) => dim).filter((dim) => !dims.includes(dim));

/** Shared workspace of partial results; the formula stands in zig/kernels/map_reduce.zig. */
export function reduceWorkspaceBytes(attrs: MapReduceAttrs): number {
  const reduced = attrs.shape.filter((_, dim) => attrs.dims.includes(dim));
  const kept = attrs.shape.filter((_, dim) => !attrs.dims.includes(dim));
  const length = elementCount(reduced);
  const results = elementCount(kept);
  const last = attrs.shape.findLastIndex((size) => size > 1);
  const rows = last < 0 || attrs.dims.includes(last);
  const slot = Math.max(rows ? 16384 : 128, powerOfTwoAtLeast(Math.ceil(length / 64)));
  const slots = Math.ceil(length / slot);
  return slots > 1 && results < (rows ? 256 : 32768) ? 8 * results * slots : 0;
}

/** As many blocks as zig/cuda/launch_map.zig cuts the work into at most, columns of a block, and what a slice has at least. */
const GPU_BLOCKS = 528;
const GPU_COLUMNS = 128;
const GPU_SLICE = { rows: 16384, columns: 64 };

/** What the slices of every result leave on a GPU: without it few results would be the work of few blocks. */
export function gpuReduceBytes({ shape, dims }: MapReduceAttrs): number {
  const sizeOf = (reduced: boolean): number =>
    elementCount(shape.filter((_, dim) => dims.includes(dim) === reduced));
  const results = sizeOf(false);
  const last = shape.findLastIndex((size) => size > 1);
  const rows = last < 0 || dims.includes(last);
  const blocks = rows ? results : Math.ceil(at(shape, last) / GPU_COLUMNS);
  const least = rows ? GPU_SLICE.rows : GPU_SLICE.columns;
  const slices = Math.min(Math.floor(GPU_BLOCKS / blocks), Math.floor(sizeOf(true) / least));
  return slices > 1 ? 8 * results * slices : 0;
}

function powerOfTwoAtLeast(n: number): number {
  let power = 1;
  while (power < n) power *= 2;
  return power;
}

/** Index into the result for each element of the input, by walking the kept dims' strides. */
function reduceReference(attrs: MapReduceAttrs, values: Float64Array): Float64Array {
  const kept = keptDims(attrs);
  const out = refTensor(
    kept.map((dim) => at(attrs.shape, dim)),
    attrs.dtype,
  ).data;
  if (attrs.kind === "max") out.fill(Number.NEGATIVE_INFINITY);
  values.forEach((value, flat) => {
    let rest = flat;
    let target = 0;
    let step = 1;
    for (let dim = attrs.shape.length - 1; dim >= 0; dim--) {
      const size = at(attrs.shape, dim);
      if (!attrs.dims.includes(dim)) {
        target += (rest % size) * step;
        step *= size;
      }
      rest = Math.floor(rest / size);
    }
    const before = out[target] ?? 0;
    out[target] = attrs.kind === "sum" ? before + value : Math.max(before, value);
  });
  return out;
}

export const mapReduceLoweredOp = defineOp<MapReduceAttrs>({
  name: "map_reduce",
  tier: "lowered",
  doc: "Elementwise operations followed by a sum or maximum over dims.",
  infer(inputs, attrs) {
    checkCode("map_reduce", inputs.length, attrs);
    if (attrs.results.length !== 1) fail("map_reduce", "one result", `${attrs.results.length}`);
    for (const { shape } of inputs) {
      if (!sameShape(shape, attrs.shape)) {
        fail("map_reduce", `inputs ${shapeText(attrs.shape)}`, shapeText(shape));
      }
    }
    return [{ shape: keptDims(attrs).map((dim) => at(attrs.shape, dim)), dtype: attrs.dtype }];
  },
  reference(inputs, attrs, types) {
    const count = elementCount(attrs.shape);
    const [values] = runCode(attrs, inputs, count, [attrs.dtype]);
    const data = reduceReference(attrs, values ?? new Float64Array(0));
    return [{ ...at(types, 0), data }];
  },
  flops: (_inputs, attrs) => elementCount(attrs.shape),
  kernels: {
    cpu: {
      acceptsInput: () => true,
      scratch(node, _inputs, target) {
        const bytesOn = target === "cuda" ? gpuReduceBytes : reduceWorkspaceBytes;
        const workspaceBytes = bytesOn(node.attrs as MapReduceAttrs);
        return workspaceBytes === 0 ? {} : { workspaceBytes };
      },
      lower(node, inputs, outputs) {
        const attrs = node.attrs as MapReduceAttrs;
        const reduced = (dim: number): boolean => attrs.dims.includes(dim);
        const groups = dimGroups(attrs.shape, inputs, (dim, previous) => {
          return reduced(dim) !== reduced(previous);
        });
        const mask = groups.reduce((bits, [dim = 0], i) => bits | (reduced(dim) ? 1 << i : 0), 0);
        const kept = groups.filter(([dim = 0]) => !reduced(dim));
        return {
          opcode: "map_reduce",
          words: [attrs.kind === "sum" ? 0 : 1, mask, ...codeWords(inputs.length, attrs)],
          inputs: inputs.map((view) => joinDims(view, groups)),
          outputs: [resultView(at(outputs, 0), attrs, kept)],
        };
      },
    },
  },
  samples: [
    {
      name: "square sum of rows",
      inputs: [{ shape: [5, 33], dtype: "f32" }],
      attrs: {
        shape: [5, 33],
        kind: "sum",
        dims: [1],
        constants: [],
        code: [["mul", 0, 0]],
        results: [64],
        dtype: "f32",
      },
    },
  ],
});

/** The contiguous result with one dim per kept group. */
function resultView(view: View, attrs: MapReduceAttrs, kept: readonly number[][]): View {
  if (elementCount(attrs.shape) === 1) return { ...view, shape: [1], strides: [1] };
  const shape = kept.map((group) => group.reduce((n, dim) => n * at(attrs.shape, dim), 1));
  const strides = shape.map((_, i) => elementCount(shape.slice(i + 1)));
  return { ...view, shape, strides };
}
