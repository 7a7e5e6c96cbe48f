/**
 * @file The batch of one step: rows of a micro-batch times micro-batches. `auto` is settled once, from the plan, and kept by the
 * run from then on.
 */
import type { Config } from "../config/config.ts";
import { assert, ConfigError, DeviceError } from "../util/errors.ts";
import { trainingFields } from "./fields.ts";

/** What `auto` never goes beyond by itself: larger micro-batches make no step faster. */
const LARGEST_AUTO = 64;

export interface StepBatch {
  /** Samples of a micro-batch. */
  readonly rows: number;
  /** Micro-batches of a step. */
  readonly accumulate: number;
}

/** Of a settled configuration. Throws a ConfigError where the settings contradict each other. */
export function batchOf(config: Config): StepBatch {
  const { rows, accumulate, globalBatch } = config.values(trainingFields);
  assert(rows !== "auto", "the batch size is settled before it is used");
  if (globalBatch === null) return { rows, accumulate };
  const place = { key: "training.global_batch_size" };
  if (globalBatch % rows !== 0)
    throw new ConfigError(
      `training.global_batch_size ${globalBatch} is no multiple of per_device_batch_size ${rows}`,
      { place },
    );
  if (accumulate !== 1 && accumulate * rows !== globalBatch)
    throw new ConfigError(
      `training.global_batch_size ${globalBatch} is not per_device_batch_size ${rows} * accumulate ${accumulate}`,
      { place, hint: "leave accumulate out: it follows from the two" },
    );
  return { rows, accumulate: globalBatch / rows };
}

/** Sizes that `auto` tries, largest first: divisors of the global batch, or powers of two. */
function candidates(globalBatch: number | null): number[] {
  const sizes = Array.from({ length: globalBatch ?? LARGEST_AUTO }, (_, i) => i + 1);
  const fitting =
    globalBatch === null
      ? sizes.filter((size) => Number.isInteger(Math.log2(size)))
      : sizes.filter((size) => globalBatch % size === 0);
  return fitting.reverse();
}

/** The same configuration with numbers for `auto` and `accumulate`; `bytesWith` plans it with a size filled in. */
export function settleBatch(
  config: Config,
  freeBytes: number,
  bytesWith: (config: Config) => number,
): Config {
  const withRows = (rows: number): Config => {
    const sized = config.with(new Map([[trainingFields.rows, rows]]));
    return sized.with(new Map([[trainingFields.accumulate, batchOf(sized).accumulate]]));
  };
  const asked = config.get(trainingFields.rows);
  if (asked !== "auto") return withRows(asked);
  const globalBatch = config.get(trainingFields.globalBatch);
  // Derived from the size, whatever stands there.
  const free =
    globalBatch === null ? config : config.with(new Map([[trainingFields.accumulate, 1]]));
  for (const rows of candidates(globalBatch)) {
    const sized = settleBatch(
      free.with(new Map([[trainingFields.rows, rows]])),
      freeBytes,
      bytesWith,
    );
    if (bytesWith(sized) <= freeBytes) return sized;
  }
  throw new DeviceError(
    `not even one sample at a time fits into the ${freeBytes} bytes that are free`,
    {
      hint: "theseus plan with training.per_device_batch_size=1 shows what takes the room",
    },
  );
}
