/**
 * @file A tokenization from its setup to a folder of tokens. The folder is locked while it is written; what is unfinished lies in
 * `.work` under names that say what it was made from, so that settings or files that changed are simply made anew.
 */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { writeAtomically } from "../../util/atomic_file.ts";
import { ConfigError, UserError } from "../../util/errors.ts";
import { takeLockFile } from "../../util/lock_file.ts";
import { INDEX_FILE, type TokenizerRecord, type TokensIndex } from "../shards/format.ts";
import { readIndex } from "../shards/token_folder.ts";
import type { Piece } from "../sources/source_file.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { type CommittedPart, commitFolder } from "./commit.ts";
import type { Formatter } from "./formatter.ts";
import { planParts } from "./plan.ts";
import { Pool } from "./pool.ts";
import { finishedPart } from "./run_part.ts";
import type { TokenizeSetup } from "./setup.ts";
import { dtypeFor } from "./split_writer.ts";

export interface TokenizeProgress {
  /** Of the input, decompressed; what earlier attempts did counts. */
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Of this attempt. */
  readonly bytes: number;
  readonly tokens: number;
  readonly documents: number;
  readonly seconds: number;
}

type Json = Readonly<Record<string, unknown>>;

export interface TokenizeRequest {
  readonly out: string;
  /** Where the files are from, for people who look into the index. */
  readonly origin: Json;
  readonly setup: TokenizeSetup;
  readonly tokenizer: Tokenizer;
  readonly formatter: Formatter;
  readonly shardBytes: number;
  readonly workers: number;
  readonly signal: AbortSignal;
  onProgress(progress: TokenizeProgress): void;
}

export interface Tokenized {
  readonly state: "made" | "there already" | "interrupted";
  readonly index: TokensIndex | null;
}

const sha = (value: unknown): string =>
  new Bun.CryptoHasher("sha256").update(JSON.stringify(value)).digest("hex");

/** All that decides the bytes, the files aside. */
function settingsOf({ setup, tokenizer, formatter, shardBytes }: TokenizeRequest): Json {
  const { kind, read, text, chat, seed, validationFraction, onBadLine } = setup;
  return {
    ...{ kind, read, text, chat, seed, onBadLine },
    validation_fraction: validationFraction,
    shard_bytes: shardBytes,
    tokenizer: tokenizer.fingerprint,
    template: formatter.template?.fingerprint ?? null,
  };
}

function sourceRecord(request: TokenizeRequest): Json {
  const files = request.setup.files.map(({ name, bytes }) => ({ name, bytes }));
  return { settings: settingsOf(request), files };
}

function conflict(out: string, why: string, hint: string): UserError {
  return new UserError(`${out} ${why}`, {
    code: "conflict",
    hint,
    place: { key: "tokens.output" },
  });
}

const ANOTHER = "choose another tokens.output, or delete the folder";

function checkTokenizer(out: string, has: TokenizerRecord, tokenizer: Tokenizer): void {
  if (has.fingerprint === tokenizer.fingerprint) return;
  const [was, is] = [has.fingerprint, tokenizer.fingerprint].map((text) => text.slice(0, 12));
  throw conflict(
    out,
    `holds tokens of the tokenizer ${has.name} (${was}), expected ${tokenizer.name} (${is})`,
    ANOTHER,
  );
}

/** The index when the folder is what the request would make; null when there is none. Throws when it is something else. */
function existing(request: TokenizeRequest): TokensIndex | null {
  const { out, tokenizer } = request;
  if (!existsSync(join(out, INDEX_FILE))) return null;
  const index = readIndex(out);
  checkTokenizer(out, index.tokenizer, tokenizer);
  const { settings, files } = sourceRecord(request) as { settings: Json; files: unknown };
  const was = index.source as { settings?: Json; files?: unknown };
  const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
  const changed = Object.keys(settings).filter((key) => !same(settings[key], was.settings?.[key]));
  if (!same(files, was.files)) changed.push("files");
  if (changed.length === 0) return index;
  throw conflict(
    out,
    `holds tokens that were made otherwise (${changed.join(", ")} differ)`,
    ANOTHER,
  );
}

function beginWork(request: TokenizeRequest, work: string): void {
  const path = join(work, "job.json");
  const { tokenizer, out } = request;
  const { name, fingerprint, vocabSize: vocab_size } = tokenizer;
  if (existsSync(path)) {
    const before = JSON.parse(readFileSync(path, "utf8")) as TokenizerRecord;
    if (before.fingerprint !== fingerprint)
      checkTokenizer(`the unfinished ${out}`, before, tokenizer);
  }
  mkdirSync(work, { recursive: true });
  writeAtomically(path, `${JSON.stringify({ name, fingerprint, vocab_size })}\n`);
}

function checkSplit({ setup }: TokenizeRequest): void {
  const { files, read, validationFraction } = setup;
  const whole = read.txtDocuments === "file" && files.every(({ content }) => content === "txt");
  if (!whole || validationFraction === 0 || files.length * validationFraction >= 1) return;
  throw new ConfigError(
    `${files.length} documents (one a .txt file) are too few to hold out a share of ${validationFraction}`,
    {
      hint: "source.txt_documents=blank_line or line makes several of a file; tokens.validation_fraction=0 holds nothing out",
      place: { key: "source.txt_documents" },
    },
  );
}

/** Throws `conflict` when the folder holds something else, or somebody is at work in it. */
export async function tokenizeFolder(request: TokenizeRequest): Promise<Tokenized> {
  const { out } = request;
  const there = existing(request);
  if (there !== null) return { state: "there already", index: there };
  checkSplit(request);
  mkdirSync(out, { recursive: true });
  const release = takeLockFile(join(out, "lock"));
  if (release === null)
    throw conflict(
      out,
      "is being written by another job",
      "wait for it, or choose another tokens.output",
    );
  try {
    const work = join(out, ".work");
    beginWork(request, work);
    const parts = await makeParts(request, work);
    if (parts === null) return { state: "interrupted", index: null };
    const { kind } = request.setup;
    const { formatter, tokenizer } = request;
    const { name, fingerprint, vocabSize: vocab_size } = tokenizer;
    const index = commitFolder(
      out,
      work,
      parts,
      {
        ...{ kind, dtype: dtypeFor(vocab_size), template: formatter.template },
        tokenizer: { name, fingerprint, vocab_size },
        source: { ...sourceRecord(request), origin: request.origin },
      },
      formatter.masked,
    );
    return { state: "made", index };
  } finally {
    release();
  }
}

async function makeParts(
  request: TokenizeRequest,
  work: string,
): Promise<readonly CommittedPart[] | null> {
  const { setup, tokenizer, formatter, shardBytes, workers, signal } = request;
  const items = planParts(setup, formatter.columns, shardBytes);
  const settings = settingsOf(request);
  const folderOf = (pieces: readonly Piece[]): string => {
    const made = pieces.map(({ file, ...piece }) => {
      const { path = "", name, bytes, modifiedMs } = setup.files[file] ?? {};
      return { ...piece, path: resolve(path), name, bytes, modifiedMs };
    });
    return join(work, sha([settings, made]).slice(0, 32));
  };
  const totalBytes = items.reduce((sum, { bytes }) => sum + bytes, 0);
  const begun = performance.now();
  let [doneBytes, bytes, tokens, documents] = [0, 0, 0, 0];
  const pool = new Pool({
    ...{ setup, tokenizer, items, workers, signal, folderOf, finished: finishedPart },
    passed(more) {
      doneBytes += more;
    },
    progress(moreBytes, moreTokens, moreDocuments) {
      [bytes, tokens, documents] = [
        bytes + moreBytes,
        tokens + moreTokens,
        documents + moreDocuments,
      ];
      doneBytes += moreBytes;
      const seconds = (performance.now() - begun) / 1e3;
      request.onProgress({ doneBytes, totalBytes, bytes, tokens, documents, seconds });
    },
  });
  return pool.run();
}
