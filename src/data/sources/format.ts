/** @file What a source file is, by its name. */

export interface FileFormat {
  readonly content: "txt" | "jsonl" | "json_array" | "parquet";
  readonly compression: "none" | "gzip" | "zstd";
}

const CONTENTS: Readonly<Record<string, FileFormat["content"]>> = {
  ".txt": "txt",
  ".text": "txt",
  ".jsonl": "jsonl",
  ".ndjson": "jsonl",
  // Datasets of the hub call it so; a file that holds one array is told apart by its beginning (json_array.ts).
  ".json": "jsonl",
  ".parquet": "parquet",
};
const COMPRESSIONS: Readonly<Record<string, FileFormat["compression"]>> = {
  ".gz": "gzip",
  ".zst": "zstd",
  ".zstd": "zstd",
};

export const SUPPORTED = ".txt .jsonl .ndjson .json (each also .gz .zst) .parquet";

export function formatOf(path: string): FileFormat | undefined {
  const [, stem = "", last = ""] = /^(.*?)(\.[^./]+)?$/s.exec(path.toLowerCase()) ?? [];
  const compression = COMPRESSIONS[last];
  if (compression === undefined) {
    const content = CONTENTS[last];
    return content === undefined ? undefined : { content, compression: "none" };
  }
  const inner = /\.[^./]+$/.exec(stem)?.[0] ?? "";
  const content = CONTENTS[inner];
  // Parquet compresses its own pages.
  return content === undefined || content === "parquet" ? undefined : { content, compression };
}
