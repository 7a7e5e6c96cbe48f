/**
 * @file One part of the input becomes one shard a split, in a folder of its own. Now and then what is written is noted, less often
 * made durable first (part_progress.ts); after a kill it goes on from there, and the bytes are those of a job that nobody killed.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { NativeRecords } from "../../runtime/index.ts";
import { writeAtomically } from "../../util/atomic_file.ts";
import { DataError, type ErrorPlace, UserError } from "../../util/errors.ts";
import type { SplitName } from "../shards/format.ts";
import { PieceReader } from "../sources/read_piece.ts";
import type { Batch, Item, Piece, RawRecords } from "../sources/source_file.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { BadRecord, type Formatter } from "./formatter.ts";
import { makeFormatter } from "./make_formatter.ts";
import { nativeRecordsOf } from "./native_records_of.ts";
import {
  type BadNote,
  type PartProgress,
  PROGRESS,
  RECENT,
  RecentNotes,
  readProgress,
  writeProgress,
} from "./part_progress.ts";
import type { TokenizeSetup } from "./setup.ts";
import { Splitter } from "./split.ts";
import { dtypeFor, EMPTY, type SplitState, SplitWriter } from "./split_writer.ts";

/** Work is made durable this often, unless that itself is slow: it may take a twentieth of the time. */
const CHECKPOINT_MS = 500;
const CHECKPOINT_SHARE = 0.05;
/** What a kill of the process alone may cost. */
const NOTE_MS = 50;
/** Of so many bad lines a part notes where they are. */
const NOTED_BAD = 10;

export interface BadLine {
  readonly file: string;
  readonly line: number;
  readonly why: string;
}

export interface PartResult {
  readonly splits: Readonly<Record<SplitName, SplitState>>;
  readonly counts: Readonly<Record<string, number>>;
  readonly bad: readonly BadLine[];
  /** The file of the last piece has nothing beyond it. */
  readonly ended: boolean;
}

type PlaceOf = (position: number) => Promise<ErrorPlace>;

const DONE = "done.json";

export function finishedPart(folder: string): PartResult | null {
  const path = join(folder, DONE);
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as PartResult) : null;
}

export interface PartHooks {
  /** Called after every batch: what it took and made. */
  progress(bytes: number, tokens: number, documents: number): void;
  stopped(): boolean;
}

export class PartRunner {
  readonly formatter: Formatter;
  private readonly setup: TokenizeSetup;
  private readonly tokenizer: Tokenizer;
  private readonly reader: PieceReader;
  private readonly splitter: Splitter;
  private readonly nativeRecords: NativeRecords | null;

  private constructor(
    setup: TokenizeSetup,
    tokenizer: Tokenizer,
    formatter: Formatter,
    natively: boolean,
  ) {
    this.setup = setup;
    this.tokenizer = tokenizer;
    this.formatter = formatter;
    const { columns, masked: exact } = this.formatter;
    this.reader = new PieceReader(setup.files, { ...setup.read, columns, exact });
    this.splitter = new Splitter(setup.seed, setup.validationFraction);
    this.nativeRecords = natively
      ? nativeRecordsOf(tokenizer, this.formatter, this.splitter)
      : null;
  }

  /** `natively`: text is read natively where that gives the same bytes. */
  static async open(
    setup: TokenizeSetup,
    tokenizer: Tokenizer,
    natively = true,
  ): Promise<PartRunner> {
    return new PartRunner(setup, tokenizer, await makeFormatter(setup, tokenizer), natively);
  }

  close(): Promise<void> {
    return this.reader.close();
  }

  /** Null when it was stopped; then what is done is kept. */
  async run(
    folder: string,
    pieces: readonly Piece[],
    hooks: PartHooks,
  ): Promise<PartResult | null> {
    const finished = finishedPart(folder);
    if (finished !== null) return finished;
    mkdirSync(folder, { recursive: true });
    const { setup, formatter, splitter, tokenizer, nativeRecords } = this;
    const part = new Part({ setup, formatter, splitter, tokenizer, nativeRecords, folder });
    try {
      while (part.piece < pieces.length) {
        const piece = pieces[part.piece];
        if (piece === undefined) break;
        part.file = piece.file;
        for await (const batch of this.reader.batches(piece, part.at)) {
          await part.take(batch, (position) => this.reader.placeOf(piece, position));
          hooks.progress(batch.bytes, part.takenTokens(), part.takenDocuments());
          if (hooks.stopped()) {
            part.checkpoint();
            return null;
          }
        }
        part.nextPiece();
      }
      return await this.finish(part, folder, pieces);
    } finally {
      part.close();
    }
  }

  private async finish(part: Part, folder: string, pieces: readonly Piece[]): Promise<PartResult> {
    part.finish();
    const bad: BadLine[] = [];
    for (const { piece, position, why } of part.bad) {
      const of = pieces[piece];
      if (of === undefined) continue;
      const { path = "", line = 0 } = await this.reader.placeOf(of, position);
      bad.push({ file: path, line, why });
    }
    const last = pieces.at(-1);
    const ended = last === undefined || (await this.reader.endOf(last));
    const result = { splits: part.splits, counts: part.counts, bad, ended };
    writeAtomically(join(folder, DONE), `${JSON.stringify(result)}\n`);
    for (const file of [PROGRESS, RECENT]) rmSync(join(folder, file), { force: true });
    return result;
  }
}

interface PartWork {
  readonly setup: TokenizeSetup;
  readonly formatter: Formatter;
  readonly splitter: Splitter;
  readonly tokenizer: Tokenizer;
  /** Null: every record is made here. */
  readonly nativeRecords: NativeRecords | null;
  readonly folder: string;
}

class Part {
  piece: number;
  at: number | null;
  /** Index of the file that is being read. */
  file = 0;
  readonly counts: Record<string, number>;
  readonly bad: BadNote[];
  private readonly setup: TokenizeSetup;
  private readonly formatter: Formatter;
  private readonly splitter: Splitter;
  private readonly nativeRecords: NativeRecords | null;
  private readonly folder: string;
  private readonly writers: Readonly<Record<SplitName, SplitWriter>>;
  private open: SplitName | null;
  /** Since the last checkpoint. */
  private hadRecords = false;
  private readonly recent: RecentNotes;
  private due = performance.now() + CHECKPOINT_MS;
  private noteDue = performance.now() + NOTE_MS;
  private seen: { tokens: number; documents: number };

  constructor(work: PartWork) {
    const { setup, formatter, splitter, tokenizer, folder } = work;
    this.nativeRecords = work.nativeRecords;
    this.setup = setup;
    this.formatter = formatter;
    this.splitter = splitter;
    this.folder = folder;
    const dtype = dtypeFor(tokenizer.vocabSize);
    const from = readProgress(folder, dtype, formatter.masked);
    this.piece = from?.piece ?? 0;
    this.at = from?.at ?? null;
    this.open = from?.open ?? null;
    this.counts = { ...from?.counts };
    this.bad = [...(from?.bad ?? [])];
    const writer = (split: SplitName): SplitWriter =>
      new SplitWriter(folder, split, dtype, formatter.masked, from?.splits[split] ?? EMPTY);
    this.writers = { train: writer("train"), validation: writer("validation") };
    this.recent = new RecentNotes(folder);
    this.seen = this.sums();
  }

  get splits(): Record<SplitName, SplitState> {
    return { train: this.writers.train.state, validation: this.writers.validation.state };
  }

  private sums(): { tokens: number; documents: number } {
    const { train, validation } = this.splits;
    return {
      tokens: train.tokens + validation.tokens,
      documents: train.documents + validation.documents,
    };
  }

  takenTokens(): number {
    return this.sums().tokens - this.seen.tokens;
  }

  takenDocuments(): number {
    const before = this.seen;
    this.seen = this.sums();
    return this.seen.documents - before.documents;
  }

  /** Writes what the batch holds, and now and then makes it durable. */
  async take(batch: Batch, placeOf: PlaceOf): Promise<void> {
    const { raw } = batch;
    if (raw !== undefined && this.nativeRecords !== null) await this.takeRaw(raw, placeOf);
    else
      for (const [index, item] of batch.items.entries()) {
        await this.takeOrNote(item, () => batch.position(index), placeOf);
        // A slow tokenizer takes long over a batch.
        if (performance.now() < this.noteDue || index + 1 === batch.items.length) continue;
        this.at = batch.position(index + 1);
        this.note();
      }
    this.at = batch.next;
    const now = performance.now();
    if (now >= this.due) this.checkpoint();
    else if (now >= this.noteDue) this.note();
  }

  /** What the native reader leaves goes the way of all records. */
  private async takeRaw(raw: RawRecords, placeOf: PlaceOf): Promise<void> {
    this.open = null;
    await this.nativeRecords?.encode(raw.bytes, raw.form, {
      documents: (side, ids, lengths, textBytes) => {
        this.writers[side].addMany(ids, lengths, textBytes);
        this.count("records", lengths.length);
      },
      record: (from, to) => {
        const item = raw.item(raw.bytes.subarray(from, to));
        if (item !== null) return this.takeOrNote(item, () => raw.position(from), placeOf);
      },
    });
  }

  private async takeOrNote(item: Item, positionOf: () => number, placeOf: PlaceOf): Promise<void> {
    this.hadRecords = true;
    const why = this.takeItem(item);
    if (why === null) return;
    const position = positionOf();
    if (this.setup.onBadLine === "fail")
      throw new DataError(why, {
        hint: "source.on_bad_line=skip leaves such records out and counts them",
        place: await placeOf(position),
      });
    this.count("skipped");
    if (this.bad.length < NOTED_BAD) this.bad.push({ piece: this.piece, position, why });
  }

  /** Why the item is bad; null: it is written. */
  private takeItem(item: Item): string | null {
    if ("bad" in item) return item.bad;
    const { value, continued = false, unfinished = false } = item;
    try {
      const counted = (what: string, by = 1): void => this.count(what, by);
      const examples = this.formatter.format(value, { continued, unfinished }, counted);
      const long = continued || unfinished;
      // Sections of one document stay together, so the file as a whole decides.
      const identity = (): string | Uint8Array =>
        long ? this.fileName() : this.formatter.identity(value);
      const split = (continued ? this.open : null) ?? this.splitter.of(identity);
      this.open = unfinished ? split : null;
      for (const example of examples) this.writers[split].add(example, continued);
      if (!continued) this.count("records");
      return null;
    } catch (error) {
      if (error instanceof BadRecord) return error.message;
      if (error instanceof UserError && error.code === "data")
        return error.hint === undefined ? error.message : `${error.message} (${error.hint})`;
      throw error;
    }
  }

  private fileName(): string {
    return this.setup.files[this.file]?.name ?? "";
  }

  private count(what: string, by = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + by;
  }

  nextPiece(): void {
    this.piece++;
    this.at = null;
    this.open = null;
  }

  checkpoint(): void {
    const begun = performance.now();
    // Text that has passed lies in memory that the collector does not count, and would wait for it long.
    if (this.hadRecords) Bun.gc(true);
    this.hadRecords = false;
    for (const writer of Object.values(this.writers)) writer.flush();
    writeProgress(this.folder, this.progress);
    this.note();
    const now = performance.now();
    this.due = now + Math.max(CHECKPOINT_MS, (now - begun) / CHECKPOINT_SHARE);
  }

  private get progress(): PartProgress {
    const { piece, at, open, splits, counts, bad } = this;
    return { piece, at, open, splits, counts, bad };
  }

  /** As a checkpoint, but for the end of the system. */
  private note(): void {
    for (const writer of Object.values(this.writers)) writer.write();
    this.recent.write(this.progress);
    this.noteDue = performance.now() + NOTE_MS;
  }

  finish(): void {
    for (const writer of Object.values(this.writers)) writer.finish();
  }

  close(): void {
    for (const writer of Object.values(this.writers)) writer.close();
    this.recent.close();
  }
}
