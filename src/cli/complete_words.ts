/** @file What may come next on a command line: commands, options, presets, jobs and runs. */
import type { ArgsDef } from "citty";
import { PRESETS } from "../jobs/presets.ts";
import { JOBS } from "../jobs/registry.ts";
import { type AnyCommand, aliasesOf, globalArgs } from "./command.ts";
import { COMMANDS } from "./main.ts";
import { listRuns, rootOf } from "./place.ts";

function optionsOf(definition: AnyCommand): string[] {
  const args: ArgsDef = { ...definition.args, ...globalArgs };
  const own = Object.entries(args)
    .filter(([, def]) => def.type !== "positional")
    .map(([name]) => `--${name}`);
  return [...own, ...Object.keys(definition.repeated ?? {}).map((name) => `--${name}`), "--help"];
}

/** Names of runs: short where one name means one run. */
function runNames(root: string): string[] {
  const paths = listRuns(root);
  const last = paths.map((path) => path.split("/").at(-1) ?? path);
  return paths.map((path, i) => {
    const name = last[i] ?? path;
    return last.filter((other) => other === name).length === 1 ? name : path;
  });
}

const rootIn = (words: readonly string[]): string => {
  const at = words.indexOf("--root");
  return rootOf(undefined, at === -1 ? undefined : words[at + 1]);
};

/** What the positional of that name, or the option, takes; empty where it is a file or free text. */
function valuesOf(name: string, words: readonly string[]): readonly string[] {
  if (["run", "model", "other", "init-from"].includes(name)) return runNames(rootIn(words));
  if (["config", "from", "stage"].includes(name)) return PRESETS;
  if (name === "job") return JOBS.all.map((job) => job.name);
  return name === "shell" ? ["bash", "zsh", "fish"] : [];
}

/** The option, if it takes a value. */
function optionTaking(definition: AnyCommand, word: string | undefined): string | undefined {
  const args: ArgsDef = definition.args;
  for (const [name, def] of Object.entries(args)) {
    if (def.type === "positional" || def.type === "boolean") continue;
    if ([`--${name}`, ...aliasesOf(def).map((alias) => `-${alias}`)].includes(word ?? ""))
      return name;
  }
  for (const [name, { alias }] of Object.entries(definition.repeated ?? {}) as [
    string,
    { alias?: string },
  ][])
    if (word === `--${name}` || (alias !== undefined && word === `-${alias}`)) return name;
  return undefined;
}

function inCommand(definition: AnyCommand, words: readonly string[]): readonly string[] {
  const typed = words.at(-1) ?? "";
  const option = optionTaking(definition, words.at(-2));
  if (option !== undefined) return valuesOf(option, words);
  if (typed.startsWith("-")) return optionsOf(definition);
  const before = words.slice(0, -1);
  const given = before.filter(
    (word, i) => !word.startsWith("-") && optionTaking(definition, before[i - 1]) === undefined,
  ).length;
  const args: ArgsDef = definition.args;
  const slots = Object.entries(args).filter(([, def]) => def.type === "positional");
  const name = slots[given]?.[0] ?? definition.variadic?.name ?? "";
  // A new run's name is free.
  return valuesOf(name, words);
}

async function candidates(words: readonly string[]): Promise<readonly string[]> {
  const [name = "", ...rest] = words;
  if (rest.length === 0) return [...Object.keys(COMMANDS), "help", "--help", "--version"];
  if (name === "help") return rest.length === 1 ? Object.keys(COMMANDS) : [];
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (entry === undefined) return [];
  const definition = (await entry.load()).default;
  if (definition.commands === undefined) return inCommand(definition, rest);
  const [below = "", ...more] = rest;
  if (more.length === 0) return Object.keys(definition.commands);
  const found: AnyCommand | undefined = definition.commands[below];
  return found === undefined ? [] : inCommand(found, more);
}

/** `words`: what stands after `theseus`; the last one is to be completed. */
export async function completionsOf(words: readonly string[]): Promise<string[]> {
  const typed = words.at(-1) ?? "";
  const all = await candidates(words.length === 0 ? [""] : words);
  return all.filter((word) => word.startsWith(typed) && (typed !== "" || !word.startsWith("-")));
}
