/** @file Filters and tests by name, and the filters that take such names themselves: map, select, reject and theirs. */
import { text } from "./arguments.ts";
import { FILTERS, OTHER_FILTERS } from "./filters.ts";
import { getter } from "./list_filters.ts";
import { failed, TemplateError, unsupported } from "./template_error.ts";
import { TESTS } from "./tests.ts";
import { Generator, iterate, type Keywords, truth, type Value } from "./values.ts";

export function applyTest(
  name: string,
  value: Value,
  positional: readonly Value[],
  named: Keywords,
): boolean {
  if (name === "filter" || name === "test") {
    const table = name === "filter" ? FILTERS : TESTS;
    return typeof value === "string" && (table.has(value) || value in SEQUENCE_FILTERS);
  }
  const test = TESTS.get(name);
  if (test === undefined) throw new TemplateError("syntax", `no test named "${name}"`);
  if (named.size > 0) throw unsupported(`the test "${name}" with arguments by name`);
  return test(value, positional);
}

/** As Python does it: nothing at all happens to what is false, not even to None. */
const lazily = (value: Value, run: (items: readonly Value[]) => readonly Value[]): Generator =>
  new Generator(() => (truth(value) ? run(iterate(value)) : []));

type Keep = (value: Value) => boolean;

/** The rest of `select("test", args)`, or truth itself. */
function keeps(rest: readonly Value[], named: Keywords): Keep {
  const [name, ...args] = rest;
  if (name === undefined) return truth;
  const test = text("select", name);
  return (value) => applyTest(test, value, args, named);
}

function selected(byAttribute: boolean, wanted: boolean) {
  return (value: Value, positional: readonly Value[], named: Keywords): Value => {
    const [path, ...afterPath] = positional;
    if (byAttribute && path === undefined) throw failed("Missing parameter for attribute name");
    const get = byAttribute ? getter(path ?? "") : (member: Value): Value => member;
    const keep = keeps(byAttribute ? afterPath : positional, named);
    return lazily(value, (items) => items.filter((member) => keep(get(member)) === wanted));
  };
}

function mapped(value: Value, positional: readonly Value[], named: Keywords): Value {
  const path = named.get("attribute");
  if (path !== undefined) {
    const get = getter(path, named.get("default"));
    return lazily(value, (items) => items.map(get));
  }
  const [name, ...args] = positional;
  if (name === undefined) throw failed("map requires a filter argument");
  const filter = text("map", name);
  return lazily(value, (items) => items.map((member) => applyFilter(filter, member, args, named)));
}

const SEQUENCE_FILTERS: Readonly<
  Record<string, (value: Value, positional: readonly Value[], named: Keywords) => Value>
> = {
  map: mapped,
  select: selected(false, true),
  reject: selected(false, false),
  selectattr: selected(true, true),
  rejectattr: selected(true, false),
};

export function applyFilter(
  name: string,
  value: Value,
  positional: readonly Value[],
  named: Keywords,
): Value {
  const filter = FILTERS.get(name) ?? SEQUENCE_FILTERS[name];
  if (filter !== undefined) return filter(value, positional, named);
  if (OTHER_FILTERS.has(name)) throw unsupported(`the filter "${name}" is not supported`);
  throw new TemplateError("syntax", `no filter named "${name}"`);
}
