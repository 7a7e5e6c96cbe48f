/** @file The loss of a trained run over its held-out text, as the run itself computes it. */
import { newBatch } from "../data/batch.ts";
import { openDataset } from "../data/dataset.ts";
import { dataFields } from "../data/fields.ts";
import { ValidationLoader } from "../data/loader.ts";
import { batchOf } from "../train/batch_size.ts";
import { Engine } from "../train/engine.ts";
import { validationFields } from "../train/fields.ts";
import { compileIn, precisionOfUse } from "../train/precision.ts";
import { buildEval } from "../train/programs.ts";
import { targetOf } from "../train/target.ts";
import { type Validation, validateOn } from "../train/validate.ts";
import { loadWeights } from "../train/weights.ts";
import { withModelDevice } from "./model_device.ts";
import { type RunSource, trainedRun } from "./trained_run.ts";

export async function validateRun(source: RunSource): Promise<Validation> {
  const { config, model, weights } = trainedRun(source);
  const dataset = await openDataset(config.values(dataFields));
  const { rows } = batchOf(config);
  const length = model.blockSize;
  const { batches } = config.values(validationFields);
  const loader = new ValidationLoader(dataset.heldOut(length), rows, batches);
  return withModelDevice(config, source, async (device) => {
    const target = targetOf(device);
    const batch = { rows, length, documents: dataset.documentMask };
    const precision = precisionOfUse(config, target);
    const program = compileIn(precision, buildEval(model, batch, precision), target);
    const engine = new Engine(device, new Map([["eval", program]]));
    loadWeights(engine, model, weights);
    const result = await validateOn(engine, loader, dataset.tokenizer, newBatch(rows, length));
    engine.free();
    return result;
  }).finally(() => dataset.close());
}
