/**
 * @file The common shape of elementwise primitives. Integer results wrap to 32 bits; gradients are computed in f32,
 * so rules see their operands cast up.
 */
import type { Id, TensorType } from "../ir/graph.ts";
import { type DType, isFloat } from "../util/dtype.ts";
import type { Builder } from "./builder.ts";
import { at, expectDtype, expectSame, labelsOf, one, two } from "./check.ts";
import { defineOp, type OpDef, type Sample, type SampleInput } from "./define.ts";
import { cast } from "./prim/cast.ts";
import { type RefTensor, refTensor } from "./reference.ts";

/** Attributes of an op that has none. */
export type NoAttrs = Record<string, never>;

type Fill = SampleInput["fill"];

/** Operands of a gradient rule as f32, made when asked for. */
type Operand = () => Id;

interface Common {
  readonly name: string;
  readonly doc: string;
  readonly dtypes: readonly DType[];
  readonly fill?: Fill;
}

interface UnarySpec extends Common {
  apply(x: number): number;
  map(dtype: DType): string | null;
  /** Null: the gradient is zero everywhere. */
  readonly vjp: ((b: Builder, dy: Id, x: Operand, y: Operand) => Id) | null;
}

interface BinarySpec extends Common {
  apply(x: number, y: number): number;
  /** Exact 32-bit meaning, where rounding the f64 result would be wrong. */
  applyInteger?(x: number, y: number): number;
  map(dtype: DType): string;
  /** One rule per operand. */
  readonly vjp: readonly [BinaryRule, BinaryRule] | null;
}

type BinaryRule = (b: Builder, dy: Id, x: Operand, y: Operand, out: Operand) => Id;

export function wrap(dtype: DType, value: number): number {
  if (dtype === "i32") return value | 0;
  if (dtype === "u32") return value >>> 0;
  return value;
}

/** Shapes that meet the cases of a block interpreter: a scalar, a short odd row, several blocks with a tail. */
const SHAPES: readonly (readonly number[])[] = [[], [3, 7], [2, 5, 129]];
/** Enough for several threads; one dtype suffices. */
const LARGE_SHAPE: readonly number[] = [70, 431];

export function elementwiseSamples(
  count: number,
  dtypes: readonly DType[],
  fill?: Fill,
): Sample<NoAttrs>[] {
  return dtypes.flatMap((dtype, i) =>
    (i === 0 ? [...SHAPES, LARGE_SHAPE] : SHAPES).map((shape) => {
      const input = sampleInput(shape, dtype, fill);
      return {
        name: `${dtype}[${shape.join(",")}]`,
        inputs: Array.from({ length: count }, () => input),
        attrs: {},
      };
    }),
  );
}

function sampleInput(shape: readonly number[], dtype: DType, fill?: Fill): SampleInput {
  if (dtype === "bool") return { shape, dtype, fill: "mask" };
  if (!isFloat(dtype)) return { shape, dtype, fill: "ids", max: 1000 };
  return fill === undefined ? { shape, dtype } : { shape, dtype, fill };
}

export const elementwiseDims = (inputs: readonly TensorType[], results = 1) => {
  const labels = labelsOf(at(inputs, 0).shape);
  return { labels: Array.from({ length: inputs.length + results }, () => labels) };
};

export function unaryOp(spec: UnarySpec): OpDef<NoAttrs> {
  const rule = spec.vjp;
  return defineOp<NoAttrs>({
    name: spec.name,
    tier: "prim",
    doc: spec.doc,
    infer(inputs) {
      const x = one(spec.name, inputs);
      expectDtype(spec.name, "an operand", x, spec.dtypes);
      return [x];
    },
    reference(inputs) {
      const x = at(inputs, 0);
      const out = refTensor(x.shape, x.dtype);
      for (let i = 0; i < out.data.length; i++) {
        out.data[i] = wrap(x.dtype, spec.apply(at(x.data, i)));
      }
      return [out];
    },
    vjp(b, { inputs, outputs, cotangents }) {
      const dy = cotangents[0] ?? null;
      if (dy === null || rule === null) return [null];
      const x = () => cast(b, at(inputs, 0), "f32");
      const y = () => cast(b, at(outputs, 0), "f32");
      return [rule(b, dy, x, y)];
    },
    dims: (inputs) => elementwiseDims(inputs),
    map: (inputs) => spec.map(at(inputs, 0).dtype),
    kernels: {},
    samples: elementwiseSamples(1, spec.dtypes, spec.fill),
  });
}

export function binaryOp(spec: BinarySpec): OpDef<NoAttrs> {
  return defineOp<NoAttrs>({
    name: spec.name,
    tier: "prim",
    doc: spec.doc,
    infer(inputs) {
      const [x, y] = two(spec.name, inputs);
      expectDtype(spec.name, "operands", x, spec.dtypes);
      expectSame(spec.name, x, y);
      return [x];
    },
    reference: (inputs) => [binaryReference(spec, at(inputs, 0), at(inputs, 1))],
    vjp(b, { inputs, outputs, cotangents, wanted }) {
      const dy = cotangents[0] ?? null;
      if (dy === null || spec.vjp === null) return [null, null];
      const x = () => cast(b, at(inputs, 0), "f32");
      const y = () => cast(b, at(inputs, 1), "f32");
      const out = () => cast(b, at(outputs, 0), "f32");
      return spec.vjp.map((rule, i) => (wanted[i] ? rule(b, dy, x, y, out) : null));
    },
    dims: (inputs) => elementwiseDims(inputs),
    map: (inputs) => spec.map(at(inputs, 0).dtype),
    kernels: {},
    samples: elementwiseSamples(2, spec.dtypes, spec.fill),
  });
}

function binaryReference(spec: BinarySpec, x: RefTensor, y: RefTensor): RefTensor {
  const out = refTensor(x.shape, x.dtype);
  const apply = isFloat(x.dtype) ? spec.apply : (spec.applyInteger ?? spec.apply);
  for (let i = 0; i < out.data.length; i++) {
    out.data[i] = wrap(x.dtype, apply(at(x.data, i), at(y.data, i)));
  }
  return out;
}

/** `add` for floats, `addi` for integers. */
export const mapName =
  (name: string) =>
  (dtype: DType): string =>
    isFloat(dtype) ? name : `${name}i`;

/** `max` for floats, `maxi` and `maxu` where the sign matters. */
export const signedMapName =
  (name: string) =>
  (dtype: DType): string => {
    if (isFloat(dtype)) return name;
    return dtype === "i32" ? `${name}i` : `${name}u`;
  };
