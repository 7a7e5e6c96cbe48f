/** @file Text in, text out, on top of the generator: prompts become tokens, tokens text as they come, up to a stop string. */
import type { Tokenizer } from "../data/tokenizer.ts";
import type { SamplingOptions } from "./choose_token.ts";
import type { GenerationRequest, Generator } from "./generator.ts";
import { StopStrings } from "./stop_strings.ts";

export interface TextRequest {
  readonly prompt: readonly number[];
  readonly maxTokens: number | null;
  readonly sampling: SamplingOptions;
  readonly answer?: number;
  readonly stop?: readonly string[];
  readonly stopIds?: ReadonlySet<number>;
  readonly whenFull?: GenerationRequest["whenFull"];
  readonly signal?: AbortSignal;
  /** Called with each piece of text as soon as it is known to belong to the answer. */
  readonly onText?: (text: string) => void;
}

export interface GeneratedText {
  readonly text: string;
  readonly tokens: readonly number[];
  readonly reason: "stop" | "length" | "cancelled";
  readonly cachedTokens: number;
}

export async function generateText(
  generator: Generator,
  tokenizer: Tokenizer,
  request: TextRequest,
): Promise<GeneratedText> {
  const { stop = [], onText = () => {}, ...rest } = request;
  const stream = tokenizer.stream();
  const stops = new StopStrings(stop);
  let text = "";
  const emit = (piece: string): void => {
    text += piece;
    if (piece !== "") onText(piece);
  };
  const onToken = (id: number): boolean => {
    emit(stops.push(stream.push(id)));
    return stops.stopped !== null;
  };
  const { tokens, reason, cachedTokens } = await generator.generate({ ...rest, onToken });
  emit(stops.push(stream.end()));
  emit(stops.end());
  return { text, tokens, reason: stops.stopped === null ? reason : "stop", cachedTokens };
}

/** A text to continue. An empty one starts as a document does: at the tokenizer's own beginning, else at a line end. */
export function promptTokens(tokenizer: Tokenizer, text: string): number[] {
  const ids = Array.from(tokenizer.encode(text, { addSpecial: true }));
  if (ids.length > 0) return ids;
  const { bos, eos } = tokenizer.special;
  const first = bos ?? eos;
  return first === undefined ? Array.from(tokenizer.encode("\n")) : [first];
}
