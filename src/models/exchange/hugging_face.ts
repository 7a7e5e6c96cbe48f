/** @file A model whose checkpoints are Hugging Face folders: what its config.json says, and what its tensors are called there. */

import { Linear } from "../../nn/linear.ts";
import type { LowRankOptions } from "../../nn/low_rank.ts";
import type { BlockParts } from "../decoder/block.ts";
import { Decoder, type DecoderOptions } from "../decoder/decoder.ts";
import { targetedLayers } from "./adapter_targets.ts";
import type { ConfigJson, JsonObject } from "./config_json.ts";
import type { TensorNames } from "./tensor_names.ts";

/** How one family is written. */
export interface FamilyForm {
  readonly names: TensorNames;
  /** Tensors that older files hold though they are no parameters. */
  readonly ignored: RegExp;
  /** Common prefix that some files leave out. */
  readonly prefix: string;
}

/** Before all names of an adapter's file. */
export const ADAPTER_PREFIX = "base_model.model.";

export interface AdapterOptions extends LowRankOptions {
  /** Names of layers, or ends of names; null: all linear layers. */
  readonly targets: readonly string[] | null;
  /** The model that the adapters belong to, as the user named it. */
  readonly base: string;
}

export abstract class HuggingFaceModel extends Decoder {
  /** As jobs are named: llama of llama/finetune. */
  abstract readonly family: string;
  /** The whole config.json, without the dtype of the tensors. */
  readonly configJson: JsonObject;
  readonly form: FamilyForm;

  constructor(json: ConfigJson, shape: DecoderOptions, form: FamilyForm, parts: BlockParts = {}) {
    super(shape, parts);
    const { dtype: _, torch_dtype: __, ...configJson } = json.values;
    this.configJson = configJson;
    this.form = form;
  }

  private adapters: AdapterOptions | undefined;

  tensorName(path: string): string {
    const [, layer, part] = /^(.*)\.lora\.([ab])$/.exec(path) ?? [];
    const { names } = this.form;
    if (layer === undefined || part === undefined) return names.nameOf(path);
    return `${ADAPTER_PREFIX}${names.nameOf(layer)}.lora_${part.toUpperCase()}.weight`;
  }

  get adapter(): AdapterOptions | undefined {
    return this.adapters;
  }

  /** Its linear layers, by what they are called in Hugging Face's files. */
  linears(): ReadonlyMap<string, Linear> {
    const linear = this.modules().filter((module) => module instanceof Linear);
    return new Map(linear.map((module) => [this.form.names.nameOf(module.path), module]));
  }

  /** Adapters on the layers that the targets name; all else keeps its values. */
  adapt(options: AdapterOptions): void {
    const linears = this.linears();
    for (const param of this.parameters()) param.trainable = false;
    for (const name of targetedLayers([...linears.keys()], options.targets))
      linears.get(name)?.adapt(options);
    this.adapters = options;
  }

  /** Tensors that files may hold beside the parameters: old buffers, and the head where the embedding is the head. */
  ignores(name: string): boolean {
    return this.form.ignored.test(name) || (this.head === this.wte.weight && this.isHead(name));
  }

  private isHead(name: string): boolean {
    return name === this.form.names.nameOf("head");
  }
}

/** Settings of whoever builds the model, beside what config.json says. */
export interface BuildOptions {
  /** Longest row; absent: as long as config.json allows. */
  readonly blockSize?: number;
  readonly dropout?: number;
}
