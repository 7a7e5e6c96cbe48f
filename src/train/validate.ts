/** @file Loss over the held-out tokens with the weights that an engine holds. */
import type { Batch } from "../data/batch.ts";
import type { ValidationLoader } from "../data/loader.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { DataError, UserError } from "../util/errors.ts";
import type { Engine, Run } from "./engine.ts";

export interface Validation {
  readonly loss: number;
  readonly bitsPerByte: number;
}

/** `batch` is scratch: it is refilled for every run. `signal` ends it between two batches with an error. */
export async function validateOn(
  engine: Engine,
  validation: ValidationLoader,
  tokenizer: Tokenizer,
  batch: Batch,
  signal?: AbortSignal,
): Promise<Validation> {
  if (validation.batches === 0) throw new DataError("nothing is held out to validate on");
  let lossSum = 0;
  let tokens = 0;
  let bytes = 0;
  let pending: Run | undefined;
  const collect = async (run: Run): Promise<void> => {
    lossSum += Number(await run.output("loss_sum"));
    tokens += Number(await run.output("tokens"));
  };
  for (let index = 0; index < validation.batches; index++) {
    if (signal?.aborted === true) throw new UserError("interrupted", { code: "interrupted" });
    bytes += tokenizer.byteCount(validation.fill(batch, index));
    const run = await engine.start("eval", { ...batch });
    if (pending !== undefined) await collect(pending);
    pending = run;
  }
  if (pending !== undefined) await collect(pending);
  return { loss: lossSum / tokens, bitsPerByte: lossSum / Math.LN2 / bytes };
}
