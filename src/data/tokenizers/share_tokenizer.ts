/**
 * @file A tokenizer that one thread opened, for the other threads of the process: reading a vocabulary takes a good part of a second and
 * ten times its size, while the native encoder's tables are there for all threads once they are made.
 */
import { type LentTokenizer, NativeTokenizer } from "../../runtime/index.ts";
import type { SpecialIds, Tokenizer } from "../tokenizer.ts";
import { ByteLevelTokenizer } from "./byte_level.ts";
import { Native } from "./native.ts";
import type { Around } from "./post_processor.ts";
import { TokenTable } from "./token_table.ts";
import type { TokenizerDefinition } from "./tokenizer_json.ts";

/** Plain data that travels to the thread. */
export interface SharedTokenizer {
  readonly name: string;
  readonly fingerprint: string;
  readonly special: SpecialIds;
  readonly definition: TokenizerDefinition;
  readonly around: Around;
  readonly marks: ReadonlySet<number>;
  readonly bytes: Uint8Array;
  readonly starts: Uint32Array;
  /** What stands beside tokenizer.json, for chat templates. */
  readonly beside: Readonly<Record<string, string>>;
  readonly native: LentTokenizer;
}

/** Null: this one has to be opened by each thread. */
export function shareTokenizer(tokenizer: Tokenizer): SharedTokenizer | null {
  if (!(tokenizer instanceof ByteLevelTokenizer) || !(tokenizer.encoder instanceof Native))
    return null;
  const { name, fingerprint, special, definition, around, marks, table, encoder } = tokenizer;
  return {
    ...{ name, fingerprint, special, definition, around, marks },
    bytes: table.bytes,
    starts: table.starts,
    beside: tokenizer.beside,
    native: encoder.native.lend(),
  };
}

/** Works as long as the tokenizer that was shared is there. Of its files it has those beside tokenizer.json. */
export function adoptTokenizer(shared: SharedTokenizer): Tokenizer {
  const { name, fingerprint, special, definition, around, marks, bytes, starts } = shared;
  const table = new TokenTable(bytes, starts);
  const native = NativeTokenizer.borrow(shared.native);
  return new ByteLevelTokenizer({
    ...{ name, fingerprint, special, definition, around, marks, table },
    encoder: new Native(native, table.size, definition),
    beside: shared.beside,
    json: null,
  });
}
