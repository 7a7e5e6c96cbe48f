/**
 * @file Draws a token from logits. Order as in `transformers`: repetition penalty, temperature, top-k, top-p, min-p. A draw
 * is a pure function of logits, seed, which answer it is for, and position: not of the batch that it was computed in.
 */
import { UserError } from "../util/errors.ts";
import { philox4x32 } from "../util/prng.ts";
import { likeliest } from "./likeliest.ts";

export interface SamplingOptions {
  /** 0: always the likeliest token. */
  readonly temperature: number;
  /** Only the k likeliest tokens; 0: all. */
  readonly topK: number;
  readonly seed: number;
  /** Only the likeliest tokens that together have at least this probability; 1 (default): all. */
  readonly topP?: number;
  /** Only tokens at least this much as likely as the likeliest; 0 (default): all. */
  readonly minP?: number;
  /** Divides positive logits of tokens that were there before and multiplies negative ones; 1 (default): nothing. */
  readonly repetitionPenalty?: number;
}

export interface Draw {
  /** Tokens that stand before this one, the prompt included. */
  readonly position: number;
  /** Which answer of the same seed; default 0. */
  readonly answer?: number;
  /** All tokens so far, for the repetition penalty. */
  readonly before?: Iterable<number>;
}

const STREAM = 0x73616d70;

/** Uniform in [0, 1) with 32 bits. */
function uniform(seed: number, position: number, answer: number): number {
  const out = new Uint32Array(4);
  const key = [seed >>> 0, (STREAM ^ Math.floor(seed / 2 ** 32)) >>> 0] as const;
  philox4x32([position, answer, 0, 0], key, out);
  return (out[0] ?? 0) / 2 ** 32;
}

/** Throws where no token can be told likelier than another. */
function expectNumbers(logits: Float32Array, position: number): void {
  let finite = false;
  for (let id = 0; id < logits.length; id++) {
    const x = logits[id] ?? 0;
    if (Number.isNaN(x) || x === Infinity)
      throw new UserError(
        `the model's logits for token ${position} are not finite: ${x} at ${id}`,
        {
          code: "run_failed",
          hint: "its weights are not finite, or the run diverged; try an earlier checkpoint",
        },
      );
    if (x !== -Infinity) finite = true;
  }
  if (!finite)
    throw new UserError(`the model gives no token a probability at position ${position}`, {
      code: "run_failed",
    });
}

function penalised(logits: Float32Array, penalty: number, before: Iterable<number>): Float32Array {
  if (penalty === 1) return logits;
  const out = logits.slice();
  for (const id of new Set(before)) {
    const x = out[id];
    if (x !== undefined) out[id] = x > 0 ? x / penalty : x * penalty;
  }
  return out;
}

function largest(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if ((logits[id] ?? 0) > (logits[best] ?? 0)) best = id;
  return best;
}

const sumOf = (weights: Float32Array, ids: Iterable<number>): number => {
  let sum = 0;
  for (const id of ids) sum += weights[id] ?? 0;
  return sum;
};

/** The ids that may be drawn, likeliest first; null: all. */
function kept(weights: Float32Array, options: SamplingOptions): readonly number[] | null {
  const { topK, topP = 1, minP = 0 } = options;
  const all = weights.length;
  if ((topK === 0 || topK >= all) && topP >= 1 && minP <= 0) return null;
  const limit = topK > 0 ? Math.min(topK, all) : all;
  let ids = topK > 0 || topP >= 1 ? likeliest(weights, limit) : nucleusOfAll(weights, topP);
  if (topK > 0 && topP < 1) ids = nucleus(weights, ids, topP * sumOf(weights, ids)) ?? ids;
  // The likeliest token has weight 1.
  const end = ids.findIndex((id) => (weights[id] ?? 0) < minP);
  return end <= 0 ? (end === 0 ? ids.slice(0, 1) : ids) : ids.slice(0, end);
}

/** The shortest beginning of `ids` that weighs at least `wanted`; null: all together weigh less. */
function nucleus(
  weights: Float32Array,
  ids: readonly number[],
  wanted: number,
): readonly number[] | null {
  let sum = 0;
  for (const [i, id] of ids.entries()) {
    sum += weights[id] ?? 0;
    if (sum >= wanted) return ids.slice(0, i + 1);
  }
  return null;
}

/** Few tokens are enough almost always, so that the whole vocabulary is rarely put in order. */
function nucleusOfAll(weights: Float32Array, topP: number): readonly number[] {
  let total = 0;
  for (const weight of weights) total += weight;
  for (let count = 64; count < weights.length; count *= 16) {
    const found = nucleus(weights, likeliest(weights, count), topP * total);
    if (found !== null) return found;
  }
  const ids = likeliest(weights, weights.length);
  return nucleus(weights, ids, topP * total) ?? ids;
}

function drawFrom(weights: Float32Array, ids: readonly number[] | null, at: number): number {
  const count = ids?.length ?? weights.length;
  const idAt = (i: number): number => (ids === null ? i : (ids[i] ?? 0));
  let total = 0;
  for (let i = 0; i < count; i++) total += weights[idAt(i)] ?? 0;
  let left = at * total;
  let last = 0;
  for (let i = 0; i < count; i++) {
    const weight = weights[idAt(i)] ?? 0;
    if (weight === 0) continue;
    last = idAt(i);
    left -= weight;
    if (left < 0) return last;
  }
  return last;
}

export function chooseToken(logits: Float32Array, options: SamplingOptions, draw: Draw): number {
  const { temperature, repetitionPenalty = 1, seed } = options;
  const { position, answer = 0, before = [] } = draw;
  expectNumbers(logits, position);
  const scores = penalised(logits, repetitionPenalty, before);
  const best = largest(scores);
  if (temperature === 0) return best;
  const top = scores[best] ?? 0;
  const weights = scores.map((x) => Math.exp((x - top) / temperature));
  return drawFrom(weights, kept(weights, options), uniform(seed, position, answer));
}
