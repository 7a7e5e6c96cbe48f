/** @file A model whose checkpoints are Hugging Face folders: what its config.json says, and what its tensors are called there. */
import type { BlockParts } from "../decoder/block.ts";
import { Decoder, type DecoderOptions } from "../decoder/decoder.ts";
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

  tensorName(path: string): string {
    return this.form.names.nameOf(path);
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
