/** @file Complete YAML of a configuration: grouped, and every key carries its documentation. */
import { stringify } from "yaml";
import type { ConfigSchema } from "./collect.ts";
import type { Config } from "./config.ts";
import type { Field } from "./field.ts";
import { typeText } from "./schema.ts";

const WIDTH = 100;

function valueText(value: unknown): string {
  if (value === undefined) return "???";
  // A value is one line, whatever a text holds.
  const oneLine = { lineWidth: 0, blockQuote: false, doubleQuotedMinMultiLineLength: 2 ** 31 };
  return stringify(value, { collectionStyle: "flow", ...oneLine }).trimEnd();
}

function comment(field: Field<unknown>): string {
  const fallback = field.default === undefined ? "required" : `default ${valueText(field.default)}`;
  return `# ${field.doc} (${typeText(field.schema)}; ${fallback})`;
}

/** A comment longer than the page, folded above its key. */
function folded(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = "#";
  for (const word of text.slice(2).split(" ")) {
    if (indent.length + line.length + 1 + word.length > WIDTH) {
      lines.push(indent + line);
      line = "#";
    }
    line += ` ${word}`;
  }
  lines.push(indent + line);
  return lines;
}

function keyLines(name: string, value: unknown, field: Field<unknown>, indent: string): string[] {
  const key = `${indent}${name}: ${valueText(value)}`;
  const text = comment(field);
  const joined = `${key}  ${text}`;
  return joined.length <= WIDTH ? [joined] : [...folded(text, indent), key];
}

type Group = Map<string, Group | Field<unknown>>;

/** Fields by group, groups where their first field stands: a group is written once, whoever declares its fields. */
function grouped(schema: ConfigSchema): Group {
  const root: Group = new Map();
  for (const [path, field] of schema.fields) {
    const parts = path.split("/");
    let at = root;
    for (const part of parts.slice(0, -1)) {
      const inner = at.get(part) ?? new Map();
      at.set(part, inner);
      at = inner as Group;
    }
    at.set(parts.at(-1) ?? path, field);
  }
  return root;
}

/** `config` absent: the defaults, with `???` where a value is required. */
export function writeYaml(schema: ConfigSchema, config?: Config, header = ""): string {
  const lines = header === "" ? [] : header.split("\n").map((line) => `# ${line}`.trimEnd());
  const write = (group: Group, indent: string): void => {
    for (const [name, item] of group) {
      if (item instanceof Map) {
        if (indent === "" && lines.length > 0) lines.push("");
        lines.push(`${indent}${name}:`);
        write(item, `${indent}  `);
      } else {
        const value = config === undefined ? item.default : config.get(item);
        lines.push(...keyLines(name, value, item, indent));
      }
    }
  };
  write(grouped(schema), "");
  return `${lines.join("\n")}\n`;
}
