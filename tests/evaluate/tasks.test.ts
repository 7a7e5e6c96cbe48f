/** @file Task files: what is read, and what is said about those that cannot be used. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TextTemplate } from "../../src/data/text_template.ts";
import { TASKS } from "../../src/evaluate/builtin_tasks.ts";
import { aggregate, filtered } from "../../src/evaluate/metrics.ts";
import { pythonRegex } from "../../src/evaluate/python_regex.ts";
import { readTask } from "../../src/evaluate/read_task.ts";
import { partText, partValue } from "../../src/evaluate/task.ts";
import { UserError } from "../../src/util/errors.ts";

const folder = mkdtempSync(join(tmpdir(), "theseus-tasks-"));
afterAll(() => rmSync(folder, { recursive: true }));

const GOOD = `task: mine
dataset_path: json
dataset_kwargs: { data_files: { test: items.jsonl } }
output_type: multiple_choice
test_split: test
doc_to_text: "{{q}}"
doc_to_target: "{{a}}"
doc_to_choice: ["no", "yes"]
`;

function read(text: string) {
  const path = join(folder, "task.yaml");
  writeFileSync(path, text);
  return readTask(path);
}

function refusal(text: string): string {
  try {
    read(text);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return `${error.code}:${error.place.line ?? "-"} ${error.message}`;
  }
  throw new Error("the task was read");
}

describe("what a task file cannot say", () => {
  test.each([
    ["an unknown key", `${GOOD}doc_to_txt: x\n`, /config:9 unknown key "doc_to_txt".*doc_to_text/],
    ["an unknown output", GOOD.replace("multiple_choice", "multiple_choices"), /config:4 unknown/],
    ["no split", GOOD.replace("test_split: test\n", ""), /test_split or validation_split/],
    ["no target", GOOD.replace(/doc_to_target.*\n/, ""), /doc_to_target is missing/],
    [
      "a Python function",
      `${GOOD}process_docs: !function utils.f\n`,
      /config:9 .*Python function utils\.f/,
    ],
    ["an unknown metric", `${GOOD}metric_list:\n  - metric: accc\n`, /unknown metric "accc".*acc/],
    [
      "an unknown filter",
      `${GOOD}filter_list:\n  - { name: x, filter: [{ function: majority }] }\n`,
      /unknown filter "majority"/,
    ],
    ["a template with a hole", GOOD.replace("{{q}}", "{{q"), /cannot be read/],
    ["a negative number of shots", `${GOOD}num_fewshot: -1\n`, /config:9 num_fewshot expected/],
  ])("%s", (_, text, message) => {
    expect(refusal(text)).toMatch(message);
  });
});

test("an included file gives what the file itself leaves out", () => {
  writeFileSync(join(folder, "base.yaml"), GOOD);
  const task = read("task: other\ninclude: base.yaml\nnum_fewshot: 3\n");
  expect([task.name, task.shots, task.output]).toEqual(["other", 3, "multiple_choice"]);
});

test("templates keep white space, and miss no field silently", () => {
  const item = { text: "a b  c", list: ["x", "it's"], n: 2 };
  const text = (source: string) => new TextTemplate(source).text(item);
  expect(text("{{text.split(' ')[:-1]|join(' ')}}")).toBe("a b ");
  expect(text("{% if n %}\n  yes\n{% endif %}\n")).toBe("\n  yes\n\n");
  expect(text("{{list}}")).toBe(`['x', "it's"]`);
  expect(new TextTemplate("{{list.index('x')}}").value(item)).toBe(0);
  expect(() => text("{{missing}}")).toThrow(/'missing' is undefined/);
});

test("the built-in tasks make of real records what lm-evaluation-harness makes of them", () => {
  const hellaswag = TASKS.named("hellaswag");
  const raw = {
    activity_label: "Removing ice [title]",
    ...{ ctx_a: "A man [step] cuts.", ctx_b: "he THEN", label: "2" },
    endings: ["runs  off. [title] Stop", "b", "c", "d"],
  };
  const item = hellaswag.process?.(raw) ?? {};
  expect(partText(hellaswag.text, item)).toBe("Removing ice. : A man cuts. He then");
  expect(partValue(hellaswag.choices ?? [], item)).toEqual(["runs off.. Stop", "b", "c", "d"]);
  const arc = TASKS.named("arc_easy");
  const question = { choices: { text: ["u", "v"], label: ["1", "2"] }, answerKey: "2" };
  expect(partValue(arc.target, question)).toBe(1);
  const wikitext = TASKS.named("wikitext");
  const page = { page: ' = Title = \n The 5 @,@ 000 dogs \' " quoted " ( x ) . N' };
  expect(partText(wikitext.target, page)).toBe(' = Title =\nThe 5,000 dogs\' "quoted" (x). N');
  expect(wikitext.measured?.(page)).toBe(page.page);
});

test("filters and patterns follow Python", () => {
  const [strict, flexible] = TASKS.named("gsm8k").filters;
  if (strict === undefined || flexible === undefined) throw new Error("gsm8k has two filters");
  expect(filtered("so 3 and\n#### 1,234.", strict)).toBe("1,234.");
  expect(filtered("none here", strict)).toBe("[invalid]");
  expect(filtered("first $12 then -7 left", flexible)).toBe("-7");
  expect("a\nb#### 7".replaceAll(pythonRegex("(?s).*#### ", "g"), "")).toBe("7");
  expect(() => pythonRegex("(?x) a")).toThrow(/verbose/);
});

test("means, ratios and their errors", () => {
  const items = [1, 0, 1, 1].map((value) => ({ value, weight: 1 }));
  const mean = aggregate("acc", items);
  expect(mean.value).toBe(0.75);
  expect(mean.stderr).toBeCloseTo(0.25, 12);
  const pages = [
    { value: -20, weight: 10 },
    { value: -44, weight: 20 },
  ];
  expect(aggregate("bits_per_byte", pages).value).toBeCloseTo(64 / 30 / Math.LN2, 12);
  expect(aggregate("word_perplexity", pages).value).toBeCloseTo(Math.exp(64 / 30), 12);
  expect(aggregate("acc", items.slice(0, 1)).stderr).toBeNull();
});
