/** @file Prompts, continuations and few-shot examples are, character for character, those of lm-evaluation-harness. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { Fields } from "../../src/data/text_template.ts";
import { PythonRandom } from "../../src/evaluate/python_random.ts";
import { PromptBuilder, prepareItem } from "../../src/evaluate/requests.ts";
import type { EvaluationTask } from "../../src/evaluate/task.ts";
import { expected, fixtureTask, TASK_NAMES } from "./fixture.ts";

const itemsOf = (task: EvaluationTask, split: string): Fields[] =>
  (task.source.files[split] ?? []).flatMap((path) =>
    readFileSync(path, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Fields),
  );

describe("arguments of requests", () => {
  test.each(TASK_NAMES)("%s", (name) => {
    const task = fixtureTask(name);
    const items = itemsOf(task, task.split);
    const examples = task.fewshotSplit === null ? [] : itemsOf(task, task.fewshotSplit);
    const prompts = new PromptBuilder(task, task.shots, examples, 1234);
    const first = expected.samples[name]?.[0]?.filter;
    const wanted = expected.samples[name]?.filter(({ filter }) => filter === first) ?? [];
    expect(wanted.length).toBe(items.length);
    items.forEach((item, index) => {
      const { requests } = prepareItem(task, prompts, item, index);
      const made = requests.map((request) =>
        request.kind === "generation"
          ? [request.prompt]
          : request.context === null
            ? [request.continuation]
            : [request.context, request.continuation],
      );
      expect(made).toEqual((wanted[index]?.arguments ?? []) as string[][]);
    });
  });
});

test("draws what Python draws", () => {
  // random.Random(1234): sample(range(1000), 5), sample(range(12), 6), sample(range(1000), 26)[:3]
  const random = new PythonRandom(1234);
  const population = Array.from({ length: 1000 }, (_, i) => i);
  expect(random.sample(population, 5)).toEqual([989, 796, 451, 119, 7]);
  expect(random.sample(population.slice(0, 12), 6)).toEqual([1, 9, 0, 11, 8, 6]);
  expect(random.sample(population, 26).slice(0, 3)).toEqual([363, 242, 17]);
});
