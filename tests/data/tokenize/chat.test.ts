/** @file data/tokenize_rows and data/tokenize_pairs: masks, overlong rows, records that teach nothing. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { bytesTokenizer } from "../../../src/data/bytes_tokenizer.ts";
import { readConversation } from "../../../src/data/chat/read_conversation.ts";
import { renderConversation } from "../../../src/data/chat/render_conversation.ts";
import { templateFor } from "../../../src/data/chat/template_for.ts";
import type { TokensIndex } from "../../../src/data/shards/format.ts";
import { TokenFolder } from "../../../src/data/shards/token_folder.ts";
import { Workplace } from "../../cli/command_line.ts";

setDefaultTimeout(120_000);

const place = new Workplace();
afterAll(() => place.remove());

const talk = (i: number) => ({
  messages: [
    { role: "user", content: `question ${i}` },
    { role: "assistant", content: `answer ${"very ".repeat(i)}long` },
  ],
});

place.file("chat.jsonl", Array.from({ length: 20 }, (_, i) => JSON.stringify(talk(i))).join("\n"));
place.file(
  "pairs.jsonl",
  Array.from({ length: 6 }, (_, i) =>
    JSON.stringify({ prompt: `q ${i}`, chosen: `good ${i}`, rejected: `bad ${"x".repeat(i * 9)}` }),
  ).join("\n"),
);
place.file(
  "rows.yaml",
  `job: data/tokenize_rows
source: { files: [chat.jsonl] }
tokens: { tokenizer: bytes, validation_fraction: 0, workers: 1 }
chat: { template: chatml }
`,
);
place.file(
  "pairs.yaml",
  `job: data/tokenize_pairs
source: { files: [pairs.jsonl] }
tokens: { tokenizer: bytes, validation_fraction: 0, workers: 1 }
chat: { template: plain }
`,
);

const folder = (name: string) => join(place.path, "out/data", name);
const index = (name: string): TokensIndex =>
  JSON.parse(readFileSync(join(folder(name), "index.json"), "utf8"));

interface Row {
  readonly text: string;
  readonly trained: string;
  readonly length: number;
}

/** Rows of a folder of bytes, and the part of each that is trained on. */
function rowsOf(name: string): Row[] {
  return index(name).splits.train.flatMap(({ tokens, starts, mask }) => {
    const read = (file: string | undefined) => readFileSync(join(folder(name), file ?? ""));
    const [ids, flags] = [read(tokens.file), read(mask?.file)];
    const at = new BigUint64Array(new Uint8Array(read(starts.file)).buffer);
    return Array.from({ length: at.length - 1 }, (_, i) => {
      const [from, to] = [Number(at[i]), Number(at[i + 1])];
      const row = ids.subarray(from, to);
      const trained = row.filter((_, j) => flags[from + j] === 1);
      return { text: row.toString(), trained: Buffer.from(trained).toString(), length: row.length };
    });
  });
}

test("every conversation is a row, rendered and masked as renderConversation does", async () => {
  const { code, stderr } = await place.run(["run", "rows", "rows.yaml", "out"]);
  expect(stderr).toContain("has no token for <|im_start|> <|im_end|> of the template chatml");
  expect(code).toBe(0);
  const template = templateFor("chatml", bytesTokenizer);
  const expected = Array.from({ length: 20 }, (_, i) => {
    const { ids, mask } = renderConversation(readConversation(talk(i)), template, bytesTokenizer);
    const trained = ids.filter((_, j) => mask[j] === 1);
    return {
      text: bytesTokenizer.decode(ids),
      trained: bytesTokenizer.decode(trained),
      length: ids.length,
    };
  });
  expect(rowsOf("rows")).toEqual(expected);
  expect(expected[2]?.trained).toContain("answer very very long");
  const { kind, template: noted, splits, counts } = index("rows");
  expect([kind, noted]).toEqual(["rows", { name: "chatml", fingerprint: template.fingerprint }]);
  const trained = expected.reduce((sum, row) => sum + Buffer.byteLength(row.trained), 0);
  expect(splits.train.map(({ trained_count }) => trained_count)).toEqual([trained]);
  expect(counts).toEqual({ records: 20 });
  await TokenFolder.open(folder("rows")).verify();
});

test("rows that are too long", async () => {
  const whole = rowsOf("rows");
  const most = 100;
  const long = whole.filter(({ length }) => length > most).length;
  expect(long).toBeGreaterThan(3);
  const run = (name: string, overlong: string) =>
    place.run([
      "run",
      name,
      "rows.yaml",
      "out",
      `rows.max_tokens=${most}`,
      `rows.overlong=${overlong}`,
    ]);

  const failed = await run("error", "error");
  expect(failed.code).toBe(6);
  expect(failed.stderr).toMatch(/chat.jsonl:\d+ .*a row of \d+ tokens: expected at most 100/);

  expect((await run("drop", "drop")).code).toBe(0);
  expect(rowsOf("drop")).toEqual(whole.filter(({ length }) => length <= most));
  expect(index("drop").counts).toEqual({ dropped: long, overlong: long, records: 20 });

  await run("truncate", "truncate");
  expect(rowsOf("truncate").map(({ text }) => text)).toEqual(
    whole.map(({ text }) => text.slice(0, most)),
  );
  expect(index("truncate").counts).toMatchObject({ truncated: long, overlong: long });

  await run("split", "split");
  const pieces = rowsOf("split");
  expect(pieces.map(({ text }) => text).join("")).toBe(whole.map(({ text }) => text).join(""));
  expect(Math.max(...pieces.map(({ length }) => length))).toBe(most);
  expect(index("split").counts).toMatchObject({ split: long });
});

test("a conversation that teaches nothing, also after truncation, is a bad line", async () => {
  const lines = [talk(1), { messages: [{ role: "user", content: "only a question" }] }, talk(2)];
  place.file("mute.jsonl", lines.map((line) => JSON.stringify(line)).join("\n"));
  const run = (name: string, ...more: string[]) =>
    place.run(["run", name, "rows.yaml", "out", "source.files=[mute.jsonl]", ...more]);
  const failed = await run("mute");
  expect(failed.code).toBe(6);
  expect(failed.stderr).toContain("mute.jsonl:2");
  expect(failed.stderr).toContain("expected a token to train on, got none");
  expect((await run("heard", "source.on_bad_line=skip")).code).toBe(0);
  expect(index("heard").counts).toEqual({ records: 2, skipped: 1 });
  const cut = ["rows.max_tokens=10", "rows.overlong=truncate"];
  const truncated = await run("cut", ...cut);
  expect(truncated.code).toBe(6);
  expect(truncated.stderr).toContain("after truncation to 10 tokens");
});

test("pairs: chosen and rejected side by side, both or neither", async () => {
  const run = (name: string, ...more: string[]) =>
    place.run(["run", name, "pairs.yaml", "out", ...more]);
  const { code, stderr } = await run("pairs");
  expect(stderr).toContain("tokens to train on");
  expect(code).toBe(0);
  const rows = rowsOf("pairs");
  expect(rows.length).toBe(12);
  expect(rows.map(({ trained }) => trained.trim().slice(0, 3))).toEqual(
    Array.from({ length: 12 }, (_, i) => (i % 2 === 0 ? "goo" : "bad")),
  );
  const most = Math.max(...rows.map(({ length }) => length)) - 1;
  await run("short", `rows.max_tokens=${most}`, "rows.overlong=drop");
  expect(rowsOf("short")).toEqual(rows.slice(0, 10));
  expect(index("short").counts).toEqual({ dropped: 1, overlong: 1, records: 6 });
  const split = await run("no", "rows.overlong=split");
  expect([split.code, split.stderr]).toEqual([2, expect.stringContaining("pairs cannot be split")]);
});

const rows = (name: string, file: string, ...more: string[]) =>
  place.run(["run", name, "rows.yaml", "out", `source.files=[${file}]`, ...more]);

test("one array of records, as alpaca_data.json is", async () => {
  const data = Array.from({ length: 9 }, (_, i) => ({
    ...{ instruction: `name ${i}`, input: i % 2 === 0 ? "" : "x", output: `it is ${i}` },
  }));
  place.file("alpaca_data.json", JSON.stringify(data, null, 2));
  const lines = data.map((each) => JSON.stringify(each)).join("\n");
  place.file("alpaca.jsonl", lines);
  for (const [name, file] of Object.entries({ array: "alpaca_data.json", lines: "alpaca.jsonl" }))
    expect((await rows(name, file)).code).toBe(0);
  expect(rowsOf("array").length).toBe(9);
  expect(rowsOf("array")).toEqual(rowsOf("lines"));
  place.file("broken.json", JSON.stringify([...data, { instruction: "no output" }]));
  const broken = await rows("broken", "broken.json");
  expect(broken.code).toBe(6);
  expect(broken.stderr).toContain("broken.json:10");
});

test("numbers that JavaScript would write otherwise reach the template as they are", async () => {
  const record = {
    messages: [
      { role: "user", content: "q" },
      { role: "assistant", content: "", tool_calls: [{ function: { name: "f", arguments: 0 } }] },
    ],
  };
  const body = JSON.stringify(record).replace(
    '"arguments":0',
    '"arguments":{"a":12345678901234567890,"b":1.0,"7":1e3}',
  );
  place.file("exact.jsonl", body);
  const template = [
    "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}{% generation %}",
    "{{ m.tool_calls[0].function.arguments | tojson }}{% endgeneration %}{% endif %}{% endfor %}",
  ].join("");
  place.file("exact.jinja", template);
  // A share that is held out asks for what the record is.
  const more = ["chat.template=exact.jinja", "tokens.validation_fraction=0.000001"];
  expect(await rows("exact", "exact.jsonl", ...more)).toMatchObject({ code: 0 });
  expect(rowsOf("exact").map(({ text }) => text)).toEqual([
    'q{"a": 12345678901234567890, "b": 1.0, "7": 1000.0}',
  ]);
});

test("fields that are called otherwise", async () => {
  const dialogs = Array.from({ length: 20 }, (_, i) => ({ dialog: talk(i).messages }));
  place.file("dialogs.jsonl", dialogs.map((each) => JSON.stringify(each)).join("\n"));
  const named = "chat.fields=[messages=dialog]";
  expect((await rows("dialogs", "dialogs.jsonl", named)).code).toBe(0);
  expect(rowsOf("dialogs")).toEqual(rowsOf("rows"));
  const missing = await rows("missing", "chat.jsonl", named);
  expect([missing.code, missing.stderr]).toEqual([6, expect.stringContaining('as "messages"')]);
  const bad = await rows("bad", "chat.jsonl", "chat.fields=[dialog]");
  expect([bad.code, bad.stderr]).toEqual([2, expect.stringContaining("USUAL=OWN")]);
});
