/**
 * @file One declaration per configuration key. A job's schema is the fields of everything it reaches; the declaration
 * carries the documentation that `configure` writes into the YAML.
 */
import type * as v from "valibot";

export type FieldSchema<T> = v.GenericSchema<unknown, T>;

/** `P` is the path as a literal type, from which the type of a whole configuration follows (tree.ts). */
export interface Field<T, P extends string = string> {
  /** Slash path in the configuration: `architecture/n_layer`. */
  readonly path: P;
  readonly schema: FieldSchema<T>;
  /** Absent: the key is required. */
  readonly default: T | undefined;
  readonly doc: string;
}

export type Fields = Readonly<Record<string, Field<unknown>>>;

/** The values that belong to a set of fields: `Values<typeof Mlp.config>`. */
export type Values<F extends Fields> = {
  readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never;
};

export function field<T, const P extends string = string>(
  path: P,
  schema: FieldSchema<T>,
  fallback: T | undefined,
  doc: string,
): Field<T, P> {
  return { path, schema, default: fallback, doc };
}
