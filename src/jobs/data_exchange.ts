/** @file The jobs data/import and data/export: token files of llm.c and nanoGPT, into a folder of tokens and out of one. */
import { basename, join } from "node:path";
import { field } from "../config/field.ts";
import { enumOf, list, nullable, string } from "../config/schema.ts";
import { FOREIGN_FORMATS, foreignFile } from "../data/shards/foreign.ts";
import type { SplitName } from "../data/shards/format.ts";
import type { TaskContext, TaskResult } from "../train/task.ts";
import { ConfigError, UserError } from "../util/errors.ts";
import { defineTask } from "./define_task.ts";

const importFields = {
  files: field("import/files", list(string()), undefined, ".bin files and globs of them"),
  tokenizer: field(
    "import/tokenizer",
    string(),
    "gpt2",
    "the tokenizer that made them; they do not say",
  ),
  endToken: field(
    "import/end_token",
    string(),
    "auto",
    "token between documents: auto (the tokenizer's end of text), none (a file is one document), or its text",
  ),
  output: field(
    "import/output",
    nullable(string()),
    null,
    "folder that is written: a name below ROOT/data, or a path with a slash; null: the run's name",
  ),
};

const exportFields = {
  from: field(
    "export/from",
    string(),
    undefined,
    "folder of tokens: a name below ROOT/data, or a path with a slash",
  ),
  format: field("export/format", enumOf(FOREIGN_FORMATS), "llmc", "whose files are written"),
  output: field("export/output", string(), undefined, "folder for them"),
};

const below = (root: string, name: string): string =>
  name.includes("/") ? name : join(root, "data", name);

/** By the usual names: fineweb_val_000000.bin, val.bin, train.bin. */
const splitOf = (path: string): SplitName =>
  /(^|[_.-])(val|valid|validation)[_.-]/.test(basename(path)) ? "validation" : "train";

function named(entries: readonly string[]): string[] {
  return entries.flatMap((entry) => {
    if (!/[*?[{]/.test(entry)) return [entry];
    const found = [...new Bun.Glob(entry).scanSync({ cwd: ".", absolute: false })].sort();
    if (found.length > 0) return found;
    throw new UserError(`no file matches ${entry}`, { code: "not_found" });
  });
}

function opened(path: string) {
  try {
    return foreignFile(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT")
      throw new UserError(`there is no file ${path}`, { code: "not_found" });
    throw error;
  }
}

async function runImport({ config, place, progress }: TaskContext): Promise<TaskResult> {
  const { files: entries, tokenizer: name, endToken, output } = config.values(importFields);
  const files = named(entries).map((path) => ({ file: opened(path), split: splitOf(path) }));
  const formats = new Set(files.map(({ file }) => file.format));
  if (formats.size > 1)
    throw new ConfigError("expected files of one kind, got some of llm.c and some of nanoGPT");
  const { openTokenizer } = await import("../data/tokenizers/open_tokenizer.ts");
  const { importTokens } = await import("../data/tokenize/import_tokens.ts");
  const { namedToken } = await import("../data/tokenize/text_formatter.ts");
  const tokenizer = await openTokenizer(name);
  const out = below(place.root, output ?? place.name);
  const index = importTokens({
    ...{ out, files, tokenizer },
    boundary: namedToken(tokenizer, endToken, tokenizer.special.eos, "import.end_token"),
    side: formats.has("llmc") ? "before" : "after",
    onFile: (done) =>
      progress({
        fraction: done / files.length,
        text: `${done} of ${files.length} files`,
        values: { files: done },
      }),
  });
  const { train, validation } = index.splits;
  const sum = (shards: typeof train) => shards.reduce((n, { token_count }) => n + token_count, 0);
  const values = { output: out, train_tokens: sum(train), validation_tokens: sum(validation) };
  const text = `${out}: ${values.train_tokens} tokens to train on, ${values.validation_tokens} held out`;
  return { state: "finished", text, values };
}

export const dataImport = defineTask({
  name: "data/import",
  doc: "take over token files of llm.c or nanoGPT",
  uses: [{ config: importFields }],
  run: runImport,
});

export const dataExport = defineTask({
  name: "data/export",
  doc: "write tokens as files of llm.c or nanoGPT",
  uses: [{ config: exportFields }],
  async run({ config, place }) {
    const { from, format, output: out } = config.values(exportFields);
    const { exportTokens } = await import("../data/shards/export_tokens.ts");
    const folder = below(place.root, from);
    const files = exportTokens({ from: folder, out, format, name: basename(folder) });
    return {
      state: "finished",
      text: `${out}: ${files.join(", ")}`,
      values: { output: out, files },
    };
  },
});
