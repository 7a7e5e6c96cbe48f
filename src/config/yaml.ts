/** @file YAML as a tree that remembers where every key and value was written. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { didYouMean } from "../util/suggest.ts";
import type { Origin, Problems } from "./problems.ts";

export interface MapTree {
  readonly kind: "map";
  readonly entries: ReadonlyMap<string, { readonly origin: Origin; readonly value: Tree }>;
  readonly origin: Origin;
}

export interface ValueTree {
  readonly kind: "value";
  readonly value: unknown;
  readonly origin: Origin;
}

export type Tree = MapTree | ValueTree;

export interface Source {
  /** As it is shown in messages: a file's name. */
  readonly name: string;
  readonly text: string;
}

/** Far more than anyone writes by hand; aliases of aliases could otherwise fill the memory. */
const ALIASES_MAX = 100;

const messageOf = ({ code, message }: { readonly code: string; readonly message: string }) =>
  code === "MULTIPLE_DOCS" ? "a second document begins here; expected one" : message;

/** Parses one document whose root is a map; syntax errors go to `problems`. */
export function parseYaml(source: Source, order: number, problems: Problems): MapTree {
  const lines = new LineCounter();
  const document = parseDocument(source.text, { lineCounter: lines, prettyErrors: false });
  let aliases = 0;
  const at = (offset: number): Origin => {
    const { line, col } = lines.linePos(offset);
    return { order, source: source.name, line, column: col };
  };
  const start = at(0);
  for (const error of document.errors) problems.add(at(error.pos[0]), "", messageOf(error));
  const empty: MapTree = { kind: "map", entries: new Map(), origin: start };
  if (document.errors.length > 0 || document.contents === null) return empty;

  const convert = (node: Node | null, fallback: Origin): Tree => {
    const origin = node?.range == null ? fallback : at(node.range[0]);
    const nothing: ValueTree = { kind: "value", value: null, origin };
    const resolved = isAlias(node) ? (node.resolve(document) ?? null) : node;
    if (isAlias(node)) {
      aliases++;
      if (aliases > ALIASES_MAX || resolved === null) {
        if (aliases <= ALIASES_MAX) problems.add(origin, "", `no anchor is named ${node.source}`);
        else if (aliases === ALIASES_MAX + 1)
          problems.add(origin, "", `more than ${ALIASES_MAX} aliases`);
        return nothing;
      }
    }
    if (isScalar(resolved) || isSeq(resolved)) {
      try {
        return { ...nothing, value: resolved.toJS(document, { maxAliasCount: ALIASES_MAX }) };
      } catch (error) {
        // An alias of nothing inside a list, or lists of aliases that multiply.
        const why = error instanceof Error ? error.message : String(error);
        const multiply = why.startsWith("Excessive alias count");
        problems.add(origin, "", multiply ? `more than ${ALIASES_MAX} aliases` : why);
        return nothing;
      }
    }
    if (!isMap(resolved)) return nothing;
    const entries = new Map<string, { origin: Origin; value: Tree }>();
    for (const pair of resolved.items) {
      const key = pair.key as Node;
      const keyOrigin = key.range == null ? origin : at(key.range[0]);
      const name = isScalar(key) ? String(key.value) : String(key);
      entries.set(name, {
        origin: keyOrigin,
        value: convert(pair.value as Node | null, keyOrigin),
      });
    }
    return { kind: "map", entries, origin };
  };

  const root = convert(document.contents, start);
  if (root.kind === "map") return root;
  problems.add(root.origin, "", "expected a map of settings at the top of the file");
  return empty;
}

/** A single value in YAML flow syntax, as on the command line; undefined after reporting a syntax error. */
export function parseValue(
  text: string,
  origin: Origin,
  key: string,
  problems: Problems,
): Tree | undefined {
  const found = parseDocument(`value: ${text}`, { prettyErrors: false });
  const error = found.errors[0];
  if (error !== undefined) {
    problems.add(origin, key, `not a YAML value: ${error.message}`);
    return undefined;
  }
  return fromPlain((found.toJS() as { value: unknown }).value, origin);
}

/** A plain value as a tree, every part of it from one place. */
export function fromPlain(value: unknown, origin: Origin): Tree {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return { kind: "value", value, origin };
  const entries = new Map<string, { origin: Origin; value: Tree }>();
  for (const [key, item] of Object.entries(value))
    entries.set(key, { origin, value: fromPlain(item, origin) });
  return { kind: "map", entries, origin };
}

/** What to say about a key that nothing owns: near siblings first, then the same name elsewhere. */
export function unknownKey(parts: readonly string[], paths: Iterable<string>): string {
  const last = parts.at(-1) ?? "";
  const parent = parts.slice(0, -1);
  const split = [...paths].map((path) => path.split("/"));
  const inside = (path: readonly string[]): boolean => parent.every((p, i) => path[i] === p);
  const siblings = split.filter(inside).map((path) => path[parent.length] ?? "");
  const near = didYouMean(last, new Set(siblings));
  if (near !== "") return `unknown key.${near}`;
  const elsewhere = split.filter((path) => path.at(-1) === last).map((path) => path.join("."));
  if (elsewhere[0] !== undefined) return `unknown key. Did you mean "${elsewhere[0]}"?`;
  return `unknown key.${didYouMean(
    parts.join("."),
    split.map((path) => path.join(".")),
  )}`;
}
