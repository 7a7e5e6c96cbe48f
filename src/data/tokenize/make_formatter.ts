/** @file The formatter that a setup asks for. */
import { assert } from "../../util/errors.ts";
import type { Tokenizer } from "../tokenizer.ts";
import type { Formatter } from "./formatter.ts";
import type { TokenizeSetup } from "./setup.ts";
import { TextFormatter } from "./text_formatter.ts";

export function makeFormatter(setup: TokenizeSetup, tokenizer: Tokenizer): Formatter {
  assert(setup.kind === "stream", "rows and pairs have their own formatter");
  return new TextFormatter(tokenizer, setup.text);
}
