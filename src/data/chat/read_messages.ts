/** @file Lists of messages, as OpenAI's `messages` and ShareGPT's `conversations` have them. */
import type { ErrorPlace } from "../../util/errors.ts";
import { didYouMean } from "../../util/suggest.ts";
import {
  isObject,
  type Json,
  type Message,
  ROLES,
  type Role,
  recordError,
  shown,
} from "./conversation.ts";
import { parseExactJson } from "./exact_json.ts";

/** Names of roles in data from elsewhere. */
const ROLE_NAMES: Readonly<Record<string, Role>> = {
  ...{ human: "user", gpt: "assistant", chatgpt: "assistant", bot: "assistant" },
  ...{ model: "assistant", ai: "assistant", observation: "tool", function_response: "tool" },
};

/** Where in a record one is, for errors. */
export interface Spot {
  readonly place: ErrorPlace;
  readonly field: string;
}

export const within = (spot: Spot, field: string): Spot => ({
  place: spot.place,
  field: spot.field === "" ? field : `${spot.field}${field.startsWith("[") ? "" : "."}${field}`,
});

export function fail(spot: Spot, message: string, hint?: string): never {
  throw recordError(spot.place, spot.field, message, hint);
}

export function textAt(value: unknown, spot: Spot): string {
  if (typeof value !== "string") fail(spot, `expected text, got ${shown(value)}`);
  if (!value.isWellFormed())
    fail(
      spot,
      "expected Unicode text, got half of a surrogate pair",
      "the file was cut or encoded wrongly",
    );
  return value;
}

function roleAt(value: unknown, spot: Spot): Role {
  const role = ROLES.find((known) => known === value);
  if (role !== undefined) return role;
  if (typeof value === "string" && Object.hasOwn(ROLE_NAMES, value)) {
    const known = ROLE_NAMES[value];
    if (known !== undefined) return known;
  }
  const hint = typeof value === "string" ? didYouMean(value, ROLES).trim() : "";
  return fail(spot, `expected ${ROLES.join(", ")}, got ${shown(value)}`, hint || undefined);
}

/** Text parts become one text, a line each; a part that is no text cannot be trained on. */
function partsAt(parts: readonly unknown[], spot: Spot): string {
  const texts = parts.map((part, i) => {
    const at = within(spot, `[${i}]`);
    if (typeof part === "string") return textAt(part, at);
    if (!isObject(part)) return fail(at, `expected a part with a type, got ${shown(part)}`);
    if (part.type !== "text" && part.type !== undefined)
      return fail(
        at,
        `expected a part of type "text", got ${shown(part.type)}`,
        "theseus trains on text only",
      );
    return textAt(part.text, within(at, "text"));
  });
  return texts.join("\n");
}

function contentAt(value: unknown, spot: Spot): string | null {
  if (Array.isArray(value)) return partsAt(value, spot);
  return value === null ? null : textAt(value, spot);
}

/** `train: false`, or OpenAI's `weight: 0`, takes an assistant's turn out of the loss. */
function trainAt(record: Json, role: Role, spot: Spot): boolean {
  const { train, weight } = record;
  if (train !== undefined && typeof train !== "boolean")
    fail(within(spot, "train"), `expected true or false, got ${shown(train)}`);
  if (weight !== undefined && weight !== 0 && weight !== 1)
    fail(within(spot, "weight"), `expected 0 or 1, got ${shown(weight)}`);
  if (role !== "assistant" && train === true)
    fail(
      within(spot, "train"),
      `only assistants' turns can be trained, got true for role "${role}"`,
    );
  return role === "assistant" && train !== false && weight !== 0;
}

const hasCalls = (record: Json): boolean =>
  Array.isArray(record.tool_calls) && record.tool_calls.length > 0;

/** Arguments arrive as JSON text (OpenAI) or as an object; templates are written for the object. */
function callAt(call: unknown, spot: Spot): unknown {
  if (!isObject(call)) return fail(spot, `expected a tool call, got ${shown(call)}`);
  const inner = isObject(call.function) ? call.function : call;
  const at = inner === call ? spot : within(spot, "function");
  textAt(inner.name, within(at, "name"));
  const spelled = inner.arguments;
  if (typeof spelled !== "string") return call;
  const where = within(at, "arguments");
  const parsed = argumentsOf(spelled, where);
  const filled = { ...inner, arguments: parsed };
  return inner === call ? filled : { ...call, function: filled };
}

function argumentsOf(spelled: string, spot: Spot): unknown {
  if (spelled.trim() === "") return {};
  const parsed = jsonAt(spelled, spot);
  if (!isObject(parsed)) fail(spot, `expected JSON of an object, got ${shown(parsed)}`);
  return parsed;
}

export function jsonAt(text: string, spot: Spot): unknown {
  try {
    return parseExactJson(text);
  } catch {
    return fail(spot, `expected JSON, got ${shown(text)}`);
  }
}

function callsAt(record: Json, role: Role, spot: Spot): readonly unknown[] | undefined {
  const calls = record.tool_calls;
  if (calls === undefined || calls === null) return undefined;
  const at = within(spot, "tool_calls");
  if (!Array.isArray(calls)) fail(at, `expected a list, got ${shown(calls)}`);
  if (calls.length === 0) return undefined;
  if (role !== "assistant") fail(at, `only assistants call tools, got role "${role}"`);
  return calls.map((call, i) => callAt(call, within(at, `[${i}]`)));
}

const REASONING = ["reasoning_content", "thinking", "reasoning"] as const;

function openAiMessage(record: unknown, spot: Spot): Message {
  if (!isObject(record)) return fail(spot, `expected a message, got ${shown(record)}`);
  const role = roleAt(record.role, within(spot, "role"));
  const toolCalls = callsAt(record, role, spot);
  const reasoned = REASONING.some((key) => typeof record[key] === "string");
  const mayBeEmpty = role === "assistant" && (hasCalls(record) || reasoned);
  const content =
    record.content === undefined && mayBeEmpty
      ? null
      : contentAt(record.content, within(spot, "content"));
  if (content === null && !mayBeEmpty) fail(within(spot, "content"), "expected text, got null");
  for (const key of REASONING)
    if (record[key] !== undefined && record[key] !== null) textAt(record[key], within(spot, key));
  const { train: _train, weight: _weight, tool_calls: _calls, ...others } = record;
  const fields = {
    ...others,
    role,
    content,
    ...(toolCalls === undefined ? {} : { tool_calls: toolCalls }),
  };
  return { role, fields, train: trainAt(record, role, spot) };
}

function shareGptMessage(record: unknown, spot: Spot): Message {
  if (!isObject(record)) return fail(spot, `expected a message, got ${shown(record)}`);
  const value = textAt(record.value, within(spot, "value"));
  const { from, train, weight } = record;
  const marks = {
    ...(train === undefined ? {} : { train }),
    ...(weight === undefined ? {} : { weight }),
  };
  if (from !== "function_call") {
    const role = roleAt(from, within(spot, "from"));
    return { role, fields: { role, content: value }, train: trainAt(record, role, spot) };
  }
  const at = within(spot, "value");
  const parsed = jsonAt(value, at);
  const calls = (Array.isArray(parsed) ? parsed : [parsed]).map((call) => ({
    type: "function",
    function: call,
  }));
  return openAiMessage({ ...marks, role: "assistant", content: null, tool_calls: calls }, spot);
}

export type MessageForm = "openai" | "sharegpt";

export function messagesAt(value: unknown, form: MessageForm, spot: Spot): Message[] {
  if (!Array.isArray(value)) return fail(spot, `expected a list of messages, got ${shown(value)}`);
  if (value.length === 0) fail(spot, "expected messages, got an empty list");
  const read = form === "openai" ? openAiMessage : shareGptMessage;
  return value.map((record, i) => read(record, within(spot, `[${i}]`)));
}

export const spoken = (role: Role, content: string, train: boolean): Message => ({
  role,
  fields: { role, content },
  train,
});
