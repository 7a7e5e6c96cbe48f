/** @file theseus tokenizer inspect: what a tokenizer is, and how it is encoded. */
import { ByteLevelTokenizer } from "../data/tokenizers/byte_level.ts";
import { openTokenizer } from "../data/tokenizers/open_tokenizer.ts";
import { TextLevelTokenizer } from "../data/tokenizers/text_level.ts";
import { command } from "./command.ts";
import { tableText } from "./format.ts";

export const tokenizerInspect = command({
  name: "inspect",
  summary: "vocabulary, special tokens and fingerprint of a tokenizer",
  examples: ["theseus tokenizer inspect gpt2", "theseus tokenizer inspect book-tokenizer --json"],
  args: {
    tokenizer: {
      type: "positional",
      required: true,
      description:
        "bytes, gpt2, cl100k_base, o200k_base, a tokenizer.json, its folder, hf:org/name",
    },
  },
  async run({ args }) {
    const tokenizer = await openTokenizer(args.tokenizer);
    const { name, vocabSize, fingerprint, special } = tokenizer;
    const isOpened =
      tokenizer instanceof ByteLevelTokenizer || tokenizer instanceof TextLevelTokenizer;
    const encoder = isOpened ? tokenizer.encoder.kind : "native";
    const ids = { bos: special.bos ?? null, eos: special.eos ?? null, pad: special.pad ?? null };
    const files = Object.keys(tokenizer.files());
    if (args.json === true) {
      const all = { name, vocab_size: vocabSize, fingerprint, encoder, special: ids, files };
      process.stdout.write(`${JSON.stringify({ schema_version: 1, ...all })}\n`);
      return 0;
    }
    const shown = (id: number | null): string =>
      id === null ? "-" : `${id} ${tokenizer.show(id)}`;
    process.stdout.write(
      tableText([
        ["tokenizer", name],
        ["tokens", String(vocabSize)],
        ["begin of text", shown(ids.bos)],
        ["end of text", shown(ids.eos)],
        ["padding", shown(ids.pad)],
        ["encoder", encoder],
        ["fingerprint", fingerprint],
        ["files", files.length === 0 ? "-" : files.join(", ")],
      ]),
    );
    return 0;
  },
});
