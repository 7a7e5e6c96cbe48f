/**
 * @file How long a training takes on a chip that nobody has measured it on: its arithmetic against the chip's peak. An assumption,
 * and said to be one; whoever has measured tokens a second uses those.
 */

import type { Config } from "../config/config.ts";
import type { Target } from "../passes/index.ts";
import { gpuPeakFlops } from "./peak.ts";
import { resolvePrecision } from "./precision.ts";

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
  const peak = chip === null ? null : gpuPeakFlops(chip, resolvePrecision(config, GPU) !== "f32");
  if (chip === null || peak === null) return null;
  const seconds = flops / (peak * ASSUMED_UTILISATION * chips);
  return { chip, chips, seconds, peak_flops: peak, utilisation: ASSUMED_UTILISATION };
}
