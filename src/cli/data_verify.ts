/** @file theseus data verify: every file of a folder of tokens against its index, and whose tokens they are. */
import type { TokensIndex } from "../data/shards/format.ts";
import { TokenFolder } from "../data/shards/token_folder.ts";
import { openTokenizer } from "../data/tokenizers/open_tokenizer.ts";
import { log } from "../util/log.ts";
import { bytesText } from "../util/quantities.ts";
import { command } from "./command.ts";
import { EXIT_CODES } from "./exit_codes.ts";

const short = (fingerprint: string): string => fingerprint.slice(0, 12);

/** What is wrong with the tokenizer; null: it is the one that made the tokens. */
async function tokenizerProblem(index: TokensIndex, name: string): Promise<string | null> {
  const { fingerprint } = await openTokenizer(name);
  const was = index.tokenizer;
  if (fingerprint === was.fingerprint) return null;
  return `made with the tokenizer ${was.name} (${short(was.fingerprint)}), not with ${name} (${short(fingerprint)})`;
}

export const dataVerify = command({
  name: "data verify",
  summary: "compare every file of a folder of tokens with its index",
  examples: [
    "theseus data verify theseus-out/data/stories",
    "theseus data verify theseus-out/data/stories --tokenizer gpt2 --json",
  ],
  args: {
    folder: { type: "positional", required: true, description: "a folder of tokens" },
    tokenizer: {
      type: "string",
      valueHint: "T",
      description: "the tokenizer that is to have made them",
    },
  },
  async run({ args }) {
    const { folder: path, tokenizer: name } = args;
    const folder = TokenFolder.open(path);
    const { index, fingerprint } = folder;
    const write = (text: string): void => {
      if (args.json !== true) process.stdout.write(`${text}\n`);
    };
    const problem = name === undefined ? null : await tokenizerProblem(index, name);
    if (problem !== null && args.json !== true) log.error(`${path}  ${problem}`);
    const files: Record<string, unknown>[] = [];
    let damaged = 0;
    for await (const { file, damage } of folder.checks()) {
      files.push({ file: file.file, bytes: file.bytes, ok: damage === null, damage });
      if (damage === null) write(`${file.file}  ok, ${bytesText(file.bytes)}`);
      else {
        damaged++;
        if (args.json !== true)
          log.error(`${file.file}  is damaged between byte ${damage.from} and ${damage.to}`);
      }
    }
    folder.close();
    const { kind, tokenizer, template } = index;
    const ok = damaged === 0 && problem === null;
    if (args.json === true)
      process.stdout.write(
        `${JSON.stringify({ schema_version: 1, ok, kind, fingerprint, tokenizer, template, problem, files })}\n`,
      );
    write(
      `${kind} of ${tokenizer.name} (${short(tokenizer.fingerprint)}), content ${short(fingerprint)}: ` +
        (damaged === 0
          ? `${files.length} files as written`
          : `${damaged} of ${files.length} files damaged`),
    );
    return ok ? 0 : EXIT_CODES.data;
  },
});
