/** @file theseus tokenize: what it prints of texts and conversations, and what it says of bad ones. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { Workplace } from "./command_line.ts";

setDefaultTimeout(120_000);
const place = new Workplace();
afterAll(() => place.remove());

const CHATS = [
  {
    messages: [
      { role: "user", content: "hi<|endoftext|>" },
      { role: "assistant", content: "yo\n" },
    ],
  },
  { instruction: "Add", input: "1 2", output: "3" },
  { messages: [{ role: "user", content: "only a question" }] },
];
place.file("text.txt", "Hello  wörld\n");
place.file("chats.jsonl", CHATS.map((chat) => JSON.stringify(chat)).join("\n"));
place.file("list.json", JSON.stringify(CHATS, null, 2));
place.file("bad.jsonl", '{"prompt": "a", "response": "b"}\n\n{"prompt": 5, "response": "b"}\n');
place.file("broken.jsonl", '{"prompt": "a", "response": "b"}\n{"prompt": ');
place.file(
  "strict.jinja",
  "{% for m in messages %}{{ raise_exception('no ' ~ m.role) }}{% endfor %}",
);

const said = (...args: string[]): Promise<string> => place.said(["tokenize", ...args]);

test("a text", async () => {
  expect(await said("text.txt", "--tokenizer", "gpt2", "--show")).toMatchSnapshot();
  expect(await said("--text", "é👋", "--tokenizer", "bytes", "--json")).toMatchSnapshot();
  expect(
    await said("--text", "a<|endoftext|>", "--tokenizer", "gpt2", "--special", "--show"),
  ).toMatchSnapshot();
});

test("conversations, a record a line or as a list", async () => {
  const chat = ["--tokenizer", "gpt2", "--chat", "plain"];
  const shown = await said("chats.jsonl", ...chat, "--system", "Be brief", "--show");
  expect(shown).toMatchSnapshot();
  const { code, stdout } = await place.run(["tokenize", "list.json", ...chat, "--json"]);
  const { conversations, trained, tokens } = JSON.parse(stdout);
  expect({ code, lines: conversations.length }).toEqual({ code: 0, lines: 3 });
  expect(tokens).toBe(conversations.flatMap(({ ids }: { ids: number[] }) => ids).length);
  expect(trained).toBe(
    conversations.flatMap(({ mask }: { mask: number[] }) => mask.filter((one) => one === 1)).length,
  );
});

test("a format by name, and fields that are called otherwise", async () => {
  const record = { dialog: CHATS[0]?.messages, prompt: "a", response: "b" };
  place.file("own.jsonl", JSON.stringify(record));
  const chat = ["tokenize", "own.jsonl", "--tokenizer", "gpt2", "--chat", "plain"];
  const textOf = async (...more: string[]) =>
    JSON.parse((await place.run([...chat, "--json", ...more])).stdout).conversations[0].text;
  expect(await textOf()).toContain("User: a");
  const named = ["--field", "messages=dialog"];
  expect(await textOf(...named, "--format", "openai")).toContain("Assistant: yo");
  const both = await place.run([...chat, ...named]);
  expect([both.code, both.stderr]).toEqual([6, expect.stringContaining("fits openai and prompt")]);
  for (const [args, what] of [
    [["--format", "csv"], "--format: expected openai, sharegpt, alpaca, prompt, got csv"],
    [["--field", "dialog"], 'expected a field as USUAL=OWN, got "dialog"'],
    [["--field", "dialogue=x"], 'no format has a field "dialogue"'],
  ] as const) {
    const { code, stderr } = await place.run([...chat, ...args]);
    expect([code, stderr]).toEqual([2, expect.stringContaining(what)]);
  }
  const text = await place.run(["tokenize", "text.txt", "--tokenizer", "gpt2", ...named]);
  expect([text.code, text.stderr]).toEqual([2, expect.stringContaining("go with --chat")]);
});

test("colours on demand, and never with NO_COLOR", async () => {
  const args = ["tokenize", "chats.jsonl", "--tokenizer", "gpt2", "--chat", "plain", "--show"];
  const colored = await place.run(args, { NO_COLOR: "", FORCE_COLOR: "1" });
  expect(colored.stdout).toContain("\x1b[32m*\x1b[0m");
  const plain = await place.run(args, { NO_COLOR: "1" });
  expect(plain.stdout).not.toContain("\x1b");
  expect(Bun.stripANSI(colored.stdout)).toBe(plain.stdout);
});

test("what does not fit", async () => {
  const chat = ["--tokenizer", "gpt2", "--chat"];
  const wrong = [
    await said("bad.jsonl", ...chat, "raw"),
    await said("broken.jsonl", ...chat, "raw"),
    await said("chats.jsonl", ...chat, "strict.jinja"),
    await said("chats.jsonl", ...chat, "auto"),
    await said("chats.jsonl", ...chat, "chatlm"),
    await said("text.txt"),
    await said("text.txt", "--text", "x", "--tokenizer", "gpt2"),
    await said("missing.txt", "--tokenizer", "gpt2"),
    await said("text.txt", "--tokenizer", "gpt3"),
    await said("text.txt", "--tokenizer", "gpt2", "--system", "x"),
  ];
  expect(wrong).toMatchSnapshot();
});
