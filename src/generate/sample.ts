/** @file Continues a text, token by token; every token runs the whole window again. */
import type { Tokenizer } from "../data/tokenizer.ts";
import type { Engine } from "../train/engine.ts";
import { assert } from "../util/errors.ts";
import { chooseToken, type SamplingOptions } from "./choose_token.ts";

export interface SampleOptions extends SamplingOptions {
  readonly maxTokens: number;
  readonly blockSize: number;
  /** Called with each piece of text as it is known. */
  readonly onText?: (text: string) => void;
  readonly signal?: AbortSignal;
}

/** Returns the continuation, without the prompt. An empty prompt starts from a line end. */
export async function sample(
  engine: Engine,
  tokenizer: Tokenizer,
  prompt: string,
  options: SampleOptions,
): Promise<string> {
  const { blockSize, maxTokens, onText = () => {} } = options;
  const ids: number[] = Array.from(tokenizer.encode(prompt === "" ? "\n" : prompt));
  const stream = tokenizer.stream();
  const window = new Int32Array(blockSize);
  let text = "";
  const emit = (piece: string): void => {
    text += piece;
    if (piece !== "") onText(piece);
  };
  for (let made = 0; made < maxTokens && options.signal?.aborted !== true; made++) {
    const recent = ids.slice(-blockSize);
    window.fill(0);
    window.set(recent);
    const starts = Int32Array.of(0, recent.length - 1, 0);
    const run = await engine.start("logits", { tokens: window, starts });
    const logits = await run.output("logits");
    assert(logits instanceof Float32Array, "logits are not f32");
    const id = chooseToken(logits.subarray(0, tokenizer.vocabSize), options, {
      position: ids.length,
      before: ids,
    });
    ids.push(id);
    emit(stream.push(id));
  }
  emit(stream.end());
  return text;
}
