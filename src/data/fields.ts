/** @file Configuration of the data. */
import { field } from "../config/field.ts";
import { float, string } from "../config/schema.ts";

export const dataFields = {
  text: field(
    "data/text",
    string(),
    "sotu",
    "what to train on: a text file, or the built-in State of the Union speeches (sotu)",
  ),
  tokenizer: field(
    "data/tokenizer",
    string(),
    "bytes",
    "how text becomes tokens: bytes, gpt2, cl100k_base, o200k_base, a tokenizer.json or its folder, or hf:org/name",
  ),
  validationFraction: field(
    "data/validation_fraction",
    float({ above: 0, max: 0.5 }),
    0.05,
    "share of a text file's end that is held out; built-in text has its own held-out speeches",
  ),
};
