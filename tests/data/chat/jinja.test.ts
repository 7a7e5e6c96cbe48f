/** @file The Jinja engine against transformers' own, by fixtures of scripts/fixtures/: small templates and whole ones. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseExactJson } from "../../../src/data/chat/exact_json.ts";
import { JinjaTemplate } from "../../../src/data/chat/jinja/template.ts";
import { TemplateError } from "../../../src/data/chat/jinja/template_error.ts";
import { toValue, type Value } from "../../../src/data/chat/jinja/values.ts";

const folder = join(import.meta.dir, "../../fixtures/chat");
const read = (name: string): string => readFileSync(join(folder, name), "utf8");
const lines = (name: string): ReturnType<typeof JSON.parse>[] =>
  read(name)
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
const json = (name: string): ReturnType<typeof JSON.parse> => JSON.parse(read(name));

/** Text, or the reason of the failure. */
function outcome(source: string, variables: Value): string | { reason: string } {
  try {
    if (!(variables instanceof Map)) throw new Error("variables are a dict");
    return new JinjaTemplate(source).render(variables as Map<string, Value>).text;
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    return { reason: error.reason };
  }
}

/** Not built here: refused, never guessed. */
const REFUSED = [
  "{{ ms | groupby('role') }}",
  "{{ s | e }}",
  "{{ s | urlencode }}",
  "{{ s.encode() }}",
  "{% for x in xs recursive %}{{ x }}{% endfor %}",
];

describe("snippets render as in Python's Jinja", () => {
  const [{ data }, ...cases] = lines("snippets.jsonl") as [
    { data: string },
    ...{ template: string; text?: string; error?: string }[],
  ];
  const variables = toValue(parseExactJson(data));
  test.each(cases.map((each) => [each.template, each] as const))("%s", (template, wanted) => {
    const got = outcome(template, variables);
    if (REFUSED.includes(template)) expect(got).toEqual({ reason: "unsupported" });
    else if (wanted.text !== undefined) expect(got).toBe(wanted.text);
    else if (wanted.error === "TemplateError") expect(got).toEqual({ reason: "raised" });
    else
      expect(got).toHaveProperty("reason", expect.stringMatching(/^(failed|syntax|unsupported)$/));
  });
});

interface Case {
  readonly template: string;
  readonly conversation: string;
  readonly case: string;
  readonly text?: string;
  readonly spans?: [number, number][];
  readonly error?: string;
  readonly message?: string | null;
}

/** Python counts characters, we count UTF-16 units. */
const unitsOf = (text: string, at: number): number => [...text].slice(0, at).join("").length;

describe("conversations render as by apply_chat_template", () => {
  const special = json("special_tokens.json") as Record<string, Record<string, string>>;
  const conversations = json("conversations.json") as Record<string, Record<string, unknown>>;
  const rendered = lines("rendered.jsonl") as Case[];
  const options: Record<string, Record<string, boolean>> = {
    plain: {},
    prompt: { add_generation_prompt: true },
    no_thinking: { add_generation_prompt: true, enable_thinking: false },
  };
  const withReasoning = (message: Record<string, unknown>): Record<string, unknown> => {
    const { reasoning_content: reasoning } = message;
    return reasoning === undefined ? message : { thinking: reasoning, ...message };
  };

  test("there are twelve templates", () => expect(Object.keys(special)).toHaveLength(12));

  test.each(Object.keys(special))("%s", (name) => {
    const template = new JinjaTemplate(read(`templates/${name}.jinja`));
    const cases = rendered.filter((each) => each.template === name);
    expect(cases.length).toBe(3 * Object.keys(conversations).length);
    for (const { conversation, case: which, text, spans, error, message } of cases) {
      const { messages, tools = null } = conversations[conversation] ?? {};
      const variables = toValue({
        ...{ tools, documents: null, add_generation_prompt: false },
        ...special[name],
        ...options[which],
        messages: (messages as Record<string, unknown>[]).map(withReasoning),
      }) as Map<string, Value>;
      if (text === undefined) {
        const reason = error === "TemplateError" ? "raised" : "failed";
        expect(() => template.render(variables)).toThrow(expect.objectContaining({ reason }));
        expect(() => template.render(variables)).toThrow(message ?? "");
        continue;
      }
      const got = template.render(variables);
      expect({ conversation, which, text: got.text }).toEqual({ conversation, which, text });
      if (spans !== undefined)
        expect(got.trace.generations).toEqual(
          spans.map(([start, end]) => ({ start: unitsOf(text, start), end: unitsOf(text, end) })),
        );
    }
  });
});

test("a pinned date decides what strftime_now writes", () => {
  const template = new JinjaTemplate("{{ strftime_now('%d %b %Y, %A %j %-d %H:%M:%S %p') }}");
  const day = new Date(2025, 1, 3, 9, 5, 7);
  expect(template.render(new Map(), () => day).text).toBe("03 Feb 2025, Monday 034 3 09:05:07 AM");
});

test("an endless recursion is the template's fault, with its line", () => {
  const source = "\n{% macro m() %}{{ m() }}{% endmacro %}\n{{ m() }}";
  expect(() => new JinjaTemplate(source).render(new Map())).toThrow(TemplateError);
});

test.each(["{{ d.items }}", "{{ xs | map('upper') }}"])(
  "what Python prints with an address is refused: %s",
  (source) => {
    expect(outcome(source, toValue({ d: {}, xs: ["a"] }))).toEqual({ reason: "unsupported" });
  },
);
