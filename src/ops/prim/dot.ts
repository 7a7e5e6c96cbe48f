/** @file dot: sums of products over contracted dims, per batch dims; f32 accumulation and result. */
import type { Id, TensorType } from "../../ir/graph.ts";
import { typeText } from "../../ir/text.ts";
import { elementCount, rowMajorStrides } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { at, expectDtype, FLOATS, fail, two } from "../check.ts";
import { defineOp, type Sample } from "../define.ts";
import { type RefTensor, refTensor } from "../reference.ts";
import { readWindow } from "../strided.ts";
import { cast } from "./cast.ts";
import { inversePermutation, isIdentity, transpose } from "./transpose.ts";

/** Pairs [dim of x, dim of y]. */
type DimPairs = readonly (readonly [number, number])[];
export type DotAttrs = { readonly batch: DimPairs; readonly contract: DimPairs };

/** Dims of operand `side` (0 x, 1 y) by role; the result's dims are batch, x free, y free. */
export function dotDims(rank: number, { batch, contract }: DotAttrs, side: 0 | 1) {
  const batchDims = batch.map((pair) => pair[side]);
  const contractDims = contract.map((pair) => pair[side]);
  const used = new Set([...batchDims, ...contractDims]);
  const free = Array.from({ length: rank }, (_, d) => d).filter((d) => !used.has(d));
  return { batch: batchDims, contract: contractDims, free };
}

function expectPairs(x: TensorType, y: TensorType, attrs: DotAttrs): void {
  const pairs = [...attrs.batch, ...attrs.contract];
  for (const [left, right] of pairs) {
    const size = x.shape[left];
    if (size === undefined || size !== y.shape[right]) {
      const got = `${typeText(x)} and ${typeText(y)}`;
      fail("dot", `dims ${left} and ${right} of equal size`, got);
    }
  }
  for (const side of [0, 1] as const) {
    const dims = pairs.map((pair) => pair[side]);
    if (new Set(dims).size !== dims.length) {
      fail("dot", "each dim at most once in batch and contract", `[${dims.join(",")}]`);
    }
  }
}

/** Operand as [batch, free, contract], packed. */
function packed(x: RefTensor, roles: ReturnType<typeof dotDims>): Float64Array {
  const order = [...roles.batch, ...roles.free, ...roles.contract];
  const strides = rowMajorStrides(x.shape);
  if (isIdentity(order)) return x.data;
  return readWindow(
    x.data,
    order.map((d) => at(x.shape, d)),
    order.map((d) => at(strides, d)),
  );
}

const sizeOf = (shape: readonly number[], dims: readonly number[]): number =>
  elementCount(dims.map((d) => at(shape, d)));

function reference(x: RefTensor, y: RefTensor, attrs: DotAttrs, out: RefTensor): void {
  const left = dotDims(x.shape.length, attrs, 0);
  const right = dotDims(y.shape.length, attrs, 1);
  const xs = packed(x, left);
  const ys = packed(y, right);
  const batches = sizeOf(x.shape, left.batch);
  const rows = sizeOf(x.shape, left.free);
  const columns = sizeOf(y.shape, right.free);
  const depth = sizeOf(x.shape, left.contract);
  for (let p = 0; p < batches; p++) {
    for (let i = 0; i < rows; i++) {
      const row = (p * rows + i) * depth;
      for (let j = 0; j < columns; j++) {
        const column = (p * columns + j) * depth;
        let sum = 0;
        for (let k = 0; k < depth; k++) sum += (xs[row + k] ?? 0) * (ys[column + k] ?? 0);
        out.data[(p * rows + i) * columns + j] = sum;
      }
    }
  }
}

/**
 * Gradient of operand `side`: the cotangent contracted with the other operand over that one's free dims. Of the two
 * operand orders the one is taken whose result needs no transpose, if there is one.
 */
function operandGradient(b: Builder, x: Id, y: Id, dy: Id, attrs: DotAttrs, side: 0 | 1): Id {
  const own = side === 0 ? x : y;
  const other = side === 0 ? y : x;
  const mine = dotDims(b.type(own).shape.length, attrs, side);
  const theirs = dotDims(b.type(other).shape.length, attrs, side === 0 ? 1 : 0);
  const batches = attrs.batch.length;
  const xFree = b.type(x).shape.length - batches - attrs.contract.length;
  const theirStart = side === 0 ? batches + xFree : batches;
  const batch = theirs.batch.map((d, i) => [i, d] as const);
  const contract = theirs.free.map((d, i) => [theirStart + i, d] as const);
  // The contracted dims come out in the order of the other operand.
  const contracted = theirs.contract
    .map((d, i) => [d, at(mine.contract, i)] as const)
    .toSorted((p, q) => p[0] - q[0])
    .map(([, d]) => d);
  const flip = (pairs: DimPairs): DimPairs => pairs.map(([l, r]) => [r, l] as const);
  const dyFirst = [...mine.batch, ...mine.free, ...contracted];
  const dyLast = [...mine.batch, ...contracted, ...mine.free];
  const first = isIdentity(dyFirst) || !isIdentity(dyLast);
  const product = first
    ? dot(b, dy, other, { batch, contract })
    : dot(b, other, dy, { batch: flip(batch), contract: flip(contract) });
  return transpose(b, product, inversePermutation(first ? dyFirst : dyLast));
}

function sample(
  name: string,
  shapes: readonly [readonly number[], readonly number[]],
  attrs: DotAttrs,
): Sample<DotAttrs>[] {
  return FLOATS.map((dtype) => ({
    name: `${name} ${dtype}`,
    inputs: shapes.map((shape) => ({ shape, dtype })),
    attrs,
  }));
}

export const dotOp = defineOp<DotAttrs>({
  name: "dot",
  tier: "prim",
  doc: "Sums of products over contracted dims, per batch dims.",
  infer(inputs, attrs) {
    const [x, y] = two("dot", inputs);
    expectDtype("dot", "x", x, FLOATS);
    if (y.dtype !== x.dtype) fail("dot", "operands of one dtype", `${typeText(x)}, ${typeText(y)}`);
    expectPairs(x, y, attrs);
    const left = dotDims(x.shape.length, attrs, 0);
    const right = dotDims(y.shape.length, attrs, 1);
    const shape = [
      ...[...left.batch, ...left.free].map((d) => at(x.shape, d)),
      ...right.free.map((d) => at(y.shape, d)),
    ];
    if (shape.length > 8) fail("dot", "a result of at most 8 dims", `[${shape.join(",")}]`);
    return [{ shape, dtype: "f32" }];
  },
  reference(inputs, attrs, types) {
    const out = refTensor(at(types, 0).shape, "f32");
    reference(at(inputs, 0), at(inputs, 1), attrs, out);
    return [out];
  },
  vjp(b, { inputs, attrs, cotangents, wanted }) {
    const x = at(inputs, 0);
    const y = at(inputs, 1);
    const full = cotangents[0] ?? null;
    if (full === null) return [null, null];
    const dy = cast(b, full, b.type(x).dtype);
    return ([0, 1] as const).map((side) =>
      wanted[side] ? operandGradient(b, x, y, dy, attrs, side) : null,
    );
  },
  dims(inputs, attrs) {
    const [x, y] = two("dot", inputs);
    const left = x.shape.map((_, d) => `m${d}`);
    const right = y.shape.map((_, d) => `n${d}`);
    attrs.batch.forEach(([l, r], i) => {
      left[l] = `b${i}`;
      right[r] = `b${i}`;
    });
    attrs.contract.forEach(([l, r], i) => {
      left[l] = `k${i}`;
      right[r] = `k${i}`;
    });
    const free = dotDims(x.shape.length, attrs, 0).free.map((d) => `m${d}`);
    const other = dotDims(y.shape.length, attrs, 1).free.map((d) => `n${d}`);
    return { labels: [left, right, [...attrs.batch.map((_, i) => `b${i}`), ...free, ...other]] };
  },
  flops(inputs, attrs, types) {
    const [x] = two("dot", inputs);
    const depth = sizeOf(x.shape, dotDims(x.shape.length, attrs, 0).contract);
    return 2 * depth * elementCount(at(types, 0).shape);
  },
  kernels: {},
  samples: [
    ...sample(
      "matrices",
      [
        [33, 17],
        [17, 29],
      ],
      { batch: [], contract: [[1, 0]] },
    ),
    ...sample(
      "transposed right",
      [
        [2, 5, 70],
        [40, 70],
      ],
      { batch: [], contract: [[2, 1]] },
    ),
    ...sample(
      "transposed left",
      [
        [31, 6],
        [31, 9],
      ],
      { batch: [], contract: [[0, 0]] },
    ),
    ...sample(
      "batch",
      [
        [2, 3, 7, 5],
        [2, 3, 5, 4],
      ],
      {
        batch: [
          [0, 0],
          [1, 1],
        ],
        contract: [[3, 2]],
      },
    ),
    ...sample(
      "batch inside",
      [
        [4, 3, 5],
        [6, 3, 5],
      ],
      { batch: [[1, 1]], contract: [[2, 2]] },
    ),
    ...sample(
      "two contracted dims",
      [
        [3, 4, 5],
        [5, 4, 6],
      ],
      {
        batch: [],
        contract: [
          [2, 0],
          [1, 1],
        ],
      },
    ),
    ...sample("vectors", [[300], [300]], { batch: [], contract: [[0, 0]] }),
    ...sample("outer product", [[5], [7]], { batch: [], contract: [] }),
    ...sample(
      "deep",
      [
        [3, 1025],
        [1025, 5],
      ],
      { batch: [], contract: [[1, 0]] },
    ),
    ...sample(
      "large",
      [
        [130, 257],
        [257, 190],
      ],
      { batch: [], contract: [[1, 0]] },
    ),
    ...sample(
      "many matrices",
      [
        [70, 9, 33],
        [70, 33, 20],
      ],
      { batch: [[0, 0]], contract: [[2, 1]] },
    ),
  ],
});

export const dot = (b: Builder, x: Id, y: Id, attrs: DotAttrs): Id => b.emit(dotOp, [x, y], attrs);
