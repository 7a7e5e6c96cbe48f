/** @file Where a run ends: its steps, or an earlier limit that the data or the tokens set. */
import type { Config } from "../config/config.ts";
import { batchOf } from "./batch_size.ts";
import { trainingFields } from "./fields.ts";

/** The last step by all limits that are functions of the step alone; a limit inside a step lets it be done. */
export function lastStepOf(config: Config, blockSize: number, samplesPerEpoch: number): number {
  const { steps, stopTokens, stopEpochs } = config.values(trainingFields);
  const { rows, accumulate } = batchOf(config);
  const samples = rows * accumulate;
  return Math.min(
    steps,
    stopTokens === null ? steps : Math.ceil(stopTokens / (samples * blockSize)),
    stopEpochs === null ? steps : Math.ceil((stopEpochs * samplesPerEpoch) / samples),
  );
}
