/** @file Typed access to operand lists whose length `infer` has checked. */
import { assert } from "../../util/errors.ts";

type Tuple<T, N extends number, Result extends readonly T[] = []> = Result["length"] extends N
  ? Result
  : Tuple<T, N, readonly [...Result, T]>;

/** The first `count` entries as a tuple. */
export function firsts<T, N extends number>(list: readonly T[], count: N): Tuple<T, N> {
  assert(list.length >= count, `expected ${count} operands, got ${list.length}`);
  return list.slice(0, count) as unknown as Tuple<T, N>;
}
