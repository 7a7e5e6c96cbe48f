/** @file Configurations that the program carries: `gpt/tiny-sotu` is configs/gpt/tiny-sotu.yaml. */
import type { Source } from "../config/yaml.ts";
import { PRESET_TEXTS } from "./presets.gen.ts";

export const PRESETS: readonly string[] = Object.keys(PRESET_TEXTS);

export function presetNamed(name: string): Source | undefined {
  const text = Object.hasOwn(PRESET_TEXTS, name) ? PRESET_TEXTS[name] : undefined;
  return text === undefined ? undefined : { name: `configs/${name}.yaml`, text };
}

/** The first sentence of the comment at its top. */
export function presetSummary(name: string): string {
  const comment = /^(?:#.*\n)+/.exec(presetNamed(name)?.text ?? "")?.[0] ?? "";
  const text = comment.replaceAll(/^# ?/gm, "").replaceAll("\n", " ");
  return text.split(". ")[0]?.trim().replace(/\.$/, "") ?? "";
}
