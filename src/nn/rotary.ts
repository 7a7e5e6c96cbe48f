/**
 * @file Rotary positions as models declare them: the base frequencies, and how they are changed for contexts longer than those a
 * model first learned (as in Hugging Face's modeling_rope_utils). Every kind is a factor a frequency and one magnitude.
 */
import { type RopeScaling, rope } from "../ops/fused/rope.ts";
import type { Tensor } from "./tensor.ts";

export type RotaryScaling =
  | { readonly kind: "linear"; readonly factor: number }
  /** The base grows with the length of the row, beyond the `original` length. */
  | { readonly kind: "dynamic"; readonly factor: number; readonly original: number }
  | {
      readonly kind: "llama3";
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly original: number;
    }
  | {
      readonly kind: "yarn";
      readonly factor: number;
      readonly original: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      /** Of the rotated queries and keys. */
      readonly magnitude: number;
      /** Whether the bounds of the ramp are whole numbers. */
      readonly truncate: boolean;
    };

export interface RotaryOptions {
  readonly theta: number;
  /** Features of each head that rotate, the first ones; absent: all. */
  readonly dims?: number;
  readonly scaling?: RotaryScaling | null;
}

const clamp = (x: number): number => Math.min(1, Math.max(0, x));

/** Below `low` pairs keep their frequency, above `high` they are stretched. */
function yarnRamp(
  { original, betaFast, betaSlow, truncate }: Extract<RotaryScaling, { kind: "yarn" }>,
  theta: number,
  dims: number,
): (pair: number) => number {
  const at = (turns: number): number =>
    (dims * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const low = Math.max(truncate ? Math.floor(at(betaFast)) : at(betaFast), 0);
  const high = Math.min(truncate ? Math.ceil(at(betaSlow)) : at(betaSlow), dims - 1);
  const width = high === low ? 0.001 : high - low;
  return (pair) => clamp((pair - low) / width);
}

/** The factor on the frequency of each pair. */
function factorOf(
  scaling: RotaryScaling,
  theta: number,
  dims: number,
  length: number,
): (pair: number) => number {
  const { kind, factor } = scaling;
  switch (kind) {
    case "linear":
      return () => 1 / factor;
    case "dynamic": {
      const stretch = (factor * Math.max(length, scaling.original)) / scaling.original - factor + 1;
      const base = stretch ** (dims / (dims - 2));
      return (pair) => base ** ((-2 * pair) / dims);
    }
    case "llama3": {
      const { lowFrequencyFactor: low, highFrequencyFactor: high, original } = scaling;
      return (pair) => {
        const turns = (original * theta ** ((-2 * pair) / dims)) / (2 * Math.PI);
        const smooth = clamp((turns - low) / (high - low));
        return (1 - smooth) / factor + smooth;
      };
    }
    case "yarn": {
      const ramp = yarnRamp(scaling, theta, dims);
      return (pair) => ramp(pair) / factor + 1 - ramp(pair);
    }
    default:
      return kind satisfies never;
  }
}

/** What the op needs of a scaling, for heads that rotate `dims` features in rows of `length` tokens. */
export function ropeScaling(
  scaling: RotaryScaling,
  theta: number,
  dims: number,
  length: number,
): RopeScaling {
  const factor = factorOf(scaling, theta, dims, length);
  const factors = Array.from({ length: dims / 2 }, (_, pair) => factor(pair));
  return { factors, magnitude: scaling.kind === "yarn" ? scaling.magnitude : 1 };
}

/**
 * Turns the heads of `x` [batch, seq, heads, head_dim] by their positions i32 [batch, seq]. `length` is the longest context the
 * positions may reach, which dynamic scaling depends on.
 */
export function rotate(
  x: Tensor,
  positions: Tensor,
  options: RotaryOptions,
  length: number,
): Tensor {
  const { theta, scaling = null } = options;
  const rotaryDims = options.dims ?? x.axes.at(-1)?.size ?? 0;
  const plain = { theta, rotaryDims };
  const attrs =
    scaling === null
      ? plain
      : { ...plain, scaling: ropeScaling(scaling, theta, rotaryDims, length) };
  return x.like(rope(x.trace.b, x.id, positions.id, attrs));
}
