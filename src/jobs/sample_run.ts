/** @file Text from a trained run: its configuration, its weights, a prompt. */
import { dataFields } from "../data/fields.ts";
import { openTokenizer } from "../data/tokenizers/open_tokenizer.ts";
import { type SampleOptions, sample } from "../generate/sample.ts";
import { compile } from "../passes/index.ts";
import { Engine } from "../train/engine.ts";
import { resolvePrecision } from "../train/job_programs.ts";
import { buildLogits } from "../train/programs.ts";
import { targetOf } from "../train/target.ts";
import { loadWeights } from "../train/weights.ts";
import { type RunSource, trainedRun, withDevice } from "./trained_run.ts";

export interface SampleRequest extends RunSource, Omit<SampleOptions, "blockSize"> {
  readonly prompt: string;
}

export function sampleRun(request: SampleRequest): Promise<string> {
  const { config, model, weights } = trainedRun(request);
  return withDevice(config, request.threads, async (device) => {
    const target = targetOf(device);
    const graph = buildLogits(model, resolvePrecision(config, target));
    const engine = new Engine(device, new Map([["logits", compile(graph, target)]]));
    loadWeights(engine, model, weights);
    const tokenizer = await openTokenizer(config.get(dataFields.tokenizer));
    const { blockSize } = model;
    const text = await sample(engine, tokenizer, request.prompt, { ...request, blockSize });
    engine.free();
    return text;
  });
}
