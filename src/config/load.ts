/**
 * @file Builds a configuration: defaults < `extends:` presets < file < command line. Maps merge key by key, lists and
 * scalars replace. Every mistake of every source is reported at once.
 */
import { ConfigError } from "../util/errors.ts";
import type { ConfigSchema } from "./collect.ts";
import { Config } from "./config.ts";
import type { Field } from "./field.ts";
import { parseOverride } from "./overrides.ts";
import { type Origin, Problems, shown } from "./problems.ts";
import { accepts, typeText } from "./schema.ts";
import { fromPlain, type MapTree, parseYaml, type Source, type Tree, unknownKey } from "./yaml.ts";

export interface LoadOptions {
  readonly schema: ConfigSchema;
  /** The user's file; absent: defaults and overrides only. */
  readonly source?: Source;
  /** Plain values instead of a file (the Quick API). */
  readonly values?: Readonly<Record<string, unknown>>;
  readonly overrides?: readonly string[];
  /** Finds what `extends:` names, relative to the file that says so. */
  readonly preset?: (name: string, from: string) => Source | undefined;
}

interface Found {
  readonly value: unknown;
  readonly origin: Origin;
}

class Loader {
  readonly problems = new Problems();
  private readonly found = new Map<string, Found>();
  /** First and last position of every map, for keys that are missing from it. */
  private readonly maps = new Map<string, Origin>();
  private order = 0;
  private readonly open: string[] = [];
  private readonly options: LoadOptions;
  private readonly schema: ConfigSchema;

  constructor(options: LoadOptions) {
    this.options = options;
    this.schema = options.schema;
  }

  file(source: Source): void {
    if (this.open.includes(source.name))
      throw new ConfigError(`extends: ${[...this.open, source.name].join(" -> ")} is a circle`);
    this.open.push(source.name);
    const tree = parseYaml(source, 0, this.problems);
    // Nothing that follows a syntax error would be to the point.
    this.problems.throwIfAny();
    const bases = tree.entries.get("extends");
    if (bases !== undefined) this.bases(bases.value, source.name);
    // The order of a file is known only after its presets took theirs.
    const order = this.order++;
    this.open.pop();
    this.merge(
      { ...tree, entries: new Map([...tree.entries].filter(([k]) => k !== "extends")) },
      order,
    );
  }

  private bases(value: Tree, from: string): void {
    const names = value.kind === "value" ? value.value : undefined;
    const list = typeof names === "string" ? [names] : names;
    if (!Array.isArray(list) || !list.every((name) => typeof name === "string")) {
      this.problems.add(value.origin, "extends", "expected a preset's name or a list of them");
      return;
    }
    for (const name of list) {
      const preset = this.options.preset?.(name, from);
      if (preset !== undefined) this.file(preset);
      else this.problems.add(value.origin, "extends", `no preset or file is named "${name}"`);
    }
  }

  plain(values: Readonly<Record<string, unknown>>): void {
    const order = this.order++;
    const tree = fromPlain(values, { order, source: "configuration" });
    if (tree.kind === "map") this.merge(tree, order);
  }

  override(text: string): void {
    const order = this.order++;
    const { parts, value } = parseOverride(text, order, this.problems);
    if (value !== undefined) this.set(parts, value, order);
  }

  /** What one assignment sets, by path; nothing is set when any of it is wrong. */
  assignment(parts: readonly string[], value: unknown, source: string): Map<string, unknown> {
    const origin: Origin = { order: this.order++, source };
    this.set(parts, fromPlain(value, origin), origin.order);
    for (const [path, found] of this.found) {
      const field = this.schema.fields.get(path);
      if (found.value !== "???" || field === undefined) continue;
      const wanted = `expected ${typeText(field.schema)}, got "???"`;
      this.problems.add(origin, path.split("/").join("."), wanted);
    }
    this.problems.throwIfAny();
    return new Map([...this.found].map(([path, found]) => [path, found.value]));
  }

  private merge(tree: MapTree, order: number): void {
    for (const [key, { origin, value }] of tree.entries) this.set([key], value, order, origin);
  }

  private set(parts: readonly string[], tree: Tree, order: number, keyOrigin = tree.origin): void {
    const path = parts.join("/");
    const key = parts.join(".");
    const field = this.schema.fields.get(path);
    const origin = { ...tree.origin, order };
    if (field !== undefined) {
      const value = tree.kind === "value" ? tree.value : {};
      this.found.set(path, { value, origin });
      this.check(field, value, key, origin);
      return;
    }
    const isGroup = [...this.schema.fields.keys()].some((each) => each.startsWith(`${path}/`));
    if (!isGroup) {
      const message = unknownKey(parts, this.schema.fields.keys());
      this.problems.add({ ...keyOrigin, order }, key, message);
      return;
    }
    this.maps.set(path, { ...keyOrigin, order });
    if (tree.kind === "value") {
      // A key with nothing under it is an empty group.
      if (tree.value !== null)
        this.problems.add(origin, key, `expected a map of settings, got ${shown(tree.value)}`);
      return;
    }
    for (const [name, entry] of tree.entries)
      this.set([...parts, name], entry.value, order, entry.origin);
  }

  private check(field: Field<unknown>, value: unknown, key: string, origin: Origin): void {
    if (value === "???") return;
    if (!accepts(field.schema, value))
      this.problems.add(origin, key, `expected ${typeText(field.schema)}, got ${shown(value)}`);
  }

  /** Where each value comes from; null: it is the default. */
  origins(): ReadonlyMap<string, Origin | null> {
    const of = (path: string): Origin | null => {
      const found = this.found.get(path);
      return found === undefined || found.value === "???" ? null : found.origin;
    };
    return new Map([...this.schema.fields.keys()].map((path) => [path, of(path)]));
  }

  finish(): Config {
    const values = new Map<string, unknown>();
    const end: Origin = { order: this.order, source: this.options.source?.name ?? "configuration" };
    for (const [path, field] of this.schema.fields) {
      const found = this.found.get(path);
      if (found !== undefined && found.value !== "???") values.set(path, found.value);
      else if (field.default !== undefined) values.set(path, field.default);
      else {
        const key = path.split("/").join(".");
        const group = this.maps.get(path.split("/").slice(0, -1).join("/"));
        const missing = `required, but not set: expected ${typeText(field.schema)}`;
        this.problems.add(found?.origin ?? group ?? end, key, missing);
      }
    }
    this.problems.throwIfAny();
    return new Config(this.schema, values);
  }
}

export interface WithOrigins {
  readonly config: Config;
  readonly origins: ReadonlyMap<string, Origin | null>;
}

export function loadConfigWithOrigins(options: LoadOptions): WithOrigins {
  const loader = new Loader(options);
  if (options.source !== undefined) loader.file(options.source);
  if (options.values !== undefined) loader.plain(options.values);
  for (const text of options.overrides ?? []) loader.override(text);
  return { config: loader.finish(), origins: loader.origins() };
}

export const loadConfig = (options: LoadOptions): Config => loadConfigWithOrigins(options).config;

/** Checks `a.b = value` as a file's values are checked; returns the new values by slash path. `source` names the place. */
export const checkAssignment = (
  schema: ConfigSchema,
  parts: readonly string[],
  value: unknown,
  source: string,
): ReadonlyMap<string, unknown> => new Loader({ schema }).assignment(parts, value, source);
