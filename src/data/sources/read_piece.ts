/** @file The records of a piece of a file, whatever its format; and the line that a position stands for. */
import type { ErrorPlace } from "../../util/errors.ts";
import { arrayBatches, recordAt } from "./json_array.ts";
import { LineBlocks, linesAt } from "./line_blocks.ts";
import { lineBatches } from "./read_lines.ts";
import { paragraphs, wholeText } from "./read_text.ts";
import type { Batch, Piece, ReadOptions, SourceFile } from "./source_file.ts";

/** Whether a file can be read from any byte on that begins a line. */
export const hasLines = (file: SourceFile, options: Pick<ReadOptions, "txtDocuments">): boolean =>
  file.content === "jsonl" || (file.content === "txt" && options.txtDocuments === "line");

/**
 * Reads pieces of one job, one after another. A compressed file cannot be entered in the middle: the reader stays open, so that a later
 * range of the same file goes on where the last one ended.
 */
export class PieceReader {
  private readonly files: readonly SourceFile[];
  private readonly options: ReadOptions;
  /** `end`: of the last range that was read from it. */
  private open: { readonly file: number; readonly lines: LineBlocks; end: number } | undefined;

  constructor(files: readonly SourceFile[], options: ReadOptions) {
    this.files = files;
    this.options = options;
  }

  /** From `from` on, which a batch of the same piece gave as `next`; null: from its start. */
  async *batches(piece: Piece, from: number | null): AsyncGenerator<Batch> {
    const file = this.file(piece);
    const { options } = this;
    if (file.content === "parquet") {
      const [first, last] = piece.kind === "groups" ? [piece.first, piece.last] : [0, Infinity];
      // Loaded for those who need it: every worker of a job begins here.
      const { parquetBatches } = await import("./read_parquet.ts");
      yield* parquetBatches(file, options, first, last, from ?? 0);
    } else if (file.content === "json_array") {
      yield* arrayBatches(file, options, from ?? 0);
    } else if (hasLines(file, options)) {
      const [start, end] = piece.kind === "range" ? [piece.start, piece.end] : [0, Infinity];
      const lines = await this.linesFrom(piece.file, start, end, from);
      yield* lineBatches(lines, file, options, end);
    } else {
      const read = options.txtDocuments === "file" ? wholeText : paragraphs;
      yield* read(file, options, from ?? 0);
    }
  }

  /** Whether the file has come to its end: known of a compressed file only when it was read to there. */
  async endOf(piece: Piece): Promise<boolean> {
    const lines = this.open?.file === piece.file ? this.open.lines : undefined;
    return lines === undefined || (await lines.atEnd());
  }

  async placeOf(piece: Piece, position: number): Promise<ErrorPlace> {
    const file = this.file(piece);
    if (file.content === "parquet") return { path: file.path, line: position + 1 };
    if (file.content === "json_array")
      return { path: file.path, line: await recordAt(file, this.options, position) };
    const [line = 1] = await linesAt(file, [position]);
    return { path: file.path, line };
  }

  async close(): Promise<void> {
    await this.open?.lines.close();
    this.open = undefined;
  }

  private file(piece: Piece): SourceFile {
    const file = this.files[piece.file];
    if (file === undefined) throw new Error(`internal: there is no file ${piece.file}`);
    return file;
  }

  private async linesFrom(
    index: number,
    start: number,
    end: number,
    from: number | null,
  ): Promise<LineBlocks> {
    const file = this.file({ file: index, kind: "whole" });
    const { open } = this;
    if (open?.file === index && from === null && open.end <= start) {
      await open.lines.seek(start);
      open.end = end;
      return open.lines;
    }
    await this.close();
    // A compressed file is read from its beginning, and what is not wanted dropped.
    const plain = file.compression === "none";
    const offset = from ?? (plain ? start : 0);
    const lines = new LineBlocks(file, offset, this.options.maxRecordBytes);
    this.open = { file: index, lines, end };
    if (from === null) await lines.seek(start);
    return lines;
  }
}
