/** @file Text from a finished run: its configuration, its weights, a prompt. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { tokenizerNamed } from "../data/dataset.ts";
import { dataFields } from "../data/fields.ts";
import { type SampleOptions, sample } from "../generate/sample.ts";
import { compile } from "../passes/index.ts";
import { openDevice } from "../runtime/index.ts";
import { Engine } from "../train/engine.ts";
import { trainingFields } from "../train/fields.ts";
import { type ProgramName, resolvePrecision } from "../train/job_programs.ts";
import { buildLogits } from "../train/programs.ts";
import { targetOf } from "../train/run.ts";
import { loadWeights, WEIGHTS_FILE } from "../train/weights.ts";
import { UserError } from "../util/errors.ts";
import { loadJob } from "./load_job.ts";

export interface SampleRequest extends Omit<SampleOptions, "blockSize"> {
  readonly runDirectory: string;
  readonly prompt: string;
  readonly threads?: number;
}

export async function sampleRun(request: SampleRequest): Promise<string> {
  const { runDirectory, prompt } = request;
  const configPath = join(runDirectory, "config.resolved.yaml");
  const weights = join(runDirectory, WEIGHTS_FILE);
  for (const path of [configPath, weights])
    if (!existsSync(path))
      throw new UserError(`${runDirectory} is no finished run: ${path} does not exist`, {
        code: "not_found",
      });
  const { job, config } = loadJob({ name: configPath, text: readFileSync(configPath, "utf8") });
  const model = job.model(config);
  const threads = request.threads ?? config.get(trainingFields.threads);
  const device = openDevice(threads === null ? {} : { threads });
  try {
    const target = targetOf(device);
    const graph = buildLogits(model, resolvePrecision(config, target));
    const engine = new Engine(
      device,
      new Map<ProgramName, ReturnType<typeof compile>>([["logits", compile(graph, target)]]),
    );
    loadWeights(engine, model, weights);
    const tokenizer = tokenizerNamed(config.get(dataFields.tokenizer));
    const text = await sample(engine, tokenizer, prompt, {
      ...request,
      blockSize: model.blockSize,
    });
    engine.free();
    return text;
  } finally {
    device.close();
  }
}
