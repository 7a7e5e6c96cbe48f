/** @file Folders of tokens as one data set: a single one, or a mixture whose weights may change during the run. */
import { parseInterval } from "../config/interval.ts";
import { assert, ConfigError, DataError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import type { DataOptions, Dataset, OrderOptions } from "./dataset.ts";
import { type FolderPlan, type FolderSampler, folderSampler } from "./folder_plan.ts";
import { PrefetchLoader } from "./prefetch.ts";
import { rowsTemplate } from "./rows_template.ts";
import { JoinedHeldOut, type Stage } from "./samples/mixture.ts";
import { RowHeldOut } from "./samples/packed_rows.ts";
import type { HeldOut } from "./samples/sampler.ts";
import { StreamHeldOut } from "./samples/windows.ts";
import type { TokensKind } from "./shards/format.ts";
import { readIndex, TokenFolder } from "./shards/token_folder.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { openTokenizer } from "./tokenizers/open_tokenizer.ts";

interface Weighted {
  readonly path: string;
  readonly weight: number;
}

export const kindsOf = (folders: readonly Weighted[]): TokensKind[] =>
  folders.map(({ path }) => readIndex(path).kind);

const sum = (numbers: readonly number[]): number => numbers.reduce((all, each) => all + each, 0);

function samplesAt(at: number | string, { samplesPerStep, length }: OrderOptions): number {
  const parsed = parseInterval(at);
  assert(parsed !== undefined, `a checked configuration holds the moment ${at}`);
  return parsed.unit === "steps" ? parsed.every * samplesPerStep : Math.ceil(parsed.every / length);
}

function stagesOf(
  options: DataOptions,
  folders: readonly Weighted[],
  order: OrderOptions,
): Stage[] {
  const stages = [{ from: 0, weights: folders.map(({ weight }) => weight) }];
  options.stages.forEach(({ at, weights }) => {
    const from = samplesAt(at, order);
    const before = stages.at(-1)?.from ?? 0;
    if (from <= before)
      throw new ConfigError(
        `data.stages: "${at}" is sample ${from}, expected later than sample ${before} of the stage before`,
        { place: { key: "data.stages" } },
      );
    stages.push({ from, weights: [...weights] });
  });
  return stages;
}

/** What can be said without the model and the batch. */
function checkWeights({ stages }: DataOptions, folders: readonly Weighted[]): void {
  const fail = (key: string, why: string): never => {
    throw new ConfigError(`${key}: ${why}`, { place: { key } });
  };
  if (sum(folders.map(({ weight }) => weight)) === 0)
    fail("data.mixture", "expected at least one weight above 0");
  stages.forEach(({ at, weights }) => {
    if (weights.length !== folders.length)
      fail("data.stages", `"${at}" has ${weights.length} weights for ${folders.length} folders`);
    if (sum(weights) === 0) fail("data.stages", `"${at}" gives every folder the weight 0`);
  });
}

/** Every id means the same in all folders, and no shard is trained on in one and held out in another. */
function checkTogether(folders: readonly TokenFolder[]): void {
  const [first] = folders;
  assert(first !== undefined, "a data set of folders has one");
  const held = new Map<string, string>();
  for (const { path, index } of folders) {
    const { kind, tokenizer, splits } = index;
    if (kind === "pairs")
      throw new DataError(`${path} holds pairs of answers, expected a stream or rows`);
    const { name, fingerprint } = first.index.tokenizer;
    if (tokenizer.fingerprint !== fingerprint)
      throw new DataError(
        `${path} was made with the tokenizer ${tokenizer.name}, ${first.path} with ${name}: ` +
          "their ids do not mean the same",
        {
          hint: "all folders of data.mixture need one tokenizer",
        },
      );
    for (const { tokens } of splits.validation) held.set(tokens.hash, `${path}/${tokens.file}`);
  }
  for (const { path, index } of folders)
    for (const { tokens } of index.splits.train) {
      const same = held.get(tokens.hash);
      if (same !== undefined && tokens.bytes > 0)
        throw new DataError(`${path}/${tokens.file} is trained on, but ${same} holds out the same`);
    }
}

async function openTokenizerOf(
  { index, path }: TokenFolder,
  options: DataOptions,
): Promise<Tokenizer> {
  const { name, fingerprint } = index.tokenizer;
  // What stands in the configuration may say where the tokenizer lies on this machine.
  const asked = options.tokenizer === "bytes" ? name : options.tokenizer;
  const tokenizer = await openTokenizer(asked);
  if (tokenizer.fingerprint !== fingerprint)
    throw new DataError(
      `${path} was made with the tokenizer ${name} (${fingerprint.slice(0, 12)}), ` +
        `but ${asked} is another one (${tokenizer.fingerprint.slice(0, 12)})`,
      {
        hint: "data.tokenizer names it, or tokenize again",
      },
    );
  return tokenizer;
}

export async function openFolders(
  options: DataOptions,
  named: readonly Weighted[],
): Promise<Dataset> {
  checkWeights(options, named);
  const folders = named.map(({ path }) => TokenFolder.open(path));
  checkTogether(folders);
  const [first] = folders;
  assert(first !== undefined, "a data set of folders has one");
  const tokenizer = await openTokenizerOf(first, options);
  if (options.verify) for (const folder of folders) await folder.verify();
  const kinds = folders.map(({ index }) => index.kind);
  const separate = options.documentMask ?? kinds.includes("rows");
  const count = (folder: TokenFolder, split: "train" | "validation"): number =>
    sum(folder.index.splits[split].map(({ token_count: tokens }) => tokens));
  if (sum(folders.map((folder) => count(folder, "validation"))) === 0)
    log.warn("the folders of tokens hold nothing out: there is no validation");
  /** Packing reads all lengths: once for a length is enough. */
  const packed = new Map<number, FolderSampler["packings"]>();
  const order = (stages: readonly Stage[], length: number, seed: number) => {
    const paths = named.map(({ path }) => path);
    const plan: FolderPlan = { folders: paths, stages, length, seed, separate };
    const made = folderSampler(plan, folders, packed.get(length));
    packed.set(length, made.packings);
    return { plan, ...made };
  };
  return {
    name: named.map(({ path }) => path).join(" + "),
    tokenizer,
    chatTemplate: rowsTemplate(
      folders.map(({ index }) => index),
      tokenizer,
    ),
    vocabSize: Math.max(...folders.map(({ index }) => index.tokenizer.vocab_size)),
    documentMask: separate,
    trainTokens: sum(folders.map((folder) => count(folder, "train"))),
    record: {
      tokenizer: first.index.tokenizer.fingerprint,
      content: folders.map(({ fingerprint }) => fingerprint).join(" "),
    },
    check(length) {
      order([{ from: 0, weights: named.map(() => 1) }], length, 0);
      heldOutOf(folders, length, separate);
    },
    train({ length, seed, ...rest }) {
      const stages = stagesOf(options, named, { length, seed, ...rest });
      const { plan, sampler, packings } = order(stages, length, seed);
      return {
        perEpoch: sampler.perEpoch,
        place: (sample) => sampler.place(sample),
        loader: (rows, from) => new PrefetchLoader({ plan, packings, rows, first: from }),
      };
    },
    heldOut: (length) => heldOutOf(folders, length, separate),
    close() {
      for (const folder of folders) folder.close();
    },
  };
}

function heldOutOf(folders: readonly TokenFolder[], length: number, separate: boolean): HeldOut {
  const parts = folders
    .map((folder) => ({ kind: folder.index.kind, store: folder.store("validation") }))
    .filter(({ store }) => store.length > 0)
    .map(({ kind, store }) =>
      kind === "rows"
        ? new RowHeldOut(store, length, separate)
        : new StreamHeldOut(store, length, separate),
    );
  return new JoinedHeldOut(parts);
}
