/** @file MODEL as evaluation judges it: weights that can be put into an engine, their fingerprint, the tokenizer. */
import { dataFields } from "../data/fields.ts";
import { openTokenizer } from "../data/tokenizers/open_tokenizer.ts";
import { JudgedModel } from "../evaluate/judged_model.ts";
import type { Precision } from "../nn/trace.ts";
import type { Engine } from "../train/engine.ts";
import { precisionOfUse } from "../train/precision.ts";
import { targetOf } from "../train/target.ts";
import { hashWeights, loadWeights } from "../train/weights.ts";
import { openModelDevice } from "./model_device.ts";
import { type RunSource, trainedRun } from "./trained_run.ts";

export interface OpenJudged {
  readonly judged: JudgedModel;
  /** Hash of the weights' files, of an adapter with those of its base. */
  readonly weights: string;
  readonly tokenizer: string;
  readonly precision: Precision;
  close(): void;
}

export async function openJudged(source: RunSource): Promise<OpenJudged> {
  const { config, model, weights } = trainedRun(source);
  const tokenizer = await openTokenizer(config.get(dataFields.tokenizer));
  const fingerprint = await hashWeights(weights);
  const device = openModelDevice(config, source);
  try {
    const precision = precisionOfUse(config, targetOf(device));
    const put = (engine: Engine): void => loadWeights(engine, model, weights);
    return {
      judged: new JudgedModel({ device, model, tokenizer, precision, weights: put }),
      ...{ weights: fingerprint, tokenizer: tokenizer.fingerprint, precision },
      close: () => device.close(),
    };
  } catch (error) {
    device.close();
    throw error;
  }
}
