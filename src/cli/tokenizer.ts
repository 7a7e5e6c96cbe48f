/** @file theseus tokenizer: learn one, look into one. */
import { command } from "./command.ts";
import { tokenizerInspect } from "./tokenizer_inspect.ts";
import { tokenizerTrain } from "./tokenizer_train.ts";

export default command({
  name: "tokenizer",
  summary: "learn a vocabulary, or look into a tokenizer",
  examples: [
    "theseus tokenizer train book.txt --vocab-size 8192 -o book-tokenizer",
    "theseus tokenizer inspect gpt2",
  ],
  args: {},
  commands: { train: tokenizerTrain, inspect: tokenizerInspect },
});
