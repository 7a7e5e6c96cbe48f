/** @file A text as tokens in memory, split into what is trained on and what is held out. */
import { readFileSync, statSync } from "node:fs";
import { DataError } from "../util/errors.ts";
import { BUILTIN_TEXTS, builtinText, type SplitText } from "./builtin_text.ts";
import type { DataOptions, Dataset } from "./dataset.ts";
import { DirectLoader } from "./loader.ts";
import { StreamHeldOut, StreamSampler } from "./samples/windows.ts";
import { MemoryStore } from "./store.ts";
import type { Tokenizer, Tokens } from "./tokenizer.ts";

function readText(path: string): string {
  const hint = `data.text is a text file or built-in text (${BUILTIN_TEXTS.join(", ")})`;
  const fail = (why: string): never => {
    throw new DataError(`data.text: ${path} ${why}`, { hint, place: { key: "data.text" } });
  };
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return fail("does not exist");
  if (!stat.isFile()) return fail("is not a file");
  const bytes = readFileSync(path);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return fail("is not UTF-8 text");
  }
}

/** Cuts where a line ends, if one ends nearby, so that no sentence stands in both parts. */
function splitText(text: string, fraction: number): SplitText {
  const wanted = Math.floor(text.length * (1 - fraction));
  const lineEnd = text.indexOf("\n", wanted);
  const near = lineEnd !== -1 && lineEnd - wanted < text.length * fraction * 0.5;
  const cut = near ? lineEnd + 1 : wanted;
  return { train: text.slice(0, cut), validation: text.slice(cut) };
}

/** The tokens of a text, for what looks at them directly. */
export interface TextTokens {
  readonly train: Tokens;
  readonly validation: Tokens;
}

export function encodeText(options: DataOptions, tokenizer: Tokenizer): TextTokens {
  const { text, validationFraction } = options;
  const split = builtinText(text) ?? splitText(readText(text), validationFraction);
  return { train: tokenizer.encode(split.train), validation: tokenizer.encode(split.validation) };
}

function contentOf({ train, validation }: TextTokens): string {
  const hash = new Bun.CryptoHasher("sha256");
  for (const tokens of [train, validation]) hash.update(`${tokens.length}:`).update(tokens);
  return hash.digest("hex");
}

/** Filling from memory takes microseconds and never waits, so nothing is read ahead. */
export function openText(options: DataOptions, tokenizer: Tokenizer): Dataset {
  const tokens = encodeText(options, tokenizer);
  const train = new MemoryStore("the text", tokens.train);
  const validation = new MemoryStore("the held-out text", tokens.validation);
  const separate = options.documentMask === true;
  const order = (length: number, seed: number) =>
    new StreamSampler(train, { length, seed, source: 0, separate });
  const heldOut = (length: number) => {
    if (validation.length < 2)
      throw new DataError(`the held-out text has ${validation.length} tokens, expected at least 2`);
    return new StreamHeldOut(validation, length, separate);
  };
  return {
    name: options.text,
    tokenizer,
    chatTemplate: null,
    vocabSize: tokenizer.vocabSize,
    documentMask: separate,
    trainTokens: train.length,
    record: { tokenizer: tokenizer.fingerprint, content: contentOf(tokens) },
    check(length) {
      order(length, 0);
      heldOut(length);
    },
    train({ length, seed }) {
      const sampler = order(length, seed);
      return {
        perEpoch: sampler.perEpoch,
        place: (sample) => sampler.place(sample),
        loader: (rows) => new DirectLoader(sampler, rows, length),
      };
    },
    heldOut,
    close() {},
  };
}
