/** @file Learning-rate schedules: pure functions of the step (0-based) and the number of steps. */
import type { Values } from "../config/field.ts";
import type { scheduleFields } from "./fields.ts";

export type ScheduleOptions = Values<typeof scheduleFields>;

/** Share of the peak rate after warm-up; `progress` runs over what follows the warm-up. */
function afterWarmup(options: ScheduleOptions, step: number, steps: number): number {
  const { schedule, decayFraction, finalFraction, warmupSteps } = options;
  const fall = 1 - finalFraction;
  switch (schedule) {
    case "constant":
      return 1;
    case "cosine": {
      const progress = Math.max(0, step - warmupSteps) / Math.max(1, steps - warmupSteps);
      return finalFraction + (fall * (1 + Math.cos(Math.PI * Math.min(1, progress)))) / 2;
    }
    case "wsd": {
      const decaySteps = Math.round(decayFraction * steps);
      const intoDecay = step - (steps - decaySteps) + 1;
      return intoDecay <= 0 ? 1 : 1 - fall * Math.min(1, intoDecay / decaySteps);
    }
    default:
      return schedule satisfies never;
  }
}

export function learningRate(options: ScheduleOptions, step: number, steps: number): number {
  const { learningRate: peak, warmupSteps } = options;
  const warm = step < warmupSteps ? (step + 1) / warmupSteps : 1;
  return peak * Math.min(warm, 1) * afterWarmup(options, step, steps);
}
