/** @file What the tokenization jobs have in common: from the configuration to the folder, with progress and a result to show. */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Shard, TokensIndex } from "../data/shards/format.ts";
import { sourceFields } from "../data/sources/fields.ts";
import type { SourceValues } from "../data/sources/resolve.ts";
import { tokensFields } from "../data/tokenize/fields.ts";
import { warnOfMarkers } from "../data/tokenize/make_chat_formatter.ts";
import { makeFormatter } from "../data/tokenize/make_formatter.ts";
import type { TokenizeSetup } from "../data/tokenize/setup.ts";
import { type TokenizeProgress, tokenizeFolder } from "../data/tokenize/tokenize_folder.ts";
import { openTokenizer } from "../data/tokenizers/open_tokenizer.ts";
import type { TaskContext, TaskProgress, TaskResult } from "../train/task.ts";
import { log } from "../util/log.ts";

const MIB = 2 ** 20;
const USUAL_WORKERS = 8;

type Particular = Pick<TokenizeSetup, "kind" | "files" | "text" | "chat">;

export function outputFolder({ config, place }: TaskContext): string {
  const name = config.get(tokensFields.output) ?? place.name;
  return name.includes("/") ? name : join(place.root, "data", name);
}

function shownProgress(progress: TokenizeProgress): TaskProgress {
  const { doneBytes, totalBytes, bytes, tokens, documents, seconds } = progress;
  const fraction = totalBytes === 0 ? 1 : Math.min(1, doneBytes / totalBytes);
  const rate = bytes / 1e6 / Math.max(seconds, 1e-3);
  const eta = bytes === 0 ? null : Math.max(0, totalBytes - doneBytes) / (rate * 1e6);
  const values = { bytes, tokens, documents, mb_per_s: rate, eta_s: eta, elapsed_s: seconds };
  const left = eta === null ? "-" : `${Math.ceil(eta)} s`;
  const text =
    `${(fraction * 100).toFixed(1)}%  ${(tokens / 1e6).toFixed(1)}M tokens  ` +
    `${documents} documents  ${rate.toFixed(1)} MB/s  eta ${left}`;
  return { fraction, text, values };
}

/** What was said of the source, without what was not said. */
function originOf({ dataset, files, config, split, revision, maxFiles }: SourceValues) {
  const said = { dataset, config, split, revision, max_files: maxFiles };
  const named = Object.entries(said).filter(([, value]) => value !== null);
  return { ...Object.fromEntries(named), ...(files.length > 0 ? { files } : {}) };
}

const total = (shards: readonly Shard[], key: "token_count" | "document_count"): number =>
  shards.reduce((sum, shard) => sum + shard[key], 0);

function resultOf(out: string, index: TokensIndex, made: boolean): TaskResult {
  const { train, validation } = index.splits;
  const values = {
    output: out,
    made,
    train_tokens: total(train, "token_count"),
    train_documents: total(train, "document_count"),
    validation_tokens: total(validation, "token_count"),
    validation_documents: total(validation, "document_count"),
    shards: train.length + validation.length,
    counts: index.counts,
  };
  const skipped = index.counts.skipped ?? 0;
  const text =
    `${out}${made ? "" : " is there already"}: ${values.train_tokens} tokens to train on, ` +
    `${values.validation_tokens} held out, in ${values.shards} ${values.shards === 1 ? "shard" : "shards"}` +
    (skipped > 0 ? `; ${skipped} bad records left out (index.json says where)` : "");
  return { state: "finished", text, values };
}

export async function runTokenization(
  context: TaskContext,
  particular: Particular,
): Promise<TaskResult> {
  const { config } = context;
  const source = config.values(sourceFields);
  const {
    tokenizer: name,
    validationFraction,
    seed,
    shardMb,
    workers,
  } = config.values(tokensFields);
  const setup: TokenizeSetup = {
    ...particular,
    ...{ tokenizer: name, seed, validationFraction, onBadLine: source.onBadLine },
    read: {
      textField: particular.text.textField,
      txtDocuments: source.txtDocuments,
      maxRecordBytes: source.maxRecordMb * MIB,
    },
  };
  const tokenizer = await openTokenizer(name);
  if (setup.chat !== null) warnOfMarkers(setup.chat, tokenizer);
  const out = outputFolder(context);
  const { state, index } = await tokenizeFolder({
    ...{
      out,
      origin: originOf(source),
      setup,
      tokenizer,
      formatter: await makeFormatter(setup, tokenizer),
    },
    shardBytes: shardMb * MIB,
    workers: workers ?? Math.min(USUAL_WORKERS, availableParallelism()),
    signal: context.signal,
    onProgress: (progress) => context.progress(shownProgress(progress)),
  });
  if (index === null) {
    const text = `interrupted; what is done stays in ${out}, the same command goes on`;
    return { state: "interrupted", text, values: { output: out } };
  }
  if (index.splits.validation.length === 0 && validationFraction > 0)
    log.warn(`${out}: no document was held out: there are too few for tokens.validation_fraction`);
  return resultOf(out, index, state === "made");
}
