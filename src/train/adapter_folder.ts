/**
 * @file A folder in PEFT's format: adapter_model.safetensors, and adapter_config.json, which says what the adapters are, on which layers
 * and of which model. What PEFT can do beyond plain LoRA is refused, not ignored.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { cachedCommit, snapshotFolder } from "../data/hub/cache.ts";
import { hubRepo } from "../data/hub/repo.ts";
import { hubSettings } from "../data/hub/settings.ts";
import { targetsText } from "../models/exchange/adapter_targets.ts";
import { ConfigJson } from "../models/exchange/config_json.ts";
import type { AdapterOptions, HuggingFaceModel } from "../models/exchange/hugging_face.ts";
import { UserError } from "../util/errors.ts";

export const ADAPTER_FILE = "adapter_model.safetensors";
export const ADAPTER_JSON = "adapter_config.json";

export const isAdapterFolder = (place: string): boolean =>
  existsSync(join(place, ADAPTER_JSON)) && statSync(place).isDirectory();

/** Settings of PEFT that change what is computed, with the only values that are built here. */
const PLAIN: Readonly<Record<string, unknown>> = {
  peft_type: "LORA",
  bias: "none",
  use_dora: false,
  use_rslora: false,
  lora_bias: false,
  use_qalora: false,
  use_bdlora: false,
};

/** Settings that must be absent or empty. */
const EMPTY = [
  ...["modules_to_save", "layers_to_transform", "rank_pattern", "alpha_pattern"],
  ...[
    "alora_invocation_tokens",
    "trainable_token_indices",
    "target_parameters",
    "layer_replication",
    "exclude_modules",
  ],
];

const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  (typeof value === "object" && Object.keys(value).length === 0);

function targetsOf(json: ConfigJson): readonly string[] | null {
  const { target_modules: targets } = json.values;
  if (targets === "all-linear") return null;
  const list: readonly unknown[] = Array.isArray(targets) ? targets : [targets];
  if (!list.every((each) => typeof each === "string") || !Array.isArray(targets))
    json.fail("target_modules", 'a list of names of layers, or "all-linear"');
  return [...list] as string[];
}

/** What adapter_config.json says. */
export function readAdapterJson(folder: string): AdapterOptions {
  const path = join(folder, ADAPTER_JSON);
  const json = ConfigJson.parse(readFileSync(path, "utf8"), path);
  for (const [key, only] of Object.entries(PLAIN)) json.refuse(key, only);
  for (const key of EMPTY) if (!isEmpty(json.values[key])) json.fail(key, "nothing");
  // These starts take a part out of the model's own weights, which its folder does not show.
  if (/^(pissa|olora|loftq|corda)/.test(String(json.values.init_lora_weights)))
    json.fail("init_lora_weights", "a start that leaves the model's weights as they are");
  const base = json.values.base_model_name_or_path;
  if (typeof base !== "string" || base === "")
    json.fail("base_model_name_or_path", "the model that the adapters belong to");
  return {
    rank: json.size("r"),
    alpha: json.positive("lora_alpha"),
    dropout: 0,
    targets: targetsOf(json),
    base: String(base),
  };
}

/** Where the model of an adapter's folder lies: a folder, or what the cache holds of a model of the hub. */
export function adapterBase(folder: string): string {
  const { base } = readAdapterJson(folder);
  if (existsSync(base)) return base;
  const settings = hubSettings();
  const known = /^[\w.-]+\/[\w.-]+$/.test(base) ? hubRepo(base, "model") : undefined;
  const commit = known === undefined ? undefined : cachedCommit(known, settings);
  if (known !== undefined && commit !== undefined) return snapshotFolder(known, commit, settings);
  throw new UserError(`${folder} holds adapters of ${base}, which is not there`, {
    code: "not_found",
    hint: "base_model_name_or_path of adapter_config.json is a folder or a model of the hub",
    place: { path: join(folder, ADAPTER_JSON) },
  });
}

/** adapter_config.json of a model with adapters whose own weights are at `weights`. */
export function adapterJson(model: HuggingFaceModel, weights: string): Record<string, unknown> {
  const { adapter } = model;
  const linears = model.linears();
  const adapted = [...linears].filter(([, layer]) => layer.adapter !== undefined);
  const [name = "", revision = null] = (adapter?.base ?? "").replace(/^hf:/, "").split("@");
  const onHub = adapter?.base.startsWith("hf:") === true;
  const folder = weights.endsWith(".safetensors") ? dirname(weights) : weights;
  return {
    base_model_name_or_path: onHub ? name : resolve(folder),
    bias: "none",
    fan_in_fan_out: adapted.some(([, layer]) => layer.order === "in_out"),
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: adapter?.alpha,
    lora_dropout: adapter?.dropout,
    modules_to_save: null,
    peft_type: "LORA",
    r: adapter?.rank,
    revision: onHub ? revision : null,
    target_modules: targetsText(
      adapted.map(([layer]) => layer),
      [...linears.keys()],
    ),
    task_type: "CAUSAL_LM",
    use_dora: false,
    use_rslora: false,
  };
}
