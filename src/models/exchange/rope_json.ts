/**
 * @file Rotary positions in `config.json`, in its two forms: `rope_parameters` of transformers 5, and `rope_theta` with `rope_scaling`
 * before it.
 */
import type { RotaryOptions, RotaryScaling } from "../../nn/rotary.ts";
import type { ConfigJson, JsonObject } from "./config_json.ts";

interface Names {
  /** The key of the base at the top level, in the older form. */
  readonly theta: string;
  /** The key of the share of each head that turns. */
  readonly share: string;
  readonly defaultShare: number;
}

const COMMON: Names = { theta: "rope_theta", share: "partial_rotary_factor", defaultShare: 1 };

/** As the paper on YaRN says; `mscale` and `mscale_all_dim` refine it. */
function yarnMagnitude(json: ConfigJson, factor: number): number {
  if (json.has("attention_factor")) return json.positive("attention_factor");
  const grown = (weight: number) => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  if (!json.has("mscale") || !json.has("mscale_all_dim")) return grown(1);
  return grown(json.positive("mscale")) / grown(json.positive("mscale_all_dim"));
}

/** `longest` is the model's max_position_embeddings, `first` the length it learned before, where config.json says so. */
function scalingOf(json: ConfigJson, longest: number, first: number | null): RotaryScaling | null {
  const kinds = ["default", "linear", "dynamic", "llama3", "yarn"] as const;
  const key = json.has("rope_type") ? "rope_type" : "type";
  const table = Object.fromEntries(kinds.map((name) => [name, name]));
  const kind = json.choice(key, "default", table) as (typeof kinds)[number];
  const original = first ?? json.size("original_max_position_embeddings", longest);
  switch (kind) {
    case "default":
      return null;
    case "linear":
      return { kind, factor: json.positive("factor") };
    case "dynamic":
      return { kind, factor: json.positive("factor"), original: longest };
    case "llama3":
      return {
        ...{ kind, original, factor: json.positive("factor") },
        lowFrequencyFactor: json.positive("low_freq_factor"),
        highFrequencyFactor: json.positive("high_freq_factor"),
      };
    case "yarn": {
      const factor = json.positive("factor", longest / original);
      return {
        ...{ kind, original, factor },
        betaFast: json.positive("beta_fast", 32),
        betaSlow: json.positive("beta_slow", 1),
        magnitude: yarnMagnitude(json, factor),
        truncate: json.flag("truncate", true),
      };
    }
    default:
      return kind satisfies never;
  }
}

/** `headDim` is the width of a head, `longest` the model's max_position_embeddings. */
export function rotaryOf(
  json: ConfigJson,
  headDim: number,
  longest: number,
  names: Names = COMMON,
): RotaryOptions {
  const key = json.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  const inner = json.has(key) ? json.object(key) : null;
  const theta = inner?.has("rope_theta")
    ? inner.positive("rope_theta")
    : json.positive(names.theta, 10000);
  const share = inner?.has("partial_rotary_factor")
    ? inner.positive("partial_rotary_factor")
    : json.positive(names.share, names.defaultShare);
  if (inner !== null)
    for (const layers of ["full_attention", "sliding_attention"])
      if (inner.has(layers)) json.fail(key, "the same rotary positions in all layers");
  const first = json.sizeOrNull("original_max_position_embeddings");
  const scaling = inner === null ? null : scalingOf(inner, longest, first);
  return { theta, dims: Math.floor(headDim * share), scaling };
}

/** The older form, which every program reads. */
export const plainRopeJson = (theta: number): JsonObject => ({
  rope_theta: theta,
  rope_scaling: null,
});
