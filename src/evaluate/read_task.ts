/**
 * @file A task from its YAML file: the part of lm-evaluation-harness's format that needs no Python. What is not understood is an error
 * with its place, never skipped, but for keys that change nothing here.
 */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { Problems } from "../config/problems.ts";
import { type MapTree, parseYaml, type Tree } from "../config/yaml.ts";
import { TextTemplate } from "../data/text_template.ts";
import { ConfigError, UserError } from "../util/errors.ts";
import { didYouMean } from "../util/suggest.ts";
import { PROCESSORS } from "./processors.ts";
import { pythonRegex } from "./python_regex.ts";
import {
  type EvaluationTask,
  type Filter,
  type FilterStep,
  METRICS,
  type Metric,
  type MetricName,
  OUTPUT_TYPES,
  type OutputType,
  type Part,
} from "./task.ts";

type Json = Readonly<Record<string, unknown>>;

const KNOWN = new Set([
  ...["task", "task_alias", "include", "dataset_path", "dataset_name", "dataset_kwargs"],
  ...["training_split", "validation_split", "test_split", "fewshot_split", "output_type"],
  ...["doc_to_text", "doc_to_target", "doc_to_choice", "target_delimiter", "fewshot_delimiter"],
  ...["num_fewshot", "fewshot_config", "description", "metric_list", "generation_kwargs"],
  ...["filter_list", "process_docs", "process_results", "metadata"],
]);
/** They change nothing of the result. */
const IGNORED = new Set([
  ...["tag", "group", "group_alias", "should_decontaminate", "doc_to_decontamination_query"],
  ...["repeats", "gen_prefix", "unsafe_code", "doc"],
]);

const plain = (tree: Tree): unknown =>
  tree.kind === "value"
    ? tree.value
    : Object.fromEntries([...tree.entries].map(([key, { value }]) => [key, plain(value)]));

function textAt(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UserError(`cannot read the task ${path}: ${why}`, { code: "not_found" });
  }
}

/** The file's keys over those of the files it includes. */
function merged(path: string, text: string, depth = 0): { tree: MapTree; json: Json } {
  if (depth > 8) throw new ConfigError(`${path}: more than 8 files include one another`);
  const problems = new Problems();
  const tree = parseYaml({ name: path, text }, 0, problems);
  problems.throwIfAny();
  const json = plain(tree) as Json;
  if (typeof json.include !== "string") return { tree, json };
  const base = resolve(dirname(path), json.include);
  return { tree, json: { ...merged(base, textAt(base), depth + 1).json, ...json } };
}

class Reader {
  readonly path: string;
  readonly json: Json;
  private readonly tree: MapTree;

  constructor(path: string, text: string) {
    const { tree, json } = merged(path, text);
    this.path = path;
    this.tree = tree;
    this.json = json;
    for (const key of Object.keys(json))
      if (!KNOWN.has(key) && !IGNORED.has(key))
        this.fail(key, `unknown key "${key}".${didYouMean(key, [...KNOWN])}`);
    if (json.gen_prefix !== undefined) this.fail("gen_prefix", "gen_prefix is not supported");
    if (Number(json.repeats ?? 1) !== 1) this.fail("repeats", "repeats other than 1");
  }

  fail(key: string, message: string): never {
    const at = this.tree.entries.get(key)?.origin;
    const place = { path: this.path, ...(at === undefined ? {} : { line: at.line }), key };
    throw new ConfigError(message, { place });
  }

  string(key: string): string | null {
    const value = this.json[key] ?? null;
    if (value === null || typeof value === "string") return value;
    return this.fail(key, `${key} expected text, got ${JSON.stringify(value)}`);
  }

  integer(key: string, fallback: number): number {
    const value = this.json[key] ?? fallback;
    if (Number.isInteger(value) && Number(value) >= 0) return Number(value);
    return this.fail(key, `${key} expected an integer >= 0, got ${JSON.stringify(value)}`);
  }

  list(key: string): readonly Json[] {
    const value = this.json[key] ?? [];
    if (Array.isArray(value)) return value as Json[];
    return this.fail(key, `${key} expected a list, got ${JSON.stringify(value)}`);
  }

  map(key: string): Json {
    const value = this.json[key] ?? {};
    if (typeof value === "object" && !Array.isArray(value)) return value as Json;
    return this.fail(key, `${key} expected keys and values, got ${JSON.stringify(value)}`);
  }

  part(key: string): Part | null {
    const value = this.json[key] ?? null;
    if (value === null) return null;
    if (typeof value === "number") return value;
    if (Array.isArray(value)) return value.map(String);
    if (typeof value === "object") return Object.values(value).map(String);
    return new TextTemplate(String(value));
  }
}

function metricsOf(reader: Reader, output: OutputType): Metric[] {
  const given = reader.list("metric_list");
  const fallback: Record<OutputType, readonly MetricName[]> = {
    multiple_choice: ["acc", "acc_norm"],
    loglikelihood: ["perplexity", "acc"],
    loglikelihood_rolling: ["word_perplexity", "byte_perplexity", "bits_per_byte"],
    generate_until: ["exact_match"],
  };
  const listed: readonly Json[] =
    given.length > 0 ? given : fallback[output].map((metric) => ({ metric }));
  return listed.map((entry) => {
    const name = String(entry.metric);
    const metric = METRICS.find((each) => each === name);
    if (metric === undefined)
      return reader.fail("metric_list", `unknown metric "${name}".${didYouMean(name, METRICS)}`);
    const regexes = (entry.regexes_to_ignore ?? []) as readonly unknown[];
    return {
      metric,
      ignoreCase: entry.ignore_case === true,
      ignorePunctuation: entry.ignore_punctuation === true,
      ignoreNumbers: entry.ignore_numbers === true,
      regexesToIgnore: regexes.map((regex) => pythonRegex(String(regex), "g")),
    };
  });
}

function filterStep(reader: Reader, step: Json): FilterStep {
  const name = String(step.function);
  if (name === "regex")
    return {
      kind: "regex",
      pattern: pythonRegex(String(step.regex_pattern ?? "#### (\\-?[0-9\\.\\,]+)"), "g"),
      group: Number(step.group_select ?? 0),
      fallback: String(step.fallback ?? "[invalid]"),
    };
  const simple = ["take_first", "lowercase", "uppercase", "remove_whitespace"] as const;
  const kind = simple.find((each) => each === name);
  if (kind !== undefined) return { kind };
  return reader.fail("filter_list", `unknown filter "${name}".${didYouMean(name, simple)}`);
}

const filtersOf = (reader: Reader): Filter[] => {
  const filters = reader.list("filter_list").map((filter) => ({
    name: String(filter.name),
    steps: (filter.filter as readonly Json[]).map((step) => filterStep(reader, step)),
  }));
  return filters.length > 0 ? filters : [{ name: "none", steps: [{ kind: "take_first" }] }];
};

function sourceOf(reader: Reader): EvaluationTask["source"] {
  const path = reader.string("dataset_path");
  if (path === null) return reader.fail("dataset_path", "dataset_path is missing");
  const files = (reader.map("dataset_kwargs").data_files ?? {}) as Json | string;
  const bySplit = typeof files === "string" ? { train: files } : files;
  const base = dirname(reader.path);
  const resolved = Object.entries(bySplit).map(([split, names]) => {
    const all = Array.isArray(names) ? names.map(String) : [String(names)];
    return [split, all.map((name) => resolve(base, name))] as const;
  });
  return { path, config: reader.string("dataset_name"), files: Object.fromEntries(resolved) };
}

/** Python functions cannot run here; those of well known tasks are built in. */
function processorOf(reader: Reader, key: "process_docs" | "process_results") {
  const name = reader.string(key);
  if (name === null) return null;
  const known = PROCESSORS.get(`${reader.string("dataset_path")} ${name}`);
  if (known !== undefined) return known;
  return reader.fail(key, `${key} is the Python function ${name}, which cannot run here`);
}

function generationOf(reader: Reader) {
  const given = reader.map("generation_kwargs");
  const { until = [], max_gen_toks, max_new_tokens, temperature = 0, do_sample = false } = given;
  const stops = Array.isArray(until) ? until : [until];
  return {
    until: stops.map(String),
    maxTokens: Number(max_gen_toks ?? max_new_tokens ?? 256),
    temperature: do_sample === true ? Number(temperature) : 0,
  };
}

/** `text`: the file's content where it is known already. Throws ConfigError with the file and line. */
export function readTask(path: string, text = textAt(path)): EvaluationTask {
  const reader = new Reader(path, text);
  const name = reader.string("task") ?? reader.fail("task", "task (the name) is missing");
  const wanted = reader.string("output_type") ?? "generate_until";
  const output = OUTPUT_TYPES.find((each) => each === wanted);
  if (output === undefined)
    return reader.fail("output_type", `unknown output_type.${didYouMean(wanted, OUTPUT_TYPES)}`);
  const split = reader.string("test_split") ?? reader.string("validation_split");
  if (split === null) return reader.fail("task", "test_split or validation_split is missing");
  const fewshot = reader.map("fewshot_config");
  const docs = processorOf(reader, "process_docs");
  const results = processorOf(reader, "process_results");
  return {
    name,
    doc: reader.string("task_alias") ?? name,
    version: String(reader.map("metadata").version ?? "1"),
    output,
    source: sourceOf(reader),
    split,
    fewshotSplit:
      reader.string("fewshot_split") ??
      (fewshot.split === undefined ? null : String(fewshot.split)) ??
      reader.string("training_split") ??
      reader.string("validation_split"),
    shots: reader.integer("num_fewshot", 0),
    sampler: fewshot.sampler === "first_n" ? "first_n" : "default",
    description: reader.string("description") ?? "",
    text: reader.part("doc_to_text") ?? new TextTemplate(""),
    target: processedTarget(reader),
    choices: reader.part("doc_to_choice"),
    targetDelimiter: reader.string("target_delimiter") ?? " ",
    fewshotDelimiter: reader.string("fewshot_delimiter") ?? "\n\n",
    ...generationOf(reader),
    filters: filtersOf(reader),
    metrics: metricsOf(reader, output),
    process: docs?.item ?? null,
    measured: results?.measured ?? null,
  };
}

function processedTarget(reader: Reader): Part {
  const part = reader.part("doc_to_target");
  if (part === null) return reader.fail("doc_to_target", "doc_to_target is missing");
  const known = PROCESSORS.get(`${reader.string("dataset_path")} ${reader.json.doc_to_target}`);
  return known?.text ?? part;
}
