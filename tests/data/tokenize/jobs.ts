/** @file Tokenization jobs for tests, in this process or through the command line. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Name and content hash of every file below a folder. */
export function contents(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const hash = (path: string) => Bun.hash.xxHash3(readFileSync(path)).toString(16);
  return Object.fromEntries(files.map((path) => [path.slice(folder.length + 1), hash(path)]));
}

export const WORDS = [
  ...["the", "people", "of", "our", "union", "été", "naïve", "world", "123", "Congress,"],
] as const;

/** Pseudo-random English-like records, always the same. */
export function* records(count: number, seed = 1): Generator<string> {
  let state = seed >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  for (let i = 0; i < count; i++) {
    const length = 5 + Math.floor(next() * 120);
    const text = Array.from({ length }, () => WORDS[Math.floor(next() * WORDS.length)]).join(" ");
    yield JSON.stringify({ id: i, text: `${i} ${text}.` });
  }
}
