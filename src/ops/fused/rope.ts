/**
 * @file Rotary positions: rotates the pairs (i, i + d/2) of the first d = rotaryDims features of each head by
 * position * theta^(-2i/d); a scaling for longer contexts multiplies each frequency, and the length of what turns. The gradient is
 * the rotation back, so it is the same op with `inverse`.
 */
import type { Id } from "../../ir/graph.ts";
import { typeText } from "../../ir/text.ts";
import { isFloat } from "../../util/dtype.ts";
import { alignUp } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { defineOp, type Sample } from "../define.ts";
import type { Word } from "../kernel.ts";
import { add } from "../prim/add.ts";
import { broadcast } from "../prim/broadcast.ts";
import { cast } from "../prim/cast.ts";
import { concat } from "../prim/concat.ts";
import { constant } from "../prim/const.ts";
import { cos } from "../prim/cos.ts";
import { exp } from "../prim/exp.ts";
import { iota } from "../prim/iota.ts";
import { mul } from "../prim/mul.ts";
import { sin } from "../prim/sin.ts";
import { slice } from "../prim/slice.ts";
import { sub } from "../prim/sub.ts";
import { f32, shapeOf, times } from "./compose.ts";
import { expect, expectIds, expectInputs, expectPositive } from "./expect.ts";
import { firsts } from "./operands.ts";
import { expectStorage, type Storage } from "./precision.ts";
import { hasDenseRows, isWritable } from "./views.ts";

export type RopeScaling = {
  /** One factor a pair, on its frequency. */
  readonly factors: readonly number[];
  /** On the rotated features; the others keep their length. */
  readonly magnitude: number;
};

type RopeAttrs = {
  readonly theta: number;
  /** Features of each head that rotate; even. The others pass through. */
  readonly rotaryDims: number;
  readonly inverse: boolean;
  readonly scaling?: RopeScaling;
  readonly out?: Storage;
};

/** Position times frequency, [B, T, d/2]. */
function angles(b: Builder, positions: Id, { theta, rotaryDims, scaling }: RopeAttrs): Id {
  const [batch = 1, length = 1] = shapeOf(b, positions);
  const half = rotaryDims / 2;
  const shape = [batch, length, half];
  const pair = iota(b, [half], 0, "f32");
  const plain = exp(b, times(b, pair, (-2 * Math.log(theta)) / rotaryDims));
  const frequency = scaling === undefined ? plain : mul(b, plain, vector(b, scaling.factors));
  const position = broadcast(b, cast(b, positions, "f32"), shape, [0, 1]);
  return mul(b, position, broadcast(b, frequency, shape, [2]));
}

const vector = (b: Builder, values: readonly number[]): Id =>
  concat(
    b,
    values.map((value) => constant(b, value, [1], "f32")),
    0,
  );

function expectScaling({ rotaryDims, scaling }: RopeAttrs): void {
  if (scaling === undefined) return;
  const { factors, magnitude } = scaling;
  const pairs = rotaryDims / 2;
  expect("rope", factors.length === pairs, `${pairs} scaling factors`, `${factors.length}`);
  for (const factor of factors) expectPositive("rope", "scaling factor", factor);
  expectPositive("rope", "magnitude", magnitude);
}

/** The two halves of an f64, low first. */
function doubleWords(value: number): number[] {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value, true);
  return [view.getUint32(0, true), view.getUint32(4, true)];
}

export const ropeOp = defineOp<RopeAttrs>({
  name: "rope",
  tier: "fused",
  doc: "rotary positions on half-split pairs of x [batch, length, heads, dim]",
  infer(inputs, attrs) {
    const { theta, rotaryDims, out } = attrs;
    expectInputs("rope", inputs, 2);
    const [x, positions] = firsts(inputs, 2);
    const ok = isFloat(x.dtype) && x.shape.length === 4;
    expect("rope", ok, "x f32 or bf16 [batch, length, heads, dim]", typeText(x));
    expectIds("rope", "positions", positions, x.shape.slice(0, 2));
    expectPositive("rope", "theta", theta);
    const dim = x.shape[3] ?? 0;
    const even = Number.isInteger(rotaryDims / 2) && rotaryDims >= 2 && rotaryDims <= dim;
    expect("rope", even, `rotaryDims even, 2 to ${dim}`, `${rotaryDims}`);
    expectScaling(attrs);
    expectStorage("rope", out);
    return [{ shape: x.shape, dtype: out ?? x.dtype }];
  },
  decompose(b, inputs, attrs) {
    const [x, positions] = firsts(inputs, 2);
    const [batch = 1, length = 1, heads = 1, dim = 1] = shapeOf(b, x);
    const half = attrs.rotaryDims / 2;
    const shape = [batch, length, heads, half];
    const angle = angles(b, positions, attrs);
    const spread = (x: Id): Id => {
      const scaled = attrs.scaling === undefined ? x : times(b, x, attrs.scaling.magnitude);
      return broadcast(b, scaled, shape, [0, 1, 3]);
    };
    const c = spread(cos(b, angle));
    const s = spread(sin(b, attrs.inverse ? times(b, angle, -1) : angle));
    const x32 = f32(b, x);
    const part = (from: number, to: number): Id =>
      slice(b, x32, [0, 0, 0, from], [batch, length, heads, to]);
    const first = part(0, half);
    const second = part(half, 2 * half);
    const parts = [
      sub(b, mul(b, first, c), mul(b, second, s)),
      add(b, mul(b, second, c), mul(b, first, s)),
      ...(2 * half < dim ? [part(2 * half, dim)] : []),
    ];
    return [cast(b, concat(b, parts, 3), attrs.out ?? b.type(x).dtype)];
  },
  vjp(b, { inputs, attrs, cotangents }) {
    const [, positions] = firsts(inputs, 2);
    const dy = cotangents[0] ?? null;
    const { out: _, ...rotation } = attrs;
    const back = { ...rotation, inverse: !attrs.inverse };
    return [dy === null ? null : rope(b, dy, positions, back), null];
  },
  dims: () => ({
    labels: [
      ["b", "t", "h", "d"],
      ["b", "t"],
      ["b", "t", "h", "d"],
    ],
    whole: ["d"],
  }),
  kernels: {
    cpu: {
      acceptsInput: (_node, index, view) => index === 1 || hasDenseRows(view),
      acceptsOutput: (_node, _index, view) => hasDenseRows(view) && isWritable(view),
      inPlace: () => [[0, 0]],
      // A table of sines and cosines, padded to whole vectors.
      scratch: (node) => ({
        perThreadBytes: 16 * alignUp((node.attrs as RopeAttrs).rotaryDims / 2, 16),
      }),
      lower(node) {
        const { theta, inverse, rotaryDims, scaling } = node.attrs as RopeAttrs;
        const words: Word[] = [{ f32: theta }, inverse ? 1 : 0, rotaryDims];
        if (scaling !== undefined)
          words.push({ f32: scaling.magnitude }, ...scaling.factors.flatMap(doubleWords));
        return { opcode: "rope", words };
      },
    },
  },
  samples: [
    sample("plain", [2, 5, 2, 8], { theta: 10000, rotaryDims: 8, inverse: false }),
    sample("inverse", [2, 5, 2, 8], { theta: 10000, rotaryDims: 8, inverse: true }),
    sample("partial", [1, 7, 3, 20], { theta: 500, rotaryDims: 12, inverse: false }),
    sample("odd_half", [3, 4, 1, 7], { theta: 10000, rotaryDims: 6, inverse: false }),
    sample("wide", [1, 33, 2, 128], { theta: 1e6, rotaryDims: 128, inverse: false }),
    sample("scaled", [2, 7, 2, 10], {
      ...{ theta: 10000, rotaryDims: 8, inverse: false },
      scaling: { factors: [1, 0.75, 0.25, 0.125], magnitude: 1.25 },
    }),
    sample("bf16", [2, 6, 2, 32], { theta: 10000, rotaryDims: 32, inverse: false }, "bf16"),
    sample("f32_to_bf16", [1, 6, 2, 16], {
      ...{ theta: 10000, rotaryDims: 16, inverse: false },
      out: "bf16",
    }),
  ],
});

function sample(
  name: string,
  shape: readonly number[],
  attrs: RopeAttrs,
  dtype: Storage = "f32",
): Sample<RopeAttrs> {
  const positions = { shape: shape.slice(0, 2), dtype: "u32", fill: "ids", max: 100 } as const;
  return { name, inputs: [{ shape, dtype }, positions], attrs };
}

export interface RopeOptions {
  readonly theta: number;
  readonly rotaryDims: number;
  readonly inverse?: boolean;
  readonly scaling?: RopeScaling;
  readonly out?: Storage;
}

export function rope(b: Builder, x: Id, positions: Id, options: RopeOptions): Id {
  return b.emit(ropeOp, [x, positions], { inverse: false, ...options });
}
