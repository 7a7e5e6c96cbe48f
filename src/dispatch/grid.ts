/** @file The cells of a sweep from its grid: `path: [values]` multiply, the lists under `zip:` go together, `random: n` takes a sample. */
import { Problems, shown } from "../config/problems.ts";
import { type MapTree, parseYaml, type Source } from "../config/yaml.ts";

export interface GridCell {
  /** From the swept keys alone, in their order. */
  readonly name: string;
  readonly values: ReadonlyMap<string, unknown>;
  /** As on a command line. */
  readonly overrides: readonly string[];
}

const MAX_CELLS = 10_000;

type Axis = readonly ReadonlyMap<string, unknown>[];

function listsOf(tree: MapTree, problems: Problems): Map<string, readonly unknown[]> {
  const out = new Map<string, readonly unknown[]>();
  for (const [key, { value }] of tree.entries) {
    const list = value.kind === "value" ? value.value : undefined;
    if (Array.isArray(list) && list.length > 0) out.set(key, list);
    else {
      const got = value.kind === "map" ? "a map" : shown(value.value);
      problems.add(value.origin, key, `expected a list of values to try, got ${got}`);
    }
  }
  return out;
}

function zipped(tree: MapTree, problems: Problems): Axis {
  const lists = listsOf(tree, problems);
  const lengths = new Set([...lists.values()].map((list) => list.length));
  if (lengths.size > 1) {
    const counts = [...lists].map(([key, list]) => `${key} has ${list.length}`).join(", ");
    problems.add(tree.origin, "zip", `expected lists of one length: ${counts}`);
    return [];
  }
  const [length = 0] = lengths;
  return Array.from({ length }, (_, i) => new Map([...lists].map(([key, list]) => [key, list[i]])));
}

const product = (axes: readonly Axis[]): ReadonlyMap<string, unknown>[] =>
  axes.reduce<ReadonlyMap<string, unknown>[]>(
    (cells, axis) => cells.flatMap((cell) => axis.map((more) => new Map([...cell, ...more]))),
    [new Map()],
  );

/** The same numbers every time: a rerun of the sweep must mean the same cells. */
function sample<T>(items: readonly T[], count: number): T[] {
  const rank = (i: number): number => Number(Bun.hash.wyhash(`cell ${i}`, 1n) & 0xffffffffn);
  const order = items.map((_, i) => i).sort((a, b) => rank(a) - rank(b) || a - b);
  const taken = new Set(order.slice(0, count));
  return items.filter((_, i) => taken.has(i));
}

const text = (value: unknown): string =>
  (typeof value === "object" && value !== null ? JSON.stringify(value) : String(value))
    .replaceAll(/[^\w.+-]+/g, "_")
    .replaceAll(/^_+|_+$/g, "")
    .replaceAll("+", "");

function nameOf(values: ReadonlyMap<string, unknown>): string {
  const keys = [...values.keys()];
  const short = keys.map((key) => key.split(".").at(-1) ?? key);
  // Two swept keys that end alike are told apart by what stands before.
  const labels = keys.map((key, i) =>
    short.filter((other) => other === short[i]).length > 1
      ? key.replaceAll(".", "_")
      : (short[i] ?? key),
  );
  return [...values.values()].map((value, i) => `${labels[i]}-${text(value)}`).join("_");
}

export function parseGrid(source: Source): GridCell[] {
  const problems = new Problems();
  const tree = parseYaml(source, 0, problems);
  problems.throwIfAny();
  const axes: Axis[] = [];
  let random: number | null = null;
  for (const [key, { value, origin }] of tree.entries) {
    if (key === "random") {
      random = value.kind === "value" && typeof value.value === "number" ? value.value : Number.NaN;
      if (!Number.isSafeInteger(random) || random < 1)
        problems.add(value.origin, key, "expected the number of cells to take, at least 1");
    } else if (key === "zip") {
      if (value.kind === "map") axes.push(zipped(value, problems));
      else problems.add(value.origin, key, `expected a map of lists, got ${shown(value.value)}`);
    } else {
      const one: MapTree = { kind: "map", entries: new Map([[key, { origin, value }]]), origin };
      for (const [path, list] of listsOf(one, problems))
        axes.push(list.map((item) => new Map([[path, item]])));
    }
  }
  problems.throwIfAny();
  const count = axes.reduce((total, axis) => total * axis.length, 1);
  if (axes.length === 0) problems.add(tree.origin, "", "expected keys with lists of values to try");
  else if (count > MAX_CELLS) problems.add(tree.origin, "", `${count} cells; at most ${MAX_CELLS}`);
  problems.throwIfAny();
  const all = product(axes);
  const cells = (random === null ? all : sample(all, random)).map((values) => ({
    name: nameOf(values),
    values,
    overrides: [...values].map(([key, value]) => `${key}=${JSON.stringify(value)}`),
  }));
  const names = new Map<string, number>();
  // Values that look alike in a name (1.0 and 1_0) get numbers.
  return cells.map((cell) => {
    const seen = (names.get(cell.name) ?? 0) + 1;
    names.set(cell.name, seen);
    return seen === 1 ? cell : { ...cell, name: `${cell.name}_${seen}` };
  });
}
