/** @file Configuration of the data. */
import { field } from "../config/field.ts";
import { bool, float, list, moment, nullable, record, string } from "../config/schema.ts";

export const dataFields = {
  text: field(
    "data/text",
    string(),
    "sotu",
    "what to train on: a text file, or the built-in State of the Union speeches (sotu)",
  ),
  tokens: field(
    "data/tokens",
    nullable(string()),
    null,
    "a folder of tokens to train on instead of data.text",
  ),
  mixture: field(
    "data/mixture",
    list(record({ path: string(), weight: float({ min: 0 }) })),
    [],
    "several folders of tokens and their shares of the samples",
  ),
  stages: field(
    "data/stages",
    list(record({ at: moment(), weights: list(float({ min: 0 })) })),
    [],
    "other weights of the mixture, one a folder, from these moments of the run on",
  ),
  documentMask: field(
    "data/document_mask",
    nullable(bool()),
    null,
    "attention, positions and predictions stay inside a document; null: true where a folder holds rows",
  ),
  verify: field(
    "data/verify",
    bool(),
    false,
    "hashes every file of the folders of tokens before the first step",
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
