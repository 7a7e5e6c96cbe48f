/** @file The text inside the program: State of the Union speeches, so that a first run needs no files and no network. */
import { readFileSync } from "node:fs";
import { assert } from "../util/errors.ts";
import sotu from "./builtin/sotu.txt.zst" with { type: "file" };

export const BUILTIN_TEXTS = ["sotu"];

export interface SplitText {
  readonly train: string;
  readonly validation: string;
}

export function builtinText(name: string): SplitText | undefined {
  if (name !== "sotu") return undefined;
  const text = new TextDecoder().decode(Bun.zstdDecompressSync(readFileSync(sotu)));
  const [train, validation] = text.split("\f");
  assert(train !== undefined && validation !== undefined, "the built-in text has no two parts");
  return { train, validation };
}
