/**
 * @file How long a training takes on a chip that nobody has measured it on: its arithmetic against the chip's peak. An assumption,
 * and said to be one; whoever has measured tokens a second uses those.
 */

import type { Config } from "../config/config.ts";
import type { Target } from "../passes/index.ts";
import { resolvePrecision } from "./precision.ts";

/** Dense arithmetic of one device in a second by its data sheet: matmuls of bf16 on tensor cores, and plain f32. */
const CHIPS: Readonly<Record<string, { readonly mixed: number; readonly f32: number }>> = {
  t4: { mixed: 65e12, f32: 8.1e12 },
  v100: { mixed: 125e12, f32: 15.7e12 },
  a10: { mixed: 125e12, f32: 31.2e12 },
  a40: { mixed: 149.7e12, f32: 37.4e12 },
  a6000: { mixed: 154.8e12, f32: 38.7e12 },
  a100: { mixed: 312e12, f32: 19.5e12 },
  l4: { mixed: 121e12, f32: 30.3e12 },
  l40s: { mixed: 362e12, f32: 91.6e12 },
  h100: { mixed: 989e12, f32: 67e12 },
  h200: { mixed: 989e12, f32: 67e12 },
  b200: { mixed: 2250e12, f32: 75e12 },
  rtx3090: { mixed: 71e12, f32: 35.6e12 },
  rtx4090: { mixed: 165.2e12, f32: 82.6e12 },
};

/** The part of the peak that a training is taken to reach. */
const ASSUMED_UTILISATION = 0.35;

export interface TimeEstimate {
  readonly chip: string;
  readonly chips: number;
  readonly seconds: number;
  /** Of one chip. */
  readonly peak_flops: number;
  readonly utilisation: number;
}

/** Any GPU: what precision `auto` means there. */
const GPU: Target = { kind: "cuda", level: "sm_90", threads: 1 };

/** Null where the chip's peak is not known. */
export function timeEstimate(
  config: Config,
  flops: number,
  chip: string | null,
  chips: number,
): TimeEstimate | null {
  const precision = resolvePrecision(config, GPU) === "f32" ? "f32" : "mixed";
  const peak = chip === null ? undefined : CHIPS[chip.toLowerCase()]?.[precision];
  if (chip === null || peak === undefined) return null;
  const seconds = flops / (peak * ASSUMED_UTILISATION * chips);
  return { chip, chips, seconds, peak_flops: peak, utilisation: ASSUMED_UTILISATION };
}
