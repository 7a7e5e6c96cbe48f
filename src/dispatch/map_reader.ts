/** @file Reads one map of a YAML tree key by key; every mistake is noted with its place, keys that nobody read included. */
import type { FieldSchema } from "../config/field.ts";
import { type Problems, shown } from "../config/problems.ts";
import { accepts, typeText } from "../config/schema.ts";
import { type MapTree, type Tree, unknownKey } from "../config/yaml.ts";

/** Lists and scalars as they are, maps as objects. */
function plain(tree: Tree): unknown {
  if (tree.kind === "value") return tree.value;
  return Object.fromEntries([...tree.entries].map(([key, { value }]) => [key, plain(value)]));
}

export class MapReader {
  private readonly tree: MapTree;
  private readonly path: string;
  private readonly problems: Problems;
  private readonly known = new Set<string>();

  constructor(tree: MapTree, path: string, problems: Problems) {
    this.tree = tree;
    this.path = path;
    this.problems = problems;
  }

  private keyOf(name: string): string {
    return [this.path, name].filter((part) => part !== "").join(".");
  }

  /** `name` empty: the map itself. */
  problem(name: string, message: string): void {
    const origin = this.tree.entries.get(name)?.value.origin ?? this.tree.origin;
    this.problems.add(origin, this.keyOf(name), message);
  }

  required<T>(name: string, schema: FieldSchema<T>): T | undefined {
    this.known.add(name);
    if (this.tree.entries.has(name)) return this.get<T | undefined>(name, schema, undefined);
    this.problem("", `${name} is required, but not set: expected ${typeText(schema)}`);
    return undefined;
  }

  get<T>(name: string, schema: FieldSchema<T>, fallback: T): T {
    this.known.add(name);
    const entry = this.tree.entries.get(name);
    if (entry === undefined) return fallback;
    const value = plain(entry.value);
    if (accepts(schema, value)) return value as T;
    this.problem(name, `expected ${typeText(schema)}, got ${shown(value)}`);
    return fallback;
  }

  private mapAt(name: string): MapTree | undefined {
    this.known.add(name);
    const value = this.tree.entries.get(name)?.value;
    if (value === undefined || (value.kind === "value" && value.value === null)) return undefined;
    if (value.kind === "map") return value;
    this.problem(name, `expected a map of settings, got ${shown(value.value)}`);
    return undefined;
  }

  /** The maps inside the map `name`. */
  maps(name: string): [string, MapReader][] {
    const out: [string, MapReader][] = [];
    for (const [key, { value }] of this.mapAt(name)?.entries ?? []) {
      const path = `${this.keyOf(name)}.${key}`;
      if (value.kind === "map") out.push([key, new MapReader(value, path, this.problems)]);
      else
        this.problems.add(
          value.origin,
          path,
          `expected a map of settings, got ${shown(value.value)}`,
        );
    }
    return out;
  }

  /** A map from names to values of one kind. */
  each<T>(name: string, schema: FieldSchema<T>): Map<string, T> {
    const out = new Map<string, T>();
    for (const [key, { value }] of this.mapAt(name)?.entries ?? []) {
      const found = plain(value);
      if (accepts(schema, found)) out.set(key, found as T);
      else
        this.problems.add(
          value.origin,
          `${this.keyOf(name)}.${key}`,
          `expected ${typeText(schema)}, got ${shown(found)}`,
        );
    }
    return out;
  }

  /** A map from names to texts; numbers and truth values are taken as they are written in YAML. */
  texts(name: string): Map<string, string> {
    const out = new Map<string, string>();
    for (const [key, { value }] of this.mapAt(name)?.entries ?? []) {
      const found = plain(value);
      if (["string", "number", "boolean"].includes(typeof found)) out.set(key, String(found));
      else
        this.problems.add(
          value.origin,
          `${this.keyOf(name)}.${key}`,
          `expected a text, got ${shown(found)}`,
        );
    }
    return out;
  }

  finish(): void {
    for (const [key, { origin }] of this.tree.entries)
      if (!this.known.has(key))
        this.problems.add(origin, this.keyOf(key), unknownKey([key], this.known));
  }
}
