/** @file Records of every format as conversations, and what is said of those that are none. */
import { describe, expect, test } from "bun:test";
import { parseExactJson } from "../../../src/data/chat/exact_json.ts";
import { Float } from "../../../src/data/chat/jinja/values.ts";
import {
  type ReadOptions,
  readConversation,
  readPair,
} from "../../../src/data/chat/read_conversation.ts";
import { DataError } from "../../../src/util/errors.ts";

const place = { path: "data.jsonl", line: 12 };

/** Messages as "role: content", with * at those that are trained. */
const turns = (value: unknown, options: ReadOptions = {}): string[] =>
  readConversation(value, { place, ...options }).messages.map(
    ({ role, fields, train }) => `${train ? "*" : ""}${role}: ${fields.content}`,
  );

const fault = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    const { path, line } = error.place;
    const said = `${path}:${line}  ${error.message}`;
    return error.hint === undefined ? said : `${said} [${error.hint}]`;
  }
  return "no error";
};

const user = { role: "user", content: "q" };
const call = (spelled: unknown) => ({
  type: "function",
  function: { name: "f", arguments: spelled },
});

describe("formats", () => {
  test("OpenAI messages, with parts, train and weight", () => {
    const messages = [
      { role: "system", content: "s" },
      {
        role: "user",
        content: [
          { type: "text", text: "a" },
          { type: "text", text: "b" },
        ],
      },
      { role: "assistant", content: "one", train: false },
      user,
      { role: "assistant", content: "two", weight: 0 },
      user,
      { role: "assistant", content: "three", weight: 1 },
    ];
    expect(turns({ messages })).toEqual([
      ...["system: s", "user: a\nb", "assistant: one", "user: q", "assistant: two", "user: q"],
      "*assistant: three",
    ]);
    const [, , first] = readConversation({ messages }).messages;
    expect(first?.fields).toEqual({ role: "assistant", content: "one" });
  });

  test("ShareGPT, with roles under all their names and calls of functions", () => {
    const conversations = [
      { from: "human", value: "q" },
      { from: "function_call", value: '{"name": "f", "arguments": {"x": 1}}' },
      { from: "observation", value: "r" },
      { from: "gpt", value: "a" },
    ];
    const record = { conversations, system: "be brief", tools: '[{"name": "f"}]' };
    expect(turns(record)).toEqual([
      ...["system: be brief", "user: q", "*assistant: null", "tool: r", "*assistant: a"],
    ]);
    const { messages, tools } = readConversation(record);
    expect(messages[2]?.fields.tool_calls).toEqual([call({ x: 1 })]);
    expect(tools).toEqual([{ name: "f" }]);
  });

  test("messages that a file calls conversations", () => {
    expect(turns({ conversations: [user, { role: "assistant", content: "a" }] })).toEqual([
      ...["user: q", "*assistant: a"],
    ]);
  });

  test("Alpaca, with input, history and system", () => {
    expect(turns({ instruction: "Add", input: "1 2", output: "3" })).toEqual([
      ...["user: Add\n\n1 2", "*assistant: 3"],
    ]);
    const record = { instruction: "i", input: "", output: "o", system: "s", history: [["a", "b"]] };
    expect(turns(record)).toEqual([
      ...["system: s", "user: a", "*assistant: b", "user: i", "*assistant: o"],
    ]);
  });

  test("prompt and response or completion, as text or as messages", () => {
    expect(turns({ prompt: "p", response: "r" })).toEqual(["user: p", "*assistant: r"]);
    expect(turns({ prompt: "p", completion: "c" })).toEqual(["user: p", "*assistant: c"]);
    const prompt = [user, { role: "assistant", content: "before" }, user];
    expect(turns({ prompt, completion: [{ role: "assistant", content: "c" }] })).toEqual([
      ...["user: q", "assistant: before", "user: q", "*assistant: c"],
    ]);
  });

  test("other names of fields, and a default system prompt", () => {
    const options = {
      format: "prompt",
      fields: { prompt: "question", response: "answer" },
      system: "S",
    } as const;
    expect(turns({ question: "p", answer: "r" }, options)).toEqual([
      ...["system: S", "user: p", "*assistant: r"],
    ]);
    expect(
      turns({ messages: [{ role: "developer", content: "own" }, user] }, { system: "S" }),
    ).toEqual([...["developer: own", "user: q"]]);
  });

  test("arguments of tools become objects, from JSON text as well", () => {
    const calls = (spelled: unknown) => ({
      messages: [user, { role: "assistant", tool_calls: [call(spelled)] }],
    });
    for (const spelled of ['{"a": 1}', { a: 1 }]) {
      const [, answer] = readConversation(calls(spelled)).messages;
      expect(answer?.fields).toEqual({
        role: "assistant",
        content: null,
        tool_calls: [call({ a: 1 })],
      });
    }
  });
});

describe("pairs", () => {
  test("only what differs is trained", () => {
    const prompt = [user, { role: "assistant", content: "a" }, user];
    const shown = (value: unknown): string[][] => {
      const { chosen, rejected } = readPair(value);
      return [chosen, rejected].map(({ messages }) =>
        messages.map(({ role, fields, train }) => `${train ? "*" : ""}${role}: ${fields.content}`),
      );
    };
    const before = ["user: q", "assistant: a", "user: q"];
    const expected = [
      [...before, "*assistant: good"],
      [...before, "*assistant: bad"],
    ];
    const [good, bad] = ["good", "bad"].map((content) => ({ role: "assistant", content }));
    expect(shown({ prompt, chosen: "good", rejected: "bad" })).toEqual(expected);
    expect(shown({ prompt, chosen: [good], rejected: [bad] })).toEqual(expected);
    expect(shown({ chosen: [...prompt, good], rejected: [...prompt, bad] })).toEqual(expected);
    expect(shown({ prompt, chosen: [...prompt, good], rejected: [...prompt, bad] })).toEqual(
      expected,
    );
  });

  test("what is no pair", () => {
    expect([
      fault(() => readPair({ chosen: "a", rejected: "b" }, { place })),
      fault(() => readPair({ prompt: "p", chosen: "a", rejected: "a" }, { place })),
      fault(() => readPair({ prompt: "p", chosen: "a" }, { place })),
    ]).toMatchSnapshot();
  });
});

const BAD: Record<string, unknown> = {
  "no object": 5,
  "no keys of a format": { text: "x", label: 1 },
  "a pair": { chosen: "a", rejected: "b" },
  "two formats": { messages: [user], prompt: "p", response: "r" },
  "no list": { messages: "hi" },
  "no messages": { messages: [] },
  "a message that is text": { messages: ["hi"] },
  "an unknown role": { messages: [{ role: "asistant", content: "x" }] },
  "no role": { messages: [{ content: "x" }] },
  "no content": { messages: [user, { role: "assistant", contnet: "x" }] },
  "content of another kind": { messages: [{ role: "user", content: 5 }] },
  "an image": { messages: [{ role: "user", content: [{ type: "image_url", image_url: {} }] }] },
  "half a surrogate pair": { messages: [{ role: "user", content: "\ud83d" }] },
  "train of another kind": { messages: [{ ...user, train: "no" }] },
  "a user to train": { messages: [{ ...user, train: true }] },
  "a weight of one half": { messages: [{ role: "assistant", content: "x", weight: 0.5 }] },
  "tool calls of a user": { messages: [{ ...user, tool_calls: [call({})] }] },
  "arguments that are no JSON": { messages: [{ role: "assistant", tool_calls: [call("{x")] }] },
  "arguments that are no object": { messages: [{ role: "assistant", tool_calls: [call("[1]")] }] },
  "tools that are no list": { messages: [user], tools: { name: "f" } },
  "a tool without a name": { messages: [user], tools: [{ type: "function", function: {} }] },
  "ShareGPT without a value": { conversations: [{ from: "human", text: "x" }] },
  "Alpaca without text": { instruction: "x", output: null },
  "Alpaca with an odd output": { instruction: "x", output: 3 },
  "two system prompts": {
    conversations: [
      { from: "system", value: "a" },
      { from: "human", value: "b" },
    ],
    system: "c",
  },
  "two answers": { prompt: "p", response: "a", completion: "b" },
};

test("errors name file, line and field, and what came", () => {
  const faults = Object.entries(BAD).map(([what, value]) => [
    what,
    fault(() => readConversation(value, { place })),
  ]);
  expect(Object.fromEntries(faults)).toMatchSnapshot();
  expect(
    fault(() => readConversation({ messages: [user] }, { place, format: "alpaca" })),
  ).toMatchSnapshot();
  expect(
    fault(() => readConversation({ q: "x" }, { place, fields: { prompt: "question" } })),
  ).toMatchSnapshot();
});

describe("exact JSON", () => {
  test("keeps floats, digits and the order of keys", () => {
    const text =
      '{"a": 1.0, "b": {"2": 1e3, "1": [12345678901234567890, -0.0, 1.5, "1.0 \\" }", true, null]}}';
    const value = parseExactJson(text) as { a: unknown; b: Map<string, unknown> };
    expect(value.a).toEqual(new Float(1));
    expect([...value.b.keys()]).toEqual(["2", "1"]);
    expect(value.b.get("2")).toEqual(new Float(1000));
    expect(value.b.get("1")).toEqual([
      ...[12345678901234567890n, new Float(-0), 1.5, '1.0 " }', true, null],
    ]);
  });

  test("is JSON.parse where that loses nothing", () => {
    const values = [
      {},
      [],
      { a: [1, { b: "x\n\u{1f600}" }], c: null },
      "x",
      1.5,
      [[[]]],
      { "": [] },
    ];
    for (const value of values) {
      const text = JSON.stringify(value);
      expect(parseExactJson(text)).toEqual(value);
      expect(parseExactJson(`[2.0, ${text} , ${text}]`)).toEqual([new Float(2), value, value]);
    }
    expect(() => parseExactJson('{"a": 1.0')).toThrow(SyntaxError);
  });
});
