/**
 * @file Our strict wrapper of citty. citty alone swallows unknown flags, missing values and extra positionals,
 * so every command line is checked against the command's arguments before citty parses it.
 */
import { type ArgsDef, type CommandContext, defineCommand, runCommand } from "citty";
import { UserError } from "../util/errors.ts";
import { didYouMean } from "../util/suggest.ts";

/** A command line that does not fit: exit code 2, with the usage line of the command. */
export class UsageError extends UserError {
  constructor(message: string, hint?: string) {
    super(message, hint === undefined ? { code: "config" } : { code: "config", hint });
  }
}

/** Accepted by every command. */
export const globalArgs = {
  json: { type: "boolean", description: "machine-readable output on stdout" },
  quiet: { type: "boolean", description: "only warnings and errors" },
  verbose: { type: "boolean", description: "more detail" },
  "no-color": { type: "boolean", description: "no colours" },
} as const satisfies ArgsDef;

export interface Invocation<T extends ArgsDef> {
  readonly args: CommandContext<T & typeof globalArgs>["args"];
  /** `a.b=v` arguments, in order. */
  readonly overrides: readonly string[];
}

export interface Command<T extends ArgsDef = ArgsDef> {
  readonly name: string;
  readonly summary: string;
  readonly examples: readonly string[];
  readonly args: T;
  /** Whether `a.b=v` arguments are taken. */
  readonly overrides?: boolean;
  /** Returns the exit code (nothing: 0). */
  run(invocation: Invocation<T>): Promise<number | undefined>;
}

// biome-ignore lint/suspicious/noExplicitAny: the table of commands holds commands with different arguments.
export type AnyCommand = Command<any>;

export const command = <const T extends ArgsDef>(definition: Command<T>): Command<T> => definition;

const OVERRIDE = /^[A-Za-z_][\w-]*(\.[\w-]+)*=/;

export interface SplitArgs {
  readonly rest: readonly string[];
  readonly overrides: readonly string[];
  readonly help: boolean;
}

type FlagTable = ReadonlyMap<string, { readonly type: string; readonly name: string }>;

/** Short and long aliases of an argument. */
export function aliasesOf(def: ArgsDef[string]): readonly string[] {
  const alias = "alias" in def ? def.alias : undefined;
  return alias === undefined ? [] : [alias].flat();
}

function flagTable(args: ArgsDef): FlagTable {
  const flags = new Map<string, { type: string; name: string }>();
  for (const [name, def] of Object.entries(args)) {
    if (def.type === "positional") continue;
    const entry = { type: def.type ?? "string", name };
    flags.set(`--${name}`, entry);
    if (entry.type === "boolean") flags.set(`--no-${name}`, entry);
    for (const alias of aliasesOf(def))
      flags.set(alias.length === 1 ? `-${alias}` : `--${alias}`, entry);
  }
  return flags;
}

function checkFlag(raw: string, next: string | undefined, flags: FlagTable): boolean {
  const [flag = raw] = raw.split("=", 1);
  const inline = raw.includes("=");
  const known = flags.get(flag);
  if (known === undefined)
    throw new UsageError(`unknown option ${flag}.${didYouMean(flag, flags.keys())}`);
  if (known.type === "boolean") {
    if (inline) throw new UsageError(`option ${flag} takes no value, got "${raw}"`);
    return false;
  }
  const value = inline ? raw.slice(flag.length + 1) : next;
  if (value === undefined || value === "" || (!inline && flags.has(value)))
    throw new UsageError(`option ${flag} expects a value`);
  return !inline;
}

/** Checks a raw command line against the command: unknown flags, missing values, too many or too few positionals. */
export function splitArgs(definition: AnyCommand, raw: readonly string[]): SplitArgs {
  const args: ArgsDef = { ...globalArgs, ...definition.args };
  const flags = flagTable(args);
  const rest: string[] = [];
  const overrides: string[] = [];
  const positionals: string[] = [];
  for (let i = 0; i < raw.length; i++) {
    const token = raw[i] ?? "";
    if (token === "--") {
      positionals.push(...raw.slice(i + 1));
      rest.push(...raw.slice(i));
      break;
    }
    if (token === "-h" || token === "--help") return { rest, overrides, help: true };
    if (token.startsWith("-") && token !== "-") {
      rest.push(token);
      if (checkFlag(token, raw[i + 1], flags)) rest.push(raw[++i] ?? "");
    } else if (definition.overrides === true && OVERRIDE.test(token)) {
      overrides.push(token);
    } else {
      positionals.push(token);
      rest.push(token);
    }
  }
  checkArity(definition, args, positionals);
  return { rest, overrides, help: false };
}

function checkArity(definition: AnyCommand, args: ArgsDef, positionals: readonly string[]): void {
  const slots = Object.entries(args).filter(([, def]) => def.type === "positional");
  const needed = slots.filter(([, def]) => def.required !== false && def.default === undefined);
  const missing = needed[positionals.length]?.[0];
  if (positionals.length < needed.length)
    throw new UsageError(`${definition.name} expects ${(missing ?? "").toUpperCase()}`);
  if (positionals.length > slots.length)
    throw new UsageError(
      `${definition.name} takes at most ${slots.length} arguments, ` +
        `got "${positionals[slots.length]}" too`,
    );
}

/** Parses with citty and runs the command; returns its exit code. */
export async function invoke(definition: AnyCommand, split: SplitArgs): Promise<number> {
  let code = 0;
  const args: ArgsDef = { ...globalArgs, ...definition.args };
  const cmd = defineCommand({
    meta: { name: definition.name, description: definition.summary },
    args,
    async run(context) {
      code = (await definition.run({ args: context.args, overrides: split.overrides })) ?? 0;
    },
  });
  await runCommand(cmd, { rawArgs: [...split.rest] });
  return code;
}
