/** @file Draws a token from logits: temperature and top-k, with random numbers that are a function of seed and position. */
import { philox4x32 } from "../util/prng.ts";

export interface SamplingOptions {
  /** 0: always the likeliest token. */
  readonly temperature: number;
  /** Only the k likeliest tokens; 0: all. */
  readonly topK: number;
  readonly seed: number;
}

const STREAM = 0x73616d70;

/** Uniform in [0, 1) with 32 bits. */
function uniform(seed: number, position: number): number {
  const out = new Uint32Array(4);
  philox4x32([position, 0, 0, 0], [seed >>> 0, STREAM], out);
  return (out[0] ?? 0) / 2 ** 32;
}

export function chooseToken(
  logits: Float32Array,
  options: SamplingOptions,
  position: number,
): number {
  const { temperature, topK, seed } = options;
  // The lower id wins between equals, so that the order is total.
  const order = Array.from(logits.keys()).sort(
    (a, b) => (logits[b] ?? 0) - (logits[a] ?? 0) || a - b,
  );
  const best = order[0] ?? 0;
  if (temperature === 0) return best;
  const kept = topK > 0 ? order.slice(0, topK) : order;
  const top = logits[best] ?? 0;
  const weights = kept.map((id) => Math.exp(((logits[id] ?? 0) - top) / temperature));
  let left = uniform(seed, position) * weights.reduce((a, b) => a + b, 0);
  for (const [i, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return kept[i] ?? best;
  }
  return best;
}
