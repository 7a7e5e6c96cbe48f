/** @file Prompts from a file: one a line, or JSON lines with a `prompt` each. */
import { readFileSync } from "node:fs";
import { DataError, UserError } from "../util/errors.ts";

export function readPrompts(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UserError(`cannot read the prompts: ${why}`, { code: "not_found" });
  }
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  const prompts = /\.jsonl?$/.test(path)
    ? lines.flatMap((line, i) => (line.trim() === "" ? [] : [promptOf(line, path, i + 1)]))
    : lines;
  if (prompts.length > 0) return prompts;
  throw new DataError(`${path} holds no prompts`, {
    hint: 'one prompt a line, or in a .jsonl file {"prompt": "..."} a line',
  });
}

function promptOf(line: string, path: string, number: number): string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    value = undefined;
  }
  if (typeof value === "string") return value;
  if (typeof value === "object" && value !== null && "prompt" in value) {
    if (typeof value.prompt === "string") return value.prompt;
  }
  throw new DataError(`expected {"prompt": "..."} or a string as JSON`, {
    place: { path, line: number },
  });
}
