/** @file Help texts: ten lines for `theseus` alone, and one page a command with its examples first. */
import type { ArgsDef } from "citty";
import { VERSION } from "../util/version.ts";
import {
  type AnyCommand,
  aliasesOf,
  globalArgs,
  type RepeatedArgs,
  type Variadic,
} from "./command.ts";

export function rootHelp(commands: Readonly<Record<string, { readonly summary: string }>>): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  const rows = Object.entries(commands).map(
    ([name, { summary }]) => `  theseus ${name.padEnd(width)}  ${summary}`,
  );
  return [
    `theseus ${VERSION}: trains and evaluates language models, in one executable`,
    "",
    ...rows,
    "",
    "A first run:  theseus run first gpt/tiny-sotu",
    'Then:         theseus sample first "The people"',
    "More:         theseus help COMMAND",
    "",
  ].join("\n");
}

function usageLine(definition: AnyCommand): string {
  const args = Object.entries<ArgsDef[string]>(definition.args);
  const positionals = args
    .filter(([, def]) => def.type === "positional")
    .map(([name, def]) =>
      def.required === false ? `[${name.toUpperCase()}]` : name.toUpperCase(),
    );
  const { variadic } = definition;
  if (variadic !== undefined) {
    const name = `${variadic.name.toUpperCase()}...`;
    positionals.push(variadic.min === 0 ? `[${name}]` : name);
  }
  const overrides = definition.overrides === true ? ["[a.b=v ...]"] : [];
  const rest = definition.passthrough === true ? ["[ARGS ...]"] : overrides;
  const options = ["[options]"];
  // Options after a script belong to the script.
  const middle =
    definition.passthrough === true ? [...options, ...positionals] : [...positionals, ...options];
  return ["theseus", definition.name, ...middle, ...rest].join(" ");
}

function argumentRows(args: ArgsDef, repeated: RepeatedArgs = {}, variadic?: Variadic): string[] {
  const rows = Object.entries(args).map(([name, def]): [string, string] => {
    if (def.type === "positional") return [name.toUpperCase(), def.description ?? ""];
    const aliases = aliasesOf(def)
      .map((alias) => `, -${alias}`)
      .join("");
    const value = def.type === "boolean" ? "" : ` ${(def.valueHint ?? "value").toUpperCase()}`;
    const fallback = def.default === undefined ? "" : ` (default: ${def.default})`;
    return [`--${name}${aliases}${value}`, `${def.description ?? ""}${fallback}`];
  });
  if (variadic !== undefined)
    rows.unshift([`${variadic.name.toUpperCase()}...`, variadic.description]);
  for (const [name, { description, valueHint = "value", alias }] of Object.entries(repeated)) {
    const flag = alias === undefined ? `--${name}` : `--${name}, -${alias}`;
    rows.push([`${flag} ${valueHint.toUpperCase()}`, `${description} (may be repeated)`]);
  }
  const width = Math.max(0, ...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}

function groupHelp({ name, summary, examples, commands = {} }: AnyCommand): string {
  const all: AnyCommand[] = Object.values(commands);
  const width = Math.max(...all.map((each) => each.name.length));
  return [
    summary,
    "",
    "examples",
    ...examples.map((example: string) => `  ${example}`),
    "",
    "commands",
    ...all.map((each) => `  theseus ${each.name.padEnd(width)}  ${each.summary}`),
    "",
    `More: theseus ${name} COMMAND --help`,
    "",
  ].join("\n");
}

export function commandHelp(definition: AnyCommand): string {
  if (definition.commands !== undefined) return groupHelp(definition);
  return [
    `${definition.summary}`,
    "",
    "examples",
    ...definition.examples.map((example) => `  ${example}`),
    "",
    `usage: ${usageLine(definition)}`,
    "",
    "arguments",
    ...argumentRows(definition.args, definition.repeated, definition.variadic),
    "",
    "everywhere",
    ...argumentRows(globalArgs),
    "",
  ].join("\n");
}
