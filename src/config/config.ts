/** @file A resolved configuration: one checked value for every field of a schema. */
import { assert } from "../util/errors.ts";
import type { ConfigSchema } from "./collect.ts";
import type { Field, Fields, Values } from "./field.ts";

/** Nested maps of plain values, as YAML and JSON hold them. */
export type PlainTree = { [key: string]: unknown };

export class Config {
  readonly schema: ConfigSchema;
  private readonly byPath: ReadonlyMap<string, unknown>;

  constructor(schema: ConfigSchema, byPath: ReadonlyMap<string, unknown>) {
    this.schema = schema;
    this.byPath = byPath;
  }

  get<T>(field: Field<T>): T {
    assert(
      this.byPath.has(field.path),
      `field ${field.path} is not in this configuration's schema`,
    );
    return this.byPath.get(field.path) as T;
  }

  at(path: string): unknown {
    return this.byPath.get(path);
  }

  values<F extends Fields>(fields: F): Values<F> {
    const entries = Object.entries(fields).map(([name, field]) => [name, this.get(field)]);
    return Object.fromEntries(entries) as Values<F>;
  }

  /** The same configuration with some fields set; the values are trusted. */
  with(changes: ReadonlyMap<Field<unknown>, unknown>): Config {
    const byPath = new Map(this.byPath);
    for (const [field, value] of changes) byPath.set(field.path, value);
    return new Config(this.schema, byPath);
  }

  toTree(): PlainTree {
    const root: PlainTree = {};
    for (const path of this.schema.fields.keys()) {
      const parts = path.split("/");
      let at = root;
      for (const part of parts.slice(0, -1)) {
        at[part] ??= {};
        at = at[part] as PlainTree;
      }
      at[parts.at(-1) ?? path] = this.byPath.get(path);
    }
    return root;
  }
}
