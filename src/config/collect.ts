/**
 * @file Gathers the fields of everything a job reaches into one schema, in a stable order: a class's own fields,
 * then those of the classes it uses. Two different declarations of one path are a bug of ours, found when a job is built.
 */
import * as v from "valibot";
import { assert } from "../util/errors.ts";
import type { Field, Fields } from "./field.ts";
import { typeText } from "./schema.ts";

/** A class or object with fields; `uses` names what it is made of. */
export interface Configured {
  readonly config?: Fields;
  readonly uses?: readonly Configured[];
}

export interface ConfigSchema<F extends Field<unknown> = Field<unknown>> {
  /** By slash path, in declaration order. */
  readonly fields: ReadonlyMap<string, F>;
}

/** The fields that `collect` finds below a class or object. */
export type FieldsOf<C> =
  | (C extends { readonly config: infer F extends Fields } ? F[keyof F] : never)
  | (C extends { readonly uses: readonly (infer U)[] } ? FieldsOf<U> : never);

function sameDeclaration(a: Field<unknown>, b: Field<unknown>): boolean {
  return (
    typeText(a.schema) === typeText(b.schema) &&
    JSON.stringify(a.default) === JSON.stringify(b.default)
  );
}

function add(fields: Map<string, Field<unknown>>, field: Field<unknown>): void {
  const known = fields.get(field.path);
  const text = (f: Field<unknown>) => `${typeText(f.schema)}, default ${JSON.stringify(f.default)}`;
  assert(
    known === undefined || sameDeclaration(known, field),
    `two declarations of ${field.path}: (${known && text(known)}) and (${text(field)})`,
  );
  if (known !== undefined) return;
  for (const path of fields.keys()) {
    const nested = path.startsWith(`${field.path}/`) || field.path.startsWith(`${path}/`);
    assert(!nested, `${field.path} and ${path} cannot both be fields: one is inside the other`);
  }
  fields.set(field.path, field);
}

export function collect<const R extends readonly Configured[]>(
  roots: R,
): ConfigSchema<FieldsOf<R[number]>> {
  const fields = new Map<string, Field<unknown>>();
  const seen = new Set<Configured>();
  const visit = (source: Configured): void => {
    if (seen.has(source)) return;
    seen.add(source);
    for (const each of Object.values(source.config ?? {})) add(fields, each);
    for (const used of source.uses ?? []) visit(used);
  };
  for (const root of roots) visit(root);
  // What was visited is what the type says: both follow `config` and `uses`.
  return { fields } as unknown as ConfigSchema<FieldsOf<R[number]>>;
}

/** The same schema with other defaults, by path. Those of fields that the schema lacks are a bug of ours. */
export function withDefaults<F extends Field<unknown>>(
  schema: ConfigSchema<F>,
  defaults: Readonly<Record<string, unknown>>,
): ConfigSchema<F> {
  const fields = new Map(schema.fields);
  for (const [path, fallback] of Object.entries(defaults)) {
    const known = fields.get(path);
    assert(known !== undefined, `no field ${path} to give a default`);
    assert(v.is(known.schema, fallback), `${JSON.stringify(fallback)} is no value of ${path}`);
    fields.set(path, { ...known, default: fallback });
  }
  return { fields };
}
