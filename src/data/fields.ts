/** @file Configuration of the data. */
import { field } from "../config/field.ts";
import { enumOf, float, string } from "../config/schema.ts";

export const dataFields = {
  text: field(
    "data/text",
    string(),
    "sotu",
    "what to train on: a text file, or the built-in State of the Union speeches (sotu)",
  ),
  tokenizer: field("data/tokenizer", enumOf(["bytes"]), "bytes", "how text becomes tokens"),
  validationFraction: field(
    "data/validation_fraction",
    float({ above: 0, max: 0.5 }),
    0.05,
    "share of a text file's end that is held out; built-in text has its own held-out speeches",
  ),
};
