/** @file theseus tokenize: what a text, or a file of conversations, becomes as tokens. Bulk work is the job data/tokenize. */
import { readFileSync } from "node:fs";
import { fieldNames } from "../data/chat/field_names.ts";
import { CHAT_FORMATS, type ChatFormat } from "../data/chat/read_conversation.ts";
import { missingMarkers, templateFor } from "../data/chat/template_for.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { openTokenizer } from "../data/tokenizers/open_tokenizer.ts";
import { UserError } from "../util/errors.ts";
import { log, useColor } from "../util/log.ts";
import { chatsOf, type ShownChat } from "./chat_records.ts";
import { command, UsageError } from "./command.ts";
import { showTokens } from "./show_tokens.ts";

interface Input {
  /** As errors call it. */
  readonly path: string;
  readonly bytes: Uint8Array;
}

async function inputOf(file: string | undefined, text: string | undefined): Promise<Input> {
  if ((file === undefined) === (text === undefined))
    throw new UsageError("tokenize expects FILE (- for standard input) or --text, one of them");
  if (text !== undefined) return { path: "--text", bytes: new TextEncoder().encode(text) };
  if (file === "-") return { path: "standard input", bytes: await Bun.stdin.bytes() };
  try {
    return { path: file ?? "", bytes: readFileSync(file ?? "") };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UserError(`cannot read the text: ${why}`, { code: "not_found" });
  }
}

function formatNamed(name: string | undefined): ChatFormat | undefined {
  const found = CHAT_FORMATS.find((format) => format === name);
  if (name !== undefined && found === undefined)
    throw new UsageError(`--format: expected ${CHAT_FORMATS.join(", ")}, got ${name}`);
  return found;
}

const write = (text: string): void => void process.stdout.write(text);

const counted = (tokens: number, bytes: number): string =>
  `${tokens} tokens, ${bytes} bytes${tokens === 0 ? "" : `, ${(bytes / tokens).toFixed(2)} bytes a token`}\n`;

interface Style {
  readonly show: boolean;
  readonly json: boolean;
  readonly color: boolean;
}

function plainText(input: Input, tokenizer: Tokenizer, special: boolean, style: Style): void {
  const { bytes } = input;
  const ids = tokenizer.encode(bytes, { parseSpecial: special });
  const count = { tokens: ids.length, bytes: bytes.length };
  if (style.json) {
    write(`${JSON.stringify({ schema_version: 1, ids: Array.from(ids), ...count })}\n`);
    return;
  }
  if (style.show) write(showTokens(ids, undefined, tokenizer, style.color));
  write(counted(ids.length, bytes.length));
}

const trainedOf = (mask: Uint8Array): number => mask.reduce((sum, one) => sum + one, 0);

function chats(all: Iterable<ShownChat>, tokenizer: Tokenizer, style: Style): void {
  const [conversations, total]: [object[], { tokens: number; trained: number }] = [
    [],
    { tokens: 0, trained: 0 },
  ];
  for (const { line, text, ids, mask } of all) {
    const trained = trainedOf(mask);
    total.tokens += ids.length;
    total.trained += trained;
    if (style.json)
      conversations.push({ line, text, ids: Array.from(ids), mask: Array.from(mask) });
    else if (style.show) {
      write(`--- line ${line}: ${ids.length} tokens, ${trained} trained\n`);
      write(showTokens(ids, mask, tokenizer, style.color));
    }
    if (trained === 0) log.warn(`line ${line}: no token of this conversation is trained`);
  }
  if (style.json) write(`${JSON.stringify({ schema_version: 1, ...total, conversations })}\n`);
  else write(`${total.tokens} tokens, ${total.trained} trained\n`);
}

export default command({
  name: "tokenize",
  summary: "what a text, or conversations, become as tokens",
  examples: [
    "theseus tokenize book.txt --tokenizer gpt2",
    'theseus tokenize --text "Hello world" --tokenizer cl100k_base --show',
    "theseus tokenize chats.jsonl --tokenizer hf:Qwen/Qwen3-0.6B --chat auto --show",
    "theseus tokenize book.txt --tokenizer bytes --json",
  ],
  args: {
    file: { type: "positional", required: false, description: "a text, - for standard input" },
    tokenizer: {
      type: "string",
      valueHint: "T",
      description:
        "bytes, gpt2, cl100k_base, o200k_base, a tokenizer.json, its folder, or hf:org/name",
    },
    text: { type: "string", valueHint: "TEXT", description: "this text instead of a file" },
    show: { type: "boolean", description: "every token: its id, whether it is trained, its text" },
    special: { type: "boolean", description: "texts of special tokens become those tokens" },
    chat: {
      type: "string",
      valueHint: "TEMPLATE",
      description:
        "FILE holds conversations (JSON, or one a line): auto, chatml, llama3, plain, raw, a file or folder",
    },
    system: {
      type: "string",
      valueHint: "TEXT",
      description: "with --chat: the system prompt where there is none",
    },
    format: {
      type: "string",
      valueHint: "FORMAT",
      description: `with --chat: ${CHAT_FORMATS.join(", ")}; else found out from each record`,
    },
    date: {
      type: "string",
      valueHint: "DAY",
      description: "with --chat: the day that templates write",
    },
  },
  repeated: {
    field: {
      valueHint: "USUAL=OWN",
      description: "with --chat: a field that is not called as usual: messages=dialog",
    },
  },
  async run({ args, repeated }) {
    const { chat, tokenizer: name } = args;
    if (name === undefined) throw new UsageError("tokenize expects --tokenizer T");
    const format = formatNamed(args.format);
    const fields = fieldNames(repeated.field);
    const ofChats = [args.system, args.date, format, fields];
    if (chat === undefined && ofChats.some((each) => each !== undefined))
      throw new UsageError("--system, --date, --format and --field go with --chat");
    if (chat !== undefined && args.special === true)
      throw new UsageError(
        "--special does not go with --chat: the template's are tokens, the messages' are text",
      );
    const input = await inputOf(args.file, args.text);
    const tokenizer = await openTokenizer(name);
    const style: Style = {
      show: args.show === true,
      json: args.json === true,
      color: useColor(process.stdout, args["no-color"] === true),
    };
    if (chat === undefined) {
      plainText(input, tokenizer, args.special === true, style);
      return 0;
    }
    const template = templateFor(chat, tokenizer, { date: args.date });
    const missing = missingMarkers(template, tokenizer);
    if (missing.length > 0)
      log.warn(
        `${tokenizer.name} has no token for ${missing.join(", ")}: they become ordinary text`,
      );
    if (template.dependsOnToday && args.date === undefined)
      log.warn(`the template ${template.name} writes the date; --date fixes it`);
    chats(
      chatsOf(input.bytes, {
        ...{ path: input.path, template, tokenizer, system: args.system, format, fields },
      }),
      tokenizer,
      style,
    );
    return 0;
  },
});
