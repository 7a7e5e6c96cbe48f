/**
 * @file How the input is cut into parts, each of which becomes one shard a split: by the sizes of the files alone, so that neither the
 * number of workers nor an interruption changes a byte. Of a compressed file nobody knows how many parts it has until it is read.
 */
import { ParquetFile } from "../sources/parquet_file.ts";
import { checkColumns } from "../sources/read_parquet.ts";
import { hasLines } from "../sources/read_piece.ts";
import type { Piece, SourceFile } from "../sources/source_file.ts";
import type { TokenizeSetup } from "./setup.ts";

export type PlanItem =
  | { readonly kind: "part"; readonly pieces: readonly Piece[]; readonly bytes: number }
  /** Parts of `rangeBytes` of a compressed file, as many as it turns out to have. */
  | {
      readonly kind: "stream";
      readonly file: number;
      readonly rangeBytes: number;
      readonly bytes: number;
    };

/** Compressed text is about a quarter of its size. */
const USUAL_RATIO = 4;
/** A last part smaller than this share of a shard is no part of its own. */
const SMALLEST_SHARE = 0.25;

export const rangeOf = (item: PlanItem & { kind: "stream" }, index: number): Piece => ({
  kind: "range",
  file: item.file,
  start: index * item.rangeBytes,
  end: (index + 1) * item.rangeBytes,
});

function ranges(file: number, bytes: number, shardBytes: number): PlanItem[] {
  const count = Math.max(1, Math.ceil(bytes / shardBytes - SMALLEST_SHARE));
  const size = Math.ceil(bytes / count);
  return Array.from({ length: count }, (_, i) => ({
    kind: "part",
    pieces: [{ kind: "range", file, start: i * size, end: (i + 1) * size }],
    bytes: size,
  }));
}

/** Row groups together until they make a shard. */
function groups(
  index: number,
  source: SourceFile,
  columns: readonly string[] | null,
  shardBytes: number,
) {
  const file = new ParquetFile(source.path, source.bytes);
  try {
    const wanted = checkColumns(file, columns);
    const items: PlanItem[] = [];
    let [first, bytes] = [0, 0];
    const cut = (last: number): void => {
      if (last > first)
        items.push({ kind: "part", pieces: [{ kind: "groups", file: index, first, last }], bytes });
      [first, bytes] = [last, 0];
    };
    for (let group = 0; group < file.groups.length; group++) {
      const size = file.groupBytes(group, wanted);
      if (bytes > 0 && bytes + size > shardBytes) cut(group);
      bytes += size;
    }
    cut(file.groups.length);
    return items;
  } finally {
    file.close();
  }
}

export function planParts(
  setup: Pick<TokenizeSetup, "files" | "read">,
  columns: readonly string[] | null,
  shardBytes: number,
): PlanItem[] {
  const items: PlanItem[] = [];
  let small: { pieces: Piece[]; bytes: number } = { pieces: [], bytes: 0 };
  const cut = (): void => {
    if (small.pieces.length > 0) items.push({ kind: "part", ...small });
    small = { pieces: [], bytes: 0 };
  };
  const add = (piece: Piece, bytes: number): void => {
    if (small.bytes > 0 && small.bytes + bytes > shardBytes) cut();
    small.pieces.push(piece);
    small.bytes += bytes;
  };
  for (const [index, file] of setup.files.entries()) {
    const plain = file.compression === "none";
    const bytes = plain ? file.bytes : file.bytes * USUAL_RATIO;
    if (file.content === "parquet") {
      for (const item of groups(index, file, columns, shardBytes)) {
        const large = item.bytes > shardBytes * SMALLEST_SHARE;
        if (large) cut();
        if (large || item.kind === "stream") items.push(item);
        else for (const piece of item.pieces) add(piece, item.bytes);
      }
    } else if (bytes <= shardBytes || !hasLines(file, setup.read)) {
      add({ kind: "whole", file: index }, bytes);
    } else {
      cut();
      if (plain) items.push(...ranges(index, bytes, shardBytes));
      else items.push({ kind: "stream", file: index, rangeBytes: shardBytes, bytes });
    }
  }
  cut();
  return items;
}
