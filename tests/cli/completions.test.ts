/** @file What a shell is told may come next, and where a configuration's values come from. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { completionsOf } from "../../src/cli/complete_words.ts";
import { COMMANDS } from "../../src/cli/main.ts";
import { Workplace } from "./command_line.ts";

setDefaultTimeout(60_000);
const place = new Workplace();
const root = join(place.path, "out");
for (const path of ["general/default/first", "general/default/twin", "other/default/twin"])
  mkdirSync(join(root, "runs", path), { recursive: true });
afterAll(() => place.remove());

test("commands, and commands below them", async () => {
  expect(await completionsOf([])).toEqual([...Object.keys(COMMANDS), "help"]);
  expect(await completionsOf(["sho"])).toEqual(["show"]);
  expect(await completionsOf(["help", "dr"])).toEqual([]);
  expect(await completionsOf(["checkpoint", ""])).toEqual([
    "list",
    "verify",
    "save",
    "export",
    "prune",
  ]);
  expect(await completionsOf(["nothing", ""])).toEqual([]);
});

test("options, also those of all commands and those that repeat", async () => {
  expect(await completionsOf(["run", "--f"])).toEqual(["--fresh", "--fetch-only"]);
  expect(await completionsOf(["run", "--st"])).toEqual(["--stage"]);
  expect(await completionsOf(["runs", "--js"])).toEqual(["--json"]);
  expect(await completionsOf(["checkpoint", "prune", "--k"])).toEqual(["--keep"]);
});

test("values: presets, jobs, runs by the shortest name that means one", async () => {
  expect(await completionsOf(["run", "name", "gpt/"])).toContain("gpt/tiny-sotu");
  expect(await completionsOf(["run", ""])).toEqual([]);
  expect(await completionsOf(["configure", ""])).toContain("gpt/pretrain");
  expect(await completionsOf(["run", "name", "a.yaml", "-s", ""])).toContain("gpt/tiny-sotu");
  const runs = ["first", "general/default/twin", "other/default/twin"];
  expect(await completionsOf(["show", "--root", root, ""])).toEqual(runs);
  expect(await completionsOf(["plot", "--root", root, "first", ""])).toEqual(runs);
  expect(await completionsOf(["show", "--root", root, "f"])).toEqual(["first"]);
});

test("each shell gets a script that asks this program", async () => {
  for (const shell of ["bash", "zsh", "fish"])
    expect((await place.run(["completions", shell])).stdout).toContain(
      "theseus completions words ",
    );
});

test("configure --origins: default, preset, file or command line, with the place", async () => {
  place.file("mine.yaml", "extends: gpt/tiny-sotu\ntraining: { steps: 7 }\n");
  const args = ["configure", "gpt/pretrain", "--origins", "--from", "mine.yaml", "training.seed=5"];
  const { stdout } = await place.run([...args, "--json"]);
  const values = JSON.parse(stdout).values as { path: string }[];
  const at = (path: string) => values.find((each) => each.path === path);
  const steps = { path: "training.steps", value: 7, kind: "file", place: "mine.yaml:2:20" };
  expect(at("training.steps")).toEqual(steps);
  expect(at("training.seed")).toMatchObject({ value: 5, kind: "command line", place: "" });
  expect(at("architecture.n_layer")).toMatchObject({ kind: "preset" });
  expect(at("architecture.dropout")).toMatchObject({ value: 0, kind: "default", place: "" });
  const table = (await place.run(args)).stdout;
  expect(table).toMatch(/training\.steps +7 +file mine\.yaml:2:20/);
  expect(table.trimEnd().split("\n")).toHaveLength(values.length);
});
