/** @file What a configuration says to train on, opened: a text, or folders of tokens. */
import type { Values } from "../config/field.ts";
import { ConfigError } from "../util/errors.ts";
import type { dataFields } from "./fields.ts";
import { kindsOf, openFolders } from "./folder_dataset.ts";
import type { TrainLoader } from "./loader.ts";
import type { HeldOut, Place } from "./samples/sampler.ts";
import { openText } from "./text_dataset.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { openTokenizer } from "./tokenizers/open_tokenizer.ts";

export type DataOptions = Values<typeof dataFields>;

/** What the order of samples depends on besides the data. */
export interface OrderOptions {
  readonly length: number;
  readonly seed: number;
  /** Moments that are given in steps are as many samples later. */
  readonly samplesPerStep: number;
}

/** Training samples in the order of a run. */
export interface TrainData {
  /** Samples after which everything was seen once. */
  readonly perEpoch: number;
  place(sample: number): Place;
  /** Batches of `rows` samples, from sample `first` on. */
  loader(rows: number, first: number): TrainLoader;
}

/** What a run was trained on: another tokenizer's ids mean something else, other content is another order. */
export interface DataRecord {
  readonly tokenizer: string;
  readonly content: string;
}

export interface Dataset {
  /** For people. */
  readonly name: string;
  readonly tokenizer: Tokenizer;
  /** Of the conversations in it, where the tokenizer has another or none; null: none. */
  readonly chatTemplate: string | null;
  /** Ids are below. */
  readonly vocabSize: number;
  /** `data.document_mask` with null settled. */
  readonly documentMask: boolean;
  readonly trainTokens: number;
  readonly record: DataRecord;
  /** Throws where the data does not fit a context of this length. */
  check(length: number): void;
  train(options: OrderOptions): TrainData;
  heldOut(length: number): HeldOut;
  /** Gives back the open files. */
  close(): void;
}

/** Folders of tokens that the configuration names, with their weights; none: it names a text. */
export function foldersOf(options: DataOptions): readonly { path: string; weight: number }[] {
  const { tokens, mixture, text } = options;
  const named = [
    ...(tokens === null ? [] : ["data.tokens"]),
    ...(mixture.length === 0 ? [] : ["data.mixture"]),
    ...(text === "sotu" ? [] : ["data.text"]),
  ];
  if (named.length > 1)
    throw new ConfigError(
      `${named.join(" and ")} each say what to train on: expected one of them`,
      {
        place: { key: named[0] ?? "data" },
      },
    );
  return tokens === null ? mixture : [{ path: tokens, weight: 1 }];
}

/** `data.document_mask` with null settled, from the indices of the folders alone. */
export function documentMaskOf(options: DataOptions): boolean {
  if (options.documentMask !== null) return options.documentMask;
  return kindsOf(foldersOf(options)).includes("rows");
}

export async function openDataset(options: DataOptions): Promise<Dataset> {
  const folders = foldersOf(options);
  if (folders.length > 0) return openFolders(options, folders);
  if (options.stages.length > 0)
    throw new ConfigError(
      "data.stages gives weights to the folders of data.mixture, but there are none",
      {
        place: { key: "data.stages" },
      },
    );
  return openText(options, await openTokenizer(options.tokenizer));
}
