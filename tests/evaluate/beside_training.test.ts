/** @file Evaluation beside a training: on its interval and at the end, on the live weights, and never the end of a run. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SMALL_CONFIG, Workplace } from "../cli/command_line.ts";
import { FIXTURE } from "./fixture.ts";

setDefaultTimeout(120_000);
const place = new Workplace();
afterAll(() => place.remove());
const config = place.file("small.yaml", SMALL_CONFIG);
const task = join(FIXTURE, "tasks/colours.yaml");
const train = (name: string, ...more: string[]) =>
  place.run(["run", name, config, place.path, "evaluation.limit=3", ...more]);
const folder = (name: string) => join(place.path, "runs/general/default", name);

test("results of the interval and of the end are those of the saved weights", async () => {
  const ending = "evaluation.interval=8";
  const { code } = await train("judged", `evaluation.tasks=[${task}]`, ending);
  expect(code).toBe(0);
  const evaluations = join(folder("judged"), "evaluations");
  expect(readdirSync(evaluations)).toEqual(["step-000008", "step-000012"]);
  const beside = readFileSync(join(evaluations, "step-000012/samples_colours.jsonl"), "utf8");
  const out = join(place.path, "later");
  const words = ["eval", "judged", "--tasks", task, "--limit", "3", "-o", out];
  await place.run([...words, "--root", place.path]);
  expect(readFileSync(join(out, "samples_colours.jsonl"), "utf8")).toBe(beside);
});

test("an evaluation changes no bit of the training, and its failure does not end it", async () => {
  await train("alone");
  const broken = place.file("broken.jsonl", '{"thing": "rain"}\n{"thing": ');
  const text = readFileSync(task, "utf8").replace("../data/colours.jsonl", broken);
  writeFileSync(join(place.path, "broken.yaml"), text);
  const tasks = `evaluation.tasks=[${task},${join(place.path, "broken.yaml")}]`;
  const { code, stderr } = await train("failing", tasks, "evaluation.interval=4");
  expect(code).toBe(0);
  expect(stderr).toContain("evaluation failed after step 4");
  const weights = (name: string) =>
    Bun.hash(readFileSync(join(folder(name), "model.safetensors"))).toString();
  expect(weights("failing")).toBe(weights("alone"));
  expect(weights("judged")).toBe(weights("alone"));
});

test("a task that does not exist is said before the first step", async () => {
  const { code, stderr } = await train("typo", "evaluation.tasks=[hellaswagg]");
  expect(code).toBe(2);
  expect(stderr).toContain('Did you mean "hellaswag"?');
});
