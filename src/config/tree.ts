/**
 * @file The type of a configuration as nested maps, computed from the paths of its fields: what the Quick API gives as
 * `run.config` and what YAML holds.
 */
import type { Field } from "./field.ts";

type Head<P extends string> = P extends `${infer H}/${string}` ? H : P;

/** A field as seen from inside the group `K`. */
type Inside<F, K extends string> =
  F extends Field<infer T, `${K}/${infer Rest}`> ? Field<T, Rest> : never;

type ValueAt<F, K extends string> = F extends Field<infer T, K> ? T : never;

export type ConfigTree<F extends Field<unknown>> = {
  [K in Head<F["path"]>]: [Inside<F, K>] extends [never] ? ValueAt<F, K> : ConfigTree<Inside<F, K>>;
};
