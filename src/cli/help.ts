/** @file Help texts: ten lines for `theseus` alone, a list of all commands, and one page a command with its examples first. */
import type { ArgsDef } from "citty";
import { VERSION } from "../util/version.ts";
import {
  type AnyCommand,
  aliasesOf,
  globalArgs,
  type RepeatedArgs,
  type Variadic,
} from "./command.ts";

const TITLE = `theseus ${VERSION}: trains and evaluates language models, in one executable`;

const FIRST_DAY: readonly (readonly [string, string])[] = [
  ["theseus run first gpt/tiny-sotu", "train a small model on built-in text"],
  ['theseus sample first "The people"', "let it write"],
  ["theseus plot first", "see how it learned"],
  ["theseus configure gpt/pretrain my.yaml", "every setting, with its meaning"],
  ["theseus doctor", "what this machine offers and lacks"],
];

export function firstDayHelp(): string {
  const width = Math.max(...FIRST_DAY.map(([line]) => line.length));
  const rows = FIRST_DAY.map(([line, why]) => `  ${line.padEnd(width)}  ${why}`);
  const more = ["All commands:  theseus --help", "One of them:   theseus help COMMAND", ""];
  return [TITLE, "", ...rows, "", ...more].join("\n");
}

export function rootHelp(commands: Readonly<Record<string, { readonly summary: string }>>): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  const rows = Object.entries(commands).map(
    ([name, { summary }]) => `  theseus ${name.padEnd(width)}  ${summary}`,
  );
  return [TITLE, "", ...rows, "", "More:  theseus help COMMAND", ""].join("\n");
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
