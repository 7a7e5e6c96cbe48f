/**
 * @file What a task asks of a model: for each item a prompt with its few-shot examples, and the texts whose likelihood is wanted or
 * the answer that is to be generated. The texts are those that lm-evaluation-harness makes.
 */
import type { Fields } from "../data/text_template.ts";
import { DataError } from "../util/errors.ts";
import { PythonRandom } from "./python_random.ts";
import { type EvaluationTask, partText, partValue } from "./task.ts";

/** Log-likelihood of `continuation` after `context`; a null context: of the whole text, window by window. */
export interface LikelihoodRequest {
  readonly kind: "likelihood";
  readonly context: string | null;
  readonly continuation: string;
}

export interface GenerationRequest {
  readonly kind: "generation";
  readonly prompt: string;
}

export interface PreparedItem {
  readonly index: number;
  readonly item: Fields;
  readonly requests: readonly (LikelihoodRequest | GenerationRequest)[];
  readonly choices: readonly string[] | null;
  /** Right choices by index, or right answers. */
  readonly targets: readonly (number | string)[];
}

const DIGITS = /^[0-9]+$/;

/** The right choice or answer as the task writes it: "2", 2, "[...]" and lists of several. */
function targetsOf(task: EvaluationTask, item: Fields, choices: readonly string[] | null) {
  const value = partValue(task.target, item);
  const all = Array.isArray(value) ? value : [value];
  return all.map((each): number | string => {
    if (choices === null) return String(each);
    if (typeof each === "number") return each;
    const text = String(each);
    if (DIGITS.test(text) && !choices.includes(text)) return Number(text);
    const at = choices.indexOf(text);
    if (at !== -1) return at;
    return DIGITS.test(text) ? Number(text) : text;
  });
}

function choicesOf(task: EvaluationTask, item: Fields): readonly string[] | null {
  if (task.choices === null) return null;
  const value = partValue(task.choices, item);
  if (Array.isArray(value)) return value.map(String);
  throw new DataError(`task ${task.name}: doc_to_choice expected a list, got ${String(value)}`);
}

/** The question as text, or as the choice that an index stands for. */
function questionOf(task: EvaluationTask, item: Fields): string {
  return partText(task.text, item);
}

/** The answer as it stands in a worked example. */
function answerOf(task: EvaluationTask, item: Fields): string {
  const choices = choicesOf(task, item);
  const [first] = targetsOf(task, item, choices);
  if (first === undefined) return "";
  return typeof first === "number" ? (choices?.[first] ?? String(first)) : first;
}

export class PromptBuilder {
  private readonly task: EvaluationTask;
  private readonly shots: number;
  private readonly examples: readonly Fields[];
  private readonly random: PythonRandom;

  /** `examples`: all items of the few-shot split. */
  constructor(task: EvaluationTask, shots: number, examples: readonly Fields[], seed: number) {
    this.task = task;
    this.shots = shots;
    this.examples = examples;
    this.random = new PythonRandom(seed);
    if (shots > 0 && examples.length < shots)
      throw new DataError(
        `task ${task.name} asks for ${shots} examples, its split ${task.fewshotSplit} has ${examples.length}`,
      );
  }

  /** Items have to be asked for in order: the examples are drawn one item after the other. */
  prompt(item: Fields): string {
    const { task } = this;
    let text = task.description;
    for (const example of this.draw(item))
      text +=
        questionOf(task, example) +
        (answerOf(task, example) === "" ? "" : task.targetDelimiter + answerOf(task, example)) +
        task.fewshotDelimiter;
    return text + questionOf(task, item);
  }

  private draw(item: Fields): readonly Fields[] {
    const { task, shots, examples, random } = this;
    if (shots === 0) return [];
    const same = task.fewshotSplit === task.split;
    const isItem = (each: Fields): boolean => JSON.stringify(each) === JSON.stringify(item);
    if (task.sampler === "first_n")
      return (same ? examples.filter((each) => !isItem(each)) : examples).slice(0, shots);
    if (!same) return random.sample(examples, shots);
    // One more than needed, for the case that the item itself is drawn.
    const drawn = random.sample(examples, shots + 1).filter((each) => !isItem(each));
    if (drawn.length >= shots) return drawn.slice(0, shots);
    return random.sample(
      examples.filter((each) => !isItem(each)),
      shots,
    );
  }
}

export function prepareItem(
  task: EvaluationTask,
  prompts: PromptBuilder,
  item: Fields,
  index: number,
): PreparedItem {
  const choices = choicesOf(task, item);
  const targets = targetsOf(task, item, choices);
  const base = { index, item, choices, targets };
  const prompt = prompts.prompt(item);
  if (task.output === "generate_until")
    return { ...base, requests: [{ kind: "generation", prompt }] };
  const likelihood = (context: string | null, continuation: string): LikelihoodRequest => ({
    kind: "likelihood",
    context,
    continuation,
  });
  if (task.output === "loglikelihood_rolling")
    return { ...base, requests: [likelihood(null, partText(task.target, item))] };
  if (task.output === "loglikelihood")
    return { ...base, requests: [likelihood(prompt, partText(task.target, item))] };
  if (choices === null || choices.length === 0)
    throw new DataError(`task ${task.name}: item ${index} has no choices`);
  const requests = choices.map((choice) => likelihood(prompt, task.targetDelimiter + choice));
  return { ...base, requests };
}
