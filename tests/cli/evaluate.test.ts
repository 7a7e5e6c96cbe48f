/** @file theseus eval, score, compare and tasks on a Hugging Face folder, and the job eval/run. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expected, FIXTURE } from "../evaluate/fixture.ts";
import { Workplace } from "./command_line.ts";

setDefaultTimeout(120_000);
const place = new Workplace();
afterAll(() => place.remove());

const model = join(FIXTURE, "model");
const task = (name: string) => join(FIXTURE, "tasks", `${name}.yaml`);

test("eval writes results and samples in lm-evaluation-harness's shape, and remembers them", async () => {
  const out = join(place.path, "out");
  const words = ["eval", model, "--tasks", `${task("labelled")},${task("colours")}`, "-o", out];
  const first = await place.run([...words, "--json"]);
  expect(first.code).toBe(0);
  const { results } = JSON.parse(first.stdout);
  expect(results.labelled["acc,none"]).toBeCloseTo(expected.results.labelled?.["acc,none"] ?? 0, 9);
  expect(results.labelled).toHaveProperty(["acc_stderr,none"]);
  const written = JSON.parse(readFileSync(join(out, "results.json"), "utf8"));
  expect(written["n-samples"].labelled).toEqual({ original: 24, effective: 24 });
  const samples = readFileSync(join(out, "samples_labelled.jsonl"), "utf8").trimEnd().split("\n");
  expect(samples.length).toBe(24);
  expect(JSON.parse(samples[0] ?? "")).toMatchObject({ doc_id: 0, metrics: ["acc", "acc_norm"] });
  const second = await place.run(words);
  expect(second.stderr).toContain("labelled, colours: from the cache");
  const third = await place.run([...words, "--limit", "3", "--no-cache"]);
  expect(third.stderr).not.toContain("from the cache");
});

test("compare of an evaluation with itself shows no difference", async () => {
  const out = join(place.path, "same");
  await place.run(["eval", model, "--tasks", task("endings"), "-o", out]);
  const { code, stdout } = await place.run(["compare", out, out]);
  expect(code).toBe(0);
  expect(stdout).toContain("no difference shown");
});

test("score gives a log-probability for every token but the first", async () => {
  const file = join(place.path, "text.txt");
  writeFileSync(file, "the river ran over stones and a small boat turned in the light ".repeat(20));
  const { code, stdout } = await place.run(["score", model, file, "--json"]);
  expect(code).toBe(0);
  const { ids, logprobs, loss, bits_per_byte } = JSON.parse(stdout);
  expect(ids.length).toBeGreaterThan(96);
  expect(logprobs.length).toBe(ids.length);
  expect(logprobs[0]).toBeNull();
  const known = logprobs.slice(1) as number[];
  expect(known.every((each) => each <= 0)).toBe(true);
  expect(loss).toBeCloseTo(-known.reduce((a, b) => a + b, 0) / known.length, 9);
  expect(bits_per_byte).toBeGreaterThan(0);
});

test("the job eval/run judges a model in a run directory", async () => {
  const file = join(place.path, "judge.yaml");
  writeFileSync(
    file,
    `job: eval/run\nevaluation:\n  model: ${model}\n  tasks: [${task("yes_no")}]\n  limit: 5\n`,
  );
  const { code, stderr } = await place.run(["run", "judge", file, place.path]);
  expect(stderr).toContain("yes_no acc,none");
  expect(code).toBe(0);
  const folder = join(place.path, "runs/general/default/judge");
  expect(existsSync(join(folder, "samples_yes_no.jsonl"))).toBe(true);
});

test("a task of users' code is judged by its name", async () => {
  const file = join(place.path, "mine.ts");
  const items = join(FIXTURE, "data/yes_no.jsonl");
  writeFileSync(
    file,
    `import { evaluation } from "theseus";
evaluation({
  name: "mine",
  output: "multiple_choice",
  source: { files: { test: [${JSON.stringify(items)}] } },
  text: (item) => \`\${item.passage}\\nAnswer:\`,
  target: "label",
  choices: ["no", "yes"],
  metrics: ["acc"],
});
`,
  );
  const words = ["eval", model, "--tasks", "mine", "--load", file, "--limit", "4", "--json"];
  const { code, stdout } = await place.run([...words, "-o", join(place.path, "mine")]);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)["n-samples"].mine).toEqual({ original: 20, effective: 4 });
});

test("what cannot be judged is said", async () => {
  const empty = join(place.path, "empty.jsonl");
  writeFileSync(empty, "");
  const none = join(place.path, "none.yaml");
  const text = readFileSync(task("labelled"), "utf8").replace("../data/labelled.jsonl", empty);
  writeFileSync(none, text);
  expect(await place.said(["eval", model, "--tasks", none])).toMatchSnapshot();
  expect(await place.said(["eval", model, "--tasks", "hellaswagg"])).toMatchSnapshot();
  expect(await place.said(["compare", place.path, place.path])).toMatchSnapshot();
  expect(await place.said(["score", model, join(place.path, "nothing")])).toMatchSnapshot();
});
