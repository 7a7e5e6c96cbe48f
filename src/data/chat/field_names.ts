/** @file How a user says that a record's fields are called otherwise: `messages=dialog`, the usual name first. */
import { ConfigError, type ErrorPlace } from "../../util/errors.ts";
import { USUAL_FIELDS } from "./read_conversation.ts";

/** Undefined: none is. */
export function fieldNames(
  given: readonly string[],
  place: ErrorPlace = {},
): Readonly<Record<string, string>> | undefined {
  const names: Record<string, string> = {};
  for (const entry of given) {
    const [, usual, own] = /^([^=]+)=(.+)$/s.exec(entry) ?? [];
    if (usual === undefined || own === undefined)
      throw new ConfigError(`expected a field as USUAL=OWN, got "${entry}"`, {
        hint: "messages=dialog reads the messages from the field dialog",
        place,
      });
    if (!USUAL_FIELDS.includes(usual))
      throw new ConfigError(`no format has a field "${usual}": ${USUAL_FIELDS.join(", ")}`, {
        place,
      });
    if (names[usual] !== undefined)
      throw new ConfigError(`the field "${usual}" is named twice`, { place });
    names[usual] = own;
  }
  return given.length === 0 ? undefined : names;
}
