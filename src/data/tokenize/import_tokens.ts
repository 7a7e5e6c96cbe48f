/** @file Token files of llm.c and nanoGPT become a folder of tokens: one shard a file, cut into documents at the end token. */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ConfigError, DataError, UserError } from "../../util/errors.ts";
import { type ForeignFile, foreignTokens } from "../shards/foreign.ts";
import { INDEX_FILE, type SplitName, type TokensIndex } from "../shards/format.ts";
import type { Tokenizer, Tokens } from "../tokenizer.ts";
import { type CommittedPart, commitFolder } from "./commit.ts";
import type { PartResult } from "./run_part.ts";
import { dtypeFor, EMPTY, SplitWriter } from "./split_writer.ts";

export interface ImportRequest {
  readonly out: string;
  readonly files: readonly { readonly file: ForeignFile; readonly split: SplitName }[];
  readonly tokenizer: Tokenizer;
  /** The token between documents; undefined: a file is one document. */
  readonly boundary: number | undefined;
  /** Whether it stands before a document (llm.c) or after it (nanoGPT). */
  readonly side: "before" | "after";
  onFile(done: number): void;
}

/** Cuts tokens that come in windows into documents. */
class Documents {
  private readonly writer: SplitWriter;
  private readonly request: ImportRequest;
  private open = false;

  constructor(writer: SplitWriter, request: ImportRequest) {
    this.writer = writer;
    this.request = request;
  }

  take(tokens: Tokens): void {
    const { boundary, side } = this.request;
    for (let from = 0; from < tokens.length; ) {
      const search = side === "before" ? from + 1 : from;
      const at = boundary === undefined ? -1 : tokens.indexOf(boundary, search);
      const to = at === -1 ? tokens.length : side === "before" ? at : at + 1;
      // A window may begin with the token that begins a document.
      const begins = side === "before" && tokens[from] === boundary;
      const ids = tokens.subarray(from, to);
      const textBytes = this.request.tokenizer.byteCount(ids);
      this.writer.add({ ids, mask: null, textBytes }, this.open && !begins);
      this.open = side === "before" ? true : at === -1;
      from = to;
    }
  }
}

function checkIds(file: ForeignFile, tokens: Tokens, tokenizer: Tokenizer): void {
  for (const id of tokens)
    if (id >= tokenizer.vocabSize)
      throw new DataError(
        `${file.path} holds the token ${id}, but ${tokenizer.name} has ${tokenizer.vocabSize} tokens`,
        { hint: "another tokenizer made it", place: { path: file.path, key: "import.tokenizer" } },
      );
}

function importFile(request: ImportRequest, work: string, index: number): CommittedPart {
  const { tokenizer } = request;
  const of = request.files[index];
  if (of === undefined) throw new Error("internal: there is no such file");
  const folder = join(work, String(index));
  mkdirSync(folder, { recursive: true });
  const writer = new SplitWriter(folder, of.split, dtypeFor(tokenizer.vocabSize), false, EMPTY);
  try {
    const documents = new Documents(writer, request);
    for (const tokens of foreignTokens(of.file)) {
      checkIds(of.file, tokens, tokenizer);
      documents.take(tokens);
    }
    writer.finish();
    const splits = { train: EMPTY, validation: EMPTY, [of.split]: writer.state };
    const counts = { records: writer.state.documents };
    const result: PartResult = { splits, counts, bad: [], ended: true };
    return { folder, result };
  } finally {
    writer.close();
  }
}

export function importTokens(request: ImportRequest): TokensIndex {
  const { out, files, tokenizer } = request;
  if (existsSync(join(out, INDEX_FILE)))
    throw new UserError(`${out} holds tokens already`, {
      code: "conflict",
      hint: "choose another import.output, or delete the folder",
    });
  if (files.length === 0) throw new ConfigError("expected import.files, got none");
  const work = join(out, ".work");
  rmSync(work, { recursive: true, force: true });
  const parts = files.map((_, index) => {
    const part = importFile(request, work, index);
    request.onFile(index + 1);
    return part;
  });
  const { name, fingerprint, vocabSize: vocab_size } = tokenizer;
  const source = files.map(({ file, split }) => ({ file: file.path, format: file.format, split }));
  return commitFolder(
    out,
    work,
    parts,
    {
      ...{ kind: "stream", dtype: dtypeFor(vocab_size), template: null },
      tokenizer: { name, fingerprint, vocab_size },
      source: { imported: source },
    },
    false,
  );
}
