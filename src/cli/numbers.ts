/** @file Options that are numbers, and those of sampling, which several commands take. */
import type { SamplingOptions } from "../generate/choose_token.ts";
import type { Precision } from "../nn/trace.ts";
import { UsageError } from "./command.ts";

export interface NumberRange {
  /** The least value, or with `above` what it must be greater than. */
  readonly low: number;
  readonly above?: boolean;
  readonly high?: number;
  readonly integer?: boolean;
}

export function numberOf(text: string, name: string, range: NumberRange): number {
  const { low, above = false, high = Infinity, integer = false } = range;
  const value = Number(text);
  const fits = Number.isFinite(value) && (above ? value > low : value >= low) && value <= high;
  if (text.trim() !== "" && fits && (!integer || Number.isInteger(value))) return value;
  const kind = integer ? "an integer" : "a number";
  const least = above ? `> ${low}` : `>= ${low}`;
  const bounds = high === Infinity ? least : `${least} and <= ${high}`;
  throw new UsageError(`--${name} expected ${kind} ${bounds}, got "${text}"`);
}

export const samplingArgs = {
  temperature: { type: "string", default: "0.8", description: "0 takes the likeliest token" },
  "top-k": { type: "string", default: "0", description: "only the k likeliest; 0: all" },
  "top-p": {
    type: "string",
    default: "1",
    description: "only the likeliest that together have this probability",
  },
  "min-p": {
    type: "string",
    default: "0",
    description: "only those at least so likely beside the likeliest",
  },
  "repetition-penalty": {
    type: "string",
    default: "1",
    description: "above 1: tokens that were there before become less likely",
  },
  seed: { type: "string", default: "0", description: "seed of the draw" },
} as const;

export function samplingOf(
  args: Readonly<Record<keyof typeof samplingArgs, string>>,
): SamplingOptions {
  const number = (name: keyof typeof samplingArgs, range: NumberRange) =>
    numberOf(args[name], name, range);
  return {
    temperature: number("temperature", { low: 0 }),
    topK: number("top-k", { low: 0, integer: true }),
    topP: number("top-p", { low: 0, above: true, high: 1 }),
    minP: number("min-p", { low: 0, high: 1 }),
    repetitionPenalty: number("repetition-penalty", { low: 0, above: true }),
    seed: number("seed", { low: 0, integer: true }),
  };
}

export const precisionArgs = {
  precision: {
    type: "string",
    default: "run",
    description: "f32, mixed (bf16 weights and cache) or on a GPU bf16; run: as it was trained",
  },
} as const;

export function precisionOf(text: string): { readonly precision?: Precision } {
  if (text === "run") return {};
  if (text === "f32" || text === "mixed" || text === "bf16") return { precision: text };
  throw new UsageError(`--precision expected run, f32, mixed or bf16, got "${text}"`);
}
