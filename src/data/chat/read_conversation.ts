/**
 * @file A record of a data file as a conversation: OpenAI's `messages`, ShareGPT, Alpaca, prompt and response, found out from
 * its keys or named. Anything that does not fit is an error with file, line and field; nothing is guessed or left out.
 */
import type { ErrorPlace } from "../../util/errors.ts";
import {
  type Conversation,
  type ConversationPair,
  isObject,
  type Json,
  type Message,
  recordError,
  shown,
} from "./conversation.ts";
import { fail, jsonAt, messagesAt, type Spot, spoken, textAt, within } from "./read_messages.ts";

export const CHAT_FORMATS = ["openai", "sharegpt", "alpaca", "prompt"] as const;
export type ChatFormat = (typeof CHAT_FORMATS)[number];

export interface ReadOptions {
  /** undefined: found out from the record's keys. */
  readonly format?: ChatFormat | undefined;
  /** Names of a record's fields where they are not the usual ones: { messages: "dialog" }. */
  readonly fields?: Readonly<Record<string, string>> | undefined;
  /** The system prompt of conversations that have none. */
  readonly system?: string | undefined;
  readonly place?: ErrorPlace | undefined;
}

/** Usual names of the fields, by format. */
const USUAL = {
  openai: ["messages", "tools"],
  sharegpt: ["conversations", "system", "tools"],
  alpaca: ["instruction", "input", "output", "system", "history"],
  prompt: ["prompt", "response", "completion", "system", "tools"],
} as const satisfies Record<ChatFormat, readonly string[]>;

/** All of them, and those of pairs. */
export const USUAL_FIELDS: readonly string[] = [
  ...new Set([...Object.values(USUAL).flat(), "chosen", "rejected"]),
];

/** A record under the usual names. */
function named(record: Json, options: ReadOptions, place: ErrorPlace): Json {
  const { fields } = options;
  if (fields === undefined) return record;
  const out: Record<string, unknown> = { ...record };
  for (const [usual, own] of Object.entries(fields)) {
    if (record[own] === undefined)
      throw recordError(place, own, `expected this field (as "${usual}"), got ${shown(record)}`);
    out[usual] = record[own];
  }
  return out;
}

function formsOf(record: Json): ChatFormat[] {
  const has = (key: string): boolean => record[key] !== undefined && record[key] !== null;
  const forms: ChatFormat[] = [];
  if (has("messages")) forms.push("openai");
  if (has("conversations")) forms.push("sharegpt");
  if (has("instruction") && has("output")) forms.push("alpaca");
  if (has("prompt") && (has("response") || has("completion"))) forms.push("prompt");
  return forms;
}

const EXPECTED =
  "messages; conversations; instruction and output; or prompt and response (or completion)";

function formatOf(record: Json, place: ErrorPlace): ChatFormat {
  const forms = formsOf(record);
  const [form] = forms;
  if (form === undefined) {
    const isPair = record.chosen !== undefined && record.rejected !== undefined;
    const hint = isPair ? "this is a preference pair: data/tokenize_pairs reads those" : undefined;
    throw recordError(
      place,
      "",
      `expected a conversation (${EXPECTED}), got ${shown(record)}`,
      hint,
    );
  }
  if (forms.length > 1)
    throw recordError(place, "", `the record fits ${forms.join(" and ")}`, "name its format");
  return form;
}

/** Some files call OpenAI's messages "conversations". */
const formOfList = (value: unknown): "openai" | "sharegpt" =>
  Array.isArray(value) &&
  isObject(value[0]) &&
  value[0].from === undefined &&
  value[0].role !== undefined
    ? "openai"
    : "sharegpt";

function alpacaMessages(record: Json, spot: Spot): Message[] {
  const messages: Message[] = [];
  const history = record.history ?? [];
  if (!Array.isArray(history))
    fail(within(spot, "history"), `expected a list, got ${shown(history)}`);
  history.forEach((turn, i) => {
    const at = within(within(spot, "history"), `[${i}]`);
    if (!Array.isArray(turn) || turn.length !== 2)
      fail(at, `expected a pair of question and answer, got ${shown(turn)}`);
    messages.push(spoken("user", textAt(turn[0], within(at, "[0]")), false));
    messages.push(spoken("assistant", textAt(turn[1], within(at, "[1]")), true));
  });
  const instruction = textAt(record.instruction, within(spot, "instruction"));
  const input = record.input ?? "";
  const given = textAt(input, within(spot, "input"));
  messages.push(spoken("user", given === "" ? instruction : `${instruction}\n\n${given}`, false));
  messages.push(spoken("assistant", textAt(record.output, within(spot, "output")), true));
  return messages;
}

/** A side of a record: text, which one role says, or messages. */
function sideAt(value: unknown, role: "user" | "assistant", spot: Spot): Message[] {
  if (typeof value === "string") return [spoken(role, textAt(value, spot), role === "assistant")];
  if (!Array.isArray(value)) return fail(spot, `expected text or messages, got ${shown(value)}`);
  return messagesAt(value, formOfList(value), spot);
}

const untrained = (messages: readonly Message[]): Message[] =>
  messages.map((message) => ({ ...message, train: false }));

function promptMessages(record: Json, spot: Spot): Message[] {
  const key = record.response !== undefined && record.response !== null ? "response" : "completion";
  if (key === "response" && record.completion !== undefined && record.completion !== null)
    fail(within(spot, "completion"), "expected response or completion, got both");
  const prompt = sideAt(record.prompt, "user", within(spot, "prompt"));
  return [...untrained(prompt), ...sideAt(record[key], "assistant", within(spot, key))];
}

function messagesOf(record: Json, format: ChatFormat, spot: Spot): Message[] {
  switch (format) {
    case "openai":
      return messagesAt(record.messages, "openai", within(spot, "messages"));
    case "sharegpt": {
      const list = record.conversations;
      return messagesAt(list, formOfList(list), within(spot, "conversations"));
    }
    case "alpaca":
      return alpacaMessages(record, spot);
    case "prompt":
      return promptMessages(record, spot);
  }
  return format satisfies never;
}

/** The record's own system prompt, else the configured one, before messages that have none. */
function withSystem(
  messages: Message[],
  record: Json,
  options: ReadOptions,
  spot: Spot,
): Message[] {
  const own = record.system;
  const hasOwn = own !== undefined && own !== null && own !== "";
  const first = messages[0]?.role;
  const spokenAlready = first === "system" || first === "developer";
  if (hasOwn && spokenAlready) fail(within(spot, "system"), "expected one system prompt, got two");
  const text = hasOwn ? textAt(own, within(spot, "system")) : options.system;
  if (text === undefined || spokenAlready) return messages;
  return [spoken("system", text, false), ...messages];
}

/** `tools` is a list, or JSON of one: columns of a table hold text. */
function toolsOf(record: Json, spot: Spot): readonly unknown[] | undefined {
  const at = within(spot, "tools");
  const given = record.tools;
  if (given === undefined || given === null || given === "") return undefined;
  const tools = typeof given === "string" ? jsonAt(given, at) : given;
  if (!Array.isArray(tools)) return fail(at, `expected a list of tools, got ${shown(tools)}`);
  tools.forEach((tool, i) => {
    const where = within(at, `[${i}]`);
    if (!isObject(tool)) fail(where, `expected a tool, got ${shown(tool)}`);
    const inner = isObject(tool.function) ? tool.function : tool;
    textAt(inner.name, within(where, inner === tool ? "name" : "function.name"));
  });
  return tools.length === 0 ? undefined : tools;
}

function variablesOf(record: Json, spot: Spot): Json {
  const given = record.chat_template_kwargs;
  if (given === undefined || given === null) return {};
  if (!isObject(given))
    fail(within(spot, "chat_template_kwargs"), `expected an object, got ${shown(given)}`);
  return given;
}

function recordOf(value: unknown, options: ReadOptions): { record: Json; spot: Spot } {
  const place = options.place ?? {};
  if (!isObject(value)) throw recordError(place, "", `expected an object, got ${shown(value)}`);
  return { record: named(value, options, place), spot: { place, field: "" } };
}

export function readConversation(value: unknown, options: ReadOptions = {}): Conversation {
  const { record, spot } = recordOf(value, options);
  const { place } = spot;
  const format = options.format ?? formatOf(record, place);
  const usual: readonly string[] = USUAL[format];
  if (options.format !== undefined && !formsOf(record).includes(format))
    throw recordError(place, "", `expected ${format} (${usual.join(", ")}), got ${shown(record)}`);
  const messages = messagesOf(record, format, spot);
  return {
    messages: withSystem(messages, usual.includes("system") ? record : {}, options, spot),
    tools: usual.includes("tools") ? toolsOf(record, spot) : undefined,
    variables: variablesOf(record, spot),
    place,
  };
}

const sameMessage = (a: Message | undefined, b: Message | undefined): boolean =>
  a !== undefined && b !== undefined && Bun.deepEquals(a.fields, b.fields);

/** `chosen` and `rejected`, each an answer to `prompt` or a whole conversation; what both begin with is not trained. */
export function readPair(value: unknown, options: ReadOptions = {}): ConversationPair {
  const { record, spot } = recordOf(value, options);
  const prompt =
    record.prompt === undefined || record.prompt === null
      ? []
      : untrained(sideAt(record.prompt, "user", within(spot, "prompt")));
  const tools = toolsOf(record, spot);
  const variables = variablesOf(record, spot);
  const sides = (["chosen", "rejected"] as const).map((key) => {
    if (prompt.length === 0 && typeof record[key] === "string")
      fail(within(spot, "prompt"), `expected the prompt that "${key}" answers, got nothing`);
    const answer = sideAt(record[key], "assistant", within(spot, key));
    // Many files repeat the prompt in both answers.
    const repeats =
      prompt.length > 0 && prompt.every((message, i) => sameMessage(message, answer[i]));
    return repeats ? answer : [...prompt, ...answer];
  });
  const [chosen = [], rejected = []] = sides;
  let shared = 0;
  while (sameMessage(chosen[shared], rejected[shared])) shared += 1;
  if (shared === chosen.length || shared === rejected.length)
    fail(within(spot, "rejected"), "expected another answer than the chosen one, got the same");
  const conversation = (messages: Message[]): Conversation => ({
    messages: withSystem(
      [...untrained(messages.slice(0, shared)), ...messages.slice(shared)],
      record,
      options,
      spot,
    ),
    tools,
    variables,
    place: spot.place,
  });
  return { chosen: conversation(chosen), rejected: conversation(rejected) };
}
