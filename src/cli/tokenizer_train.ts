/** @file theseus tokenizer train: learns a byte-level BPE vocabulary from files. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TRAIN_PATTERNS, trainTokenizer } from "../data/tokenizers/train_tokenizer.ts";
import { UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { command, UsageError } from "./command.ts";

type PatternName = keyof typeof TRAIN_PATTERNS;

function patternNamed(name: string): PatternName {
  if (Object.hasOwn(TRAIN_PATTERNS, name)) return name as PatternName;
  const names = Object.keys(TRAIN_PATTERNS).join(", ");
  throw new UsageError(`--pattern expects one of ${names}, got "${name}"`);
}

function wholeNumber(option: string, text: string): number {
  if (/^\d{1,9}$/.test(text) && Number(text) > 0) return Number(text);
  throw new UsageError(`--${option} expects a whole number above 0, got "${text}"`);
}

export const tokenizerTrain = command({
  name: "train",
  summary: "learn a byte-level BPE vocabulary from files",
  examples: [
    "theseus tokenizer train book.txt --vocab-size 8192 -o book-tokenizer",
    "theseus tokenizer train corpus.jsonl.zst --text-field content --vocab-size 32768 --pattern gpt2 -o tok",
  ],
  args: {
    "vocab-size": {
      type: "string",
      valueHint: "N",
      description: "tokens in all: 256 bytes, merges, special tokens",
    },
    out: { type: "string", alias: "o", valueHint: "DIR", description: "folder to write" },
    pattern: {
      type: "string",
      default: "gpt4",
      description: "how text is cut into words: gpt2, gpt4 or gpt4o",
    },
    "text-field": {
      type: "string",
      default: "text",
      description: "the field that holds the text, in .jsonl and .parquet",
    },
    "min-frequency": {
      type: "string",
      default: "2",
      description: "pairs that occur less often are not merged",
    },
    force: { type: "boolean", description: "replace a tokenizer that is there" },
  },
  repeated: {
    special: {
      valueHint: "TOKEN",
      description: "a special token; the first ends documents (default <|endoftext|>)",
    },
  },
  variadic: { name: "files", description: "files, folders and globs", min: 1 },
  async run({ args, repeated, many }) {
    const out = args.out;
    if (out === undefined || args["vocab-size"] === undefined)
      throw new UsageError("tokenizer train expects --vocab-size N and -o DIR");
    const path = join(out, "tokenizer.json");
    if (existsSync(path) && args.force !== true)
      throw new UserError(`${path} is there already`, {
        code: "conflict",
        hint: "--force replaces it",
        place: { path },
      });
    const began = performance.now();
    const trained = await trainTokenizer({
      files: many,
      textField: args["text-field"],
      vocabSize: wholeNumber("vocab-size", args["vocab-size"]),
      pattern: patternNamed(args.pattern),
      special: repeated.special.length === 0 ? ["<|endoftext|>"] : repeated.special,
      minFrequency: wholeNumber("min-frequency", args["min-frequency"]),
    });
    mkdirSync(out, { recursive: true });
    for (const [name, text] of Object.entries(trained.files)) writeFileSync(join(out, name), text);
    const { vocabSize, merges, bytes } = trained;
    const seconds = (performance.now() - began) / 1000;
    if (vocabSize < Number(args["vocab-size"]))
      log.warn(
        `the text has pairs for ${vocabSize} tokens only, ${args["vocab-size"]} were asked for`,
      );
    const result = { path: out, vocab_size: vocabSize, merges, bytes, seconds };
    process.stdout.write(
      args.json === true
        ? `${JSON.stringify({ schema_version: 1, ...result })}\n`
        : `${out}: ${vocabSize} tokens from ${bytes} bytes in ${seconds.toFixed(1)} s\n`,
    );
    return 0;
  },
});
