/** @file Configurations that the program carries: `gpt/tiny-sotu` is configs/gpt/tiny-sotu.yaml. */
import tinySotu from "../../configs/gpt/tiny-sotu.yaml" with { type: "text" };
import type { Source } from "../config/yaml.ts";

const TEXTS: Readonly<Record<string, string>> = { "gpt/tiny-sotu": tinySotu };

export const PRESETS: readonly string[] = Object.keys(TEXTS);

export function presetNamed(name: string): Source | undefined {
  const text = Object.hasOwn(TEXTS, name) ? TEXTS[name] : undefined;
  return text === undefined ? undefined : { name: `configs/${name}.yaml`, text };
}
