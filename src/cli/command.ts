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

/** String options that may be given several times: citty keeps only the last one, so they are read here. */
export type RepeatedArgs = Readonly<
  Record<
    string,
    { readonly description: string; readonly valueHint?: string; readonly alias?: string }
  >
>;

export interface Invocation<T extends ArgsDef, R extends RepeatedArgs = RepeatedArgs> {
  readonly args: CommandContext<T & typeof globalArgs>["args"];
  /** `a.b=v` arguments, in order. */
  readonly overrides: readonly string[];
  /** The values of each repeatable option, in order. */
  readonly repeated: { readonly [K in keyof R]: readonly string[] };
  /** What follows the positionals of a `passthrough` command, as it was typed. */
  readonly passed: readonly string[];
  /** The positionals of a `variadic` command after its named ones. */
  readonly many: readonly string[];
}

export interface Variadic {
  readonly name: string;
  readonly description: string;
  /** At least so many. */
  readonly min: number;
}

export interface Command<T extends ArgsDef = ArgsDef, R extends RepeatedArgs = RepeatedArgs> {
  readonly name: string;
  readonly summary: string;
  readonly examples: readonly string[];
  readonly args: T;
  readonly repeated?: R;
  /** Whether `a.b=v` arguments are taken. */
  readonly overrides?: boolean;
  /** Whether all that follows the positionals belongs to somebody else: options there are not ours. */
  readonly passthrough?: boolean;
  /** One positional more, that may be given any number of times. */
  readonly variadic?: Variadic;
  /** Commands below this one, which then only leads to them. */
  readonly commands?: Readonly<Record<string, AnyCommand>>;
  /** Returns the exit code (nothing: 0). */
  run?(invocation: Invocation<T, R>): Promise<number | undefined>;
}

// biome-ignore lint/suspicious/noExplicitAny: the table of commands holds commands with different arguments.
export type AnyCommand = Command<any, any>;

export const command = <
  const T extends ArgsDef,
  const R extends RepeatedArgs = Readonly<Record<never, never>>,
>(
  definition: Command<T, R>,
): Command<T, R> => definition;

/** Of one stage of several where a number stands in front. */
const OVERRIDE = /^(?:\d+:)?[A-Za-z_][\w-]*(\.[\w-]+)*=/;

export interface SplitArgs {
  readonly rest: readonly string[];
  readonly overrides: readonly string[];
  readonly repeated: Readonly<Record<string, readonly string[]>>;
  readonly passed: readonly string[];
  readonly many: readonly string[];
  readonly help: boolean;
}

type FlagTable = ReadonlyMap<string, { readonly type: string; readonly name: string }>;

/** Short and long aliases of an argument. */
export function aliasesOf(def: ArgsDef[string]): readonly string[] {
  const alias = "alias" in def ? def.alias : undefined;
  return alias === undefined ? [] : [alias].flat();
}

function flagTable(args: ArgsDef, repeated: RepeatedArgs): FlagTable {
  const flags = new Map<string, { type: string; name: string }>();
  for (const [name, def] of Object.entries(args)) {
    if (def.type === "positional") continue;
    const entry = { type: def.type ?? "string", name };
    flags.set(`--${name}`, entry);
    if (entry.type === "boolean") flags.set(`--no-${name}`, entry);
    for (const alias of aliasesOf(def))
      flags.set(alias.length === 1 ? `-${alias}` : `--${alias}`, entry);
  }
  for (const [name, { alias }] of Object.entries(repeated)) {
    const entry = { type: "repeated", name };
    flags.set(`--${name}`, entry);
    if (alias !== undefined) flags.set(`-${alias}`, entry);
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
  const repeatedArgs: RepeatedArgs = definition.repeated ?? {};
  const flags = flagTable(args, repeatedArgs);
  const repeated: Record<string, string[]> = {};
  for (const name of Object.keys(repeatedArgs)) repeated[name] = [];
  const rest: string[] = [];
  const overrides: string[] = [];
  const positionals: string[] = [];
  const slots = Object.values(args).filter((def) => def.type === "positional").length;
  const many: string[] = [];
  let passed: readonly string[] = [];
  const positional = (token: string): void => {
    const variadic = definition.variadic !== undefined && positionals.length >= slots;
    positionals.push(token);
    (variadic ? many : rest).push(token);
  };
  for (let i = 0; i < raw.length; i++) {
    const token = raw[i] ?? "";
    if (definition.passthrough === true && positionals.length === slots) {
      passed = raw.slice(i);
      break;
    }
    if (token === "--") {
      rest.push(token);
      raw.slice(i + 1).forEach(positional);
      break;
    }
    if (token === "-h" || token === "--help")
      return { rest, overrides, repeated, passed, many, help: true };
    if (token.startsWith("-") && token !== "-") {
      const takesNext = checkFlag(token, raw[i + 1], flags);
      const value = takesNext ? (raw[++i] ?? "") : token.slice(token.indexOf("=") + 1);
      const list = repeated[flags.get(token.split("=", 1)[0] ?? "")?.name ?? ""];
      if (list !== undefined) list.push(value);
      else rest.push(token, ...(takesNext ? [value] : []));
    } else if (definition.overrides === true && OVERRIDE.test(token)) {
      overrides.push(token);
    } else {
      positional(token);
    }
  }
  checkArity(definition, args, positionals);
  return { rest, overrides, repeated, passed, many, help: false };
}

function checkArity(definition: AnyCommand, args: ArgsDef, positionals: readonly string[]): void {
  const slots = Object.entries(args).filter(([, def]) => def.type === "positional");
  const needed = slots.filter(([, def]) => def.required !== false && def.default === undefined);
  const missing = needed[positionals.length]?.[0];
  if (positionals.length < needed.length)
    throw new UsageError(`${definition.name} expects ${(missing ?? "").toUpperCase()}`);
  const { variadic } = definition;
  if (variadic !== undefined) {
    if (positionals.length < slots.length + variadic.min)
      throw new UsageError(`${definition.name} expects ${variadic.name.toUpperCase()}`);
    return;
  }
  const most = slots.length === 1 ? "one argument" : `${slots.length || "no"} arguments`;
  if (positionals.length > slots.length)
    throw new UsageError(
      `${definition.name} takes ${needed.length < slots.length ? "at most " : ""}${most}, ` +
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
      const { overrides, repeated, passed, many } = split;
      const { args } = context;
      code = (await definition.run?.({ args, overrides, repeated, passed, many })) ?? 0;
    },
  });
  await runCommand(cmd, { rawArgs: [...split.rest] });
  return code;
}
