/** @file A model that writes text: weights on a device, a cache for some answers at a time, and the tokenizer it was trained with. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { dataFields } from "../data/fields.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { openTokenizer } from "../data/tokenizers/open_tokenizer.ts";
import { Decoder } from "../generate/decoder.ts";
import { Generator } from "../generate/generator.ts";
import type { Precision } from "../nn/trace.ts";
import { precisionOfUse } from "../train/precision.ts";
import { targetOf } from "../train/target.ts";
import { loadWeights } from "../train/weights.ts";
import { DataError, UserError } from "../util/errors.ts";
import { madeOnModelDevice } from "./model_device.ts";
import { type RunSource, trainedRun } from "./trained_run.ts";

/** Models may take hundreds of thousands of tokens, and every row of the cache has room for its whole context. */
const CONTEXT_DEFAULT = 4096;
const GENERATION_JSON = "generation_config.json";

export interface TextModelOptions {
  /** Answers in the making at a time. */
  readonly rows: number;
  /** Tokens of prompt and answer together; absent: as many as the model takes, and at most CONTEXT_DEFAULT. */
  readonly context?: number;
  /** Absent: as the run was trained. */
  readonly precision?: Precision;
}

export interface TextModel {
  readonly tokenizer: Tokenizer;
  readonly generator: Generator;
  /** Where its weights are, and what else came with them. */
  readonly folder: string;
  /** Tokens that end an answer. */
  readonly stopIds: ReadonlySet<number>;
  /** Frees the device; what is in the making fails. */
  close(): void;
}

function expectTokenizer(tokenizer: Tokenizer, vocabSize: number): void {
  if (tokenizer.vocabSize <= vocabSize) return;
  throw new DataError(
    `the tokenizer ${tokenizer.name} has ${tokenizer.vocabSize} tokens and the model's embedding ${vocabSize}`,
    { hint: "the model was trained with another tokenizer" },
  );
}

function contextOf(blockSize: number, given?: number): number {
  const context = given ?? Math.min(blockSize, CONTEXT_DEFAULT);
  if (context >= 2 && context <= blockSize) return context;
  throw new UserError(
    `expected a context of 2 to ${blockSize} tokens, the most the model takes, got ${context}`,
    { code: "config" },
  );
}

/** As generation_config.json beside the weights names them, and the tokenizer's own end of text. */
function stopIdsOf(folder: string, { special }: Tokenizer): ReadonlySet<number> {
  const own = special.eos === undefined ? [] : [special.eos];
  const path = join(folder, GENERATION_JSON);
  if (!existsSync(path)) return new Set(own);
  let named: unknown;
  try {
    named = JSON.parse(readFileSync(path, "utf8")).eos_token_id;
  } catch {
    throw new DataError(`${path} is not a JSON object`, { place: { path } });
  }
  const ids = (Array.isArray(named) ? named : [named]).filter((id) => Number.isInteger(id));
  return new Set([...own, ...(ids as number[])]);
}

export async function openTextModel(
  source: RunSource,
  { rows, context, precision: wanted }: TextModelOptions,
): Promise<TextModel> {
  const { config, model, weights } = trainedRun(source);
  const tokenizer = await openTokenizer(config.get(dataFields.tokenizer));
  expectTokenizer(tokenizer, model.vocabSize);
  const places = contextOf(model.blockSize, context);
  return madeOnModelDevice(config, source, (device): TextModel => {
    const precision = wanted ?? precisionOfUse(config, targetOf(device));
    const decoder = new Decoder(device, model, { rows, places, precision });
    loadWeights(decoder.engine, model, weights);
    const folder = statSync(weights).isDirectory() ? weights : dirname(weights);
    return {
      ...{ tokenizer, folder },
      generator: new Generator(decoder, tokenizer.vocabSize),
      stopIds: stopIdsOf(folder, tokenizer),
      close: () => device.close(),
    };
  });
}
