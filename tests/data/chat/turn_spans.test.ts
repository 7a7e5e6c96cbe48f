/** @file Which characters of a conversation are trained, for templates with and without marks of their own. */
import { describe, expect, test } from "bun:test";
import { BUILTIN_TEMPLATES } from "../../../src/data/chat/builtin_templates.ts";
import { ChatTemplate } from "../../../src/data/chat/chat_template.ts";
import { readConversation } from "../../../src/data/chat/read_conversation.ts";
import {
  fixtureTemplate,
  loop,
  markedTurns,
  ownTemplate,
  RECORDS,
  SPECIAL,
  talk,
} from "./chats_for_tests.ts";

describe("every template of the fixtures", () => {
  test.each(Object.keys(SPECIAL))("%s", (name) => {
    const template = fixtureTemplate(name);
    const shown = Object.entries(RECORDS).map(([key, record]) => [
      key,
      markedTurns(template, readConversation(record)).split("\n"),
    ]);
    expect(Object.fromEntries(shown)).toMatchSnapshot();
  });
});

const withoutMarks = (source: string): string =>
  source.replace(/\{%(-?)\s*(end)?generation\s*(-?)%\}/g, "{%$1 if true $3%}{%$1 endif $3%}");

describe("marks in the template and rendering up to the turn agree", () => {
  const special = { bos_token: "<|begin_of_text|>", eos_token: "</s>" };
  test.each(Object.keys(BUILTIN_TEMPLATES).filter((name) => name !== "raw"))("%s", (name) => {
    const { source = "", markers = [] } = BUILTIN_TEMPLATES[name] ?? {};
    const marks = new ChatTemplate({ name, source, special, markers });
    const plain = new ChatTemplate({ name, source: withoutMarks(source), special, markers });
    const conversations = [
      talk("a", "b"),
      talk("a", " b ", "c\n", "d"),
      talk("", "x", "\n", "y\n\n"),
    ];
    for (const conversation of conversations) {
      expect(markedTurns(marks, conversation)).toContain("«");
      expect(markedTurns(plain, conversation)).toBe(markedTurns(marks, conversation));
    }
  });
});

test("raw: prompt and completion, nothing else", () => {
  const template = new ChatTemplate({
    name: "raw",
    ...BUILTIN_TEMPLATES.raw,
    source: BUILTIN_TEMPLATES.raw?.source ?? "",
    special: { eos_token: "</s>" },
  });
  expect(markedTurns(template, talk("2+2=", "4"))).toBe("2+2=«4</s>»");
});

describe("a turn that is not trained", () => {
  const conversation = readConversation({
    messages: [
      { role: "user", content: "a" },
      { role: "assistant", content: "b", train: false },
      { role: "user", content: "c" },
      { role: "assistant", content: "d" },
    ],
  });
  test.each(["chatml", "chatml_generation"])("%s", (name) => {
    expect(markedTurns(fixtureTemplate(name), conversation)).toBe(
      [
        "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>",
        "<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n«d<|im_end|>»\n",
      ].join("\n"),
    );
  });
});

const TURN = "<{{ m.role }}>{{ m.content }}<end>";

test("a template that writes turns through a variable goes prefix by prefix", () => {
  const source = `{% set all %}${loop(TURN)}{% endset %}{{ all }}${loop("", "<assistant>")}`;
  expect(markedTurns(ownTemplate(source), talk("a", "b", "c", "d"))).toBe(
    "<user>a<end><assistant>«b<end>»<user>c<end><assistant>«d<end>»",
  );
});

test("earlier thinking that a later question takes away", () => {
  const answer = "{{ m.content if loop.last else m.content.split('</think>')[-1] }}";
  const each = TURN.replace("{{ m.content }}", answer);
  const conversation = talk("a", "<think>x</think>b", "c", "<think>y</think>d");
  expect(markedTurns(ownTemplate(loop(each, "<assistant><think>")), conversation)).toBe(
    "<user>a<end><assistant>«b<end>»<user>c<end><assistant><think>«y</think>d<end>»",
  );
  const hidden = `{% set all %}${loop(each)}{% endset %}{{ all }}${loop("", "<assistant>")}`;
  expect(markedTurns(ownTemplate(hidden), conversation)).toMatchSnapshot();
});

test("what is not certain is refused", () => {
  const marks = "{% generation %}{{ m.content }}{% endgeneration %}";
  const refused = {
    "a turn that does not begin like the prompt": loop("{{ m.role }}: {{ m.content }}", "<bot>"),
    "a prompt that changes the message before": loop(
      "{% if loop.last and add_generation_prompt %}!{% endif %}{{ m.content }}",
    ),
    "marks inside a macro": `{% macro turn(m) %}${marks}{% endmacro %}${loop("{{ turn(m) }}")}`,
    "a turn that is left out": loop("{% if m.role == 'user' %}{{ m.content }}{% endif %}"),
  };
  const shown = Object.entries(refused).map(([what, source]) => [
    what,
    markedTurns(ownTemplate(source), talk("a", "b")),
  ]);
  expect(Object.fromEntries(shown)).toMatchSnapshot();
});

test("a conversation that begins with the assistant", () => {
  const conversation = readConversation({
    messages: [
      { role: "assistant", content: "Welcome" },
      { role: "user", content: "hi" },
      { role: "assistant", content: "" },
    ],
  });
  expect(markedTurns(fixtureTemplate("chatml"), conversation)).toBe(
    "<|im_start|>assistant\n«Welcome<|im_end|>»\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n«<|im_end|>»\n",
  );
});

test("a mark that comes only with the next turn ends the one before", () => {
  const source = loop("<|im_start|>{{ m.role }}:{{ m.content }}", "<|im_start|>assistant:");
  expect(markedTurns(ownTemplate(source), talk("a", "b", "c", "d"))).toBe(
    "<|im_start|>user:a<|im_start|>assistant:«b<|im_start|>»user:c<|im_start|>assistant:«d»",
  );
});
