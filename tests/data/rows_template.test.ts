/** @file The chat template of rows of tokens finds its way into the folder of the model that is trained on them. */
import { expect, test } from "bun:test";
import { bytesTokenizer } from "../../src/data/bytes_tokenizer.ts";
import { templateFor } from "../../src/data/chat/template_for.ts";
import { rowsTemplate } from "../../src/data/rows_template.ts";

const recorded = (name: string) => {
  const { fingerprint } = templateFor(name, bytesTokenizer);
  return { template: { name, fingerprint } };
};

test("the text of the template, where all rows have the same", () => {
  const { source } = templateFor("chatml", bytesTokenizer);
  expect(source).toContain("<|im_start|>");
  expect(rowsTemplate([recorded("chatml")], bytesTokenizer)).toBe(source);
  const mixed = [{ template: null }, recorded("chatml"), recorded("chatml")];
  expect(rowsTemplate(mixed, bytesTokenizer)).toBe(source);
  expect(rowsTemplate([{ template: null }], bytesTokenizer)).toBeNull();
});

test("none where rows differ, or where it is not there or another one now", () => {
  expect(rowsTemplate([recorded("chatml"), recorded("plain")], bytesTokenizer)).toBeNull();
  const gone = { template: { name: "nowhere.jinja", fingerprint: "0" } };
  expect(rowsTemplate([gone], bytesTokenizer)).toBeNull();
  const changed = { template: { name: "chatml", fingerprint: "0" } };
  expect(rowsTemplate([changed], bytesTokenizer)).toBeNull();
});

test("a tokenizer's own template is among its files already", () => {
  const files = { "chat_template.jinja": "{{ messages[0].content }}" };
  const own = { ...bytesTokenizer, name: "own", files: () => files };
  const { fingerprint } = templateFor("auto", own);
  expect(rowsTemplate([{ template: { name: "own", fingerprint } }], own)).toBeNull();
});
