/** @file A conversation as every format of chat data becomes one, and what can be wrong with its record. */
import { DataError, type ErrorPlace } from "../../util/errors.ts";

export const ROLES = ["system", "developer", "user", "assistant", "tool"] as const;
export type Role = (typeof ROLES)[number];

export interface Message {
  readonly role: Role;
  /** What the template sees: role, content, tool_calls and whatever else the record has, but not `train`. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** Whether the loss counts this turn: assistants' turns do unless the record says otherwise. */
  readonly train: boolean;
}

export interface Conversation {
  readonly messages: readonly Message[];
  readonly tools: readonly unknown[] | undefined;
  /** Variables of this conversation for the template, as a record's `chat_template_kwargs` gives them. */
  readonly variables: Readonly<Record<string, unknown>>;
  readonly place: ErrorPlace;
}

/** One prompt with a better and a worse answer; only the answers are trained. */
export interface ConversationPair {
  readonly chosen: Conversation;
  readonly rejected: Conversation;
}

export type Json = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Map);

/** A value in an error: its kind, and the value itself where it is short. */
export function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object") {
    const keys = value instanceof Map ? [...value.keys()] : Object.keys(value);
    return `an object with ${keys.length === 0 ? "no keys" : keys.slice(0, 6).join(", ")}`;
  }
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 40 ? text : `${text.slice(0, 37)}..."`;
}

/** "messages[1].role: expected ..., got ...", at the record's place. */
export function recordError(
  place: ErrorPlace,
  field: string,
  message: string,
  hint?: string,
): DataError {
  return new DataError(field === "" ? message : `${field}: ${message}`, {
    ...(hint === undefined ? {} : { hint }),
    place: field === "" ? place : { ...place, key: field },
  });
}
