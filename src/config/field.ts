/**
 * @file One declaration per configuration key. A job's schema is the fields of everything it reaches; the declaration
 * carries the documentation that `configure` writes into the YAML.
 */
import type * as v from "valibot";

export type FieldSchema<T> = v.GenericSchema<unknown, T>;

export interface Field<T> {
  /** Slash path in the configuration: `architecture/n_layer`. */
  readonly path: string;
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

export function field<T>(
  path: string,
  schema: FieldSchema<T>,
  fallback: T | undefined,
  doc: string,
): Field<T> {
  return { path, schema, default: fallback, doc };
}
