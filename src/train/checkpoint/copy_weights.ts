/** @file The weights of a checkpoint as a folder of their own, which appears whole or not at all. */
import { copyFileSync, linkSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { UserError } from "../../util/errors.ts";

/** Whatever goes with the weights: configurations, the tokenizer. Not what only training needs. */
const isExported = (name: string): boolean =>
  !/^(optimizer.*\.safetensors|manifest\.json)$/.test(name);

/** `link`: the files share their space with the checkpoint's where the file system allows it. */
export function copyWeights(source: string, out: string, link = false): void {
  const temporary = `${out}.tmp-${crypto.randomUUID()}`;
  const place = (name: string): void => {
    const [from, to] = [join(source, name), join(temporary, name)];
    try {
      if (link) linkSync(from, to);
      else copyFileSync(from, to);
    } catch (error) {
      if (!link) throw error;
      copyFileSync(from, to);
    }
  };
  try {
    mkdirSync(dirname(out), { recursive: true });
    mkdirSync(temporary);
    for (const name of readdirSync(source).filter(isExported)) place(name);
    renameSync(temporary, out);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw new UserError(error instanceof Error ? error.message : String(error));
  }
}
