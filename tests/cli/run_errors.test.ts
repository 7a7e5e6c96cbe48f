/** @file Mistakes with runs that are there: what is said, and the exit code. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { SMALL_CONFIG, Workplace } from "./command_line.ts";

setDefaultTimeout(60_000);
const place = new Workplace();
afterAll(() => place.remove());
const runs = join(place.path, "theseus-out/runs");
const directoryOf = (name: string) => join(runs, "general/default", name);

beforeAll(async () => {
  place.file("small.yaml", SMALL_CONFIG);
  place.file("tokens.yaml", "job: data/tokenize\n");
  expect(await place.run(["run", "first", "small.yaml"])).toMatchObject({ code: 0 });
  const copy = (name: string): string => {
    cpSync(directoryOf("first"), directoryOf(name), { recursive: true });
    return directoryOf(name);
  };
  const bare = copy("bare");
  rmSync(join(bare, "checkpoints"), { recursive: true });
  rmSync(join(bare, "model.safetensors"));
  rmSync(join(copy("lost"), "config.resolved.yaml"));
  const metrics = join(copy("blind"), "metrics.jsonl");
  const lines = readFileSync(metrics, "utf8").split("\n");
  writeFileSync(metrics, `${lines.filter((line) => !line.includes("val_loss")).join("\n")}\n`);
  cpSync(directoryOf("first"), join(place.path, "elsewhere"), { recursive: true });
  mkdirSync(join(runs, "other/default"), { recursive: true });
  cpSync(directoryOf("first"), join(runs, "other/default/twice"), { recursive: true });
  copy("twice");
  // On another host: nobody can tell whether it lives.
  const owner = { host: "node7", pid: 1234, started: "1", nonce: "n" };
  writeFileSync(join(copy("held"), "lock"), JSON.stringify(owner));
});

const MISTAKES: Readonly<Record<string, readonly string[]>> = {
  "a name that may mean two runs": ["show", "twice"],
  "a checkpoint that is not there": ["sample", "first@step-7", "We"],
  "a checkpoint of a run without any": ["restore", "bare"],
  "text from a run without weights": ["sample", "bare", "We"],
  "weights of a run without any": ["run", "x", "small.yaml", "--init-from", "bare"],
  "a run without its configuration": ["restore", "lost"],
  "a run outside of a root": ["restore", "elsewhere"],
  "a curve of what nobody measured": ["plot", "blind", "--metric", "val_loss"],
  "a column that is none": ["runs", "--columns", "run,joy"],
  "a preset of another job": ["configure", "data/tokenize", "-", "--from", "small.yaml"],
  "stages of what is no training": ["run", "x", "tokens.yaml", "-s", "small.yaml"],
  "a save asked of a run that has ended": ["checkpoint", "save", "first"],
  "a time to wait that is none": ["checkpoint", "save", "first", "--wait", "soon"],
  "to keep fewer checkpoints than two": ["checkpoint", "prune", "first", "--keep", "1"],
  "another architecture and seed": [
    ...["run", "first", "small.yaml", "architecture.n_layer=3", "training.seed=9"],
  ],
  "another course": ["run", "first", "small.yaml", "training.learning_rate=0.1"],
  "a trainer on another host": ["run", "held", "small.yaml"],
  "moving aside what another trainer works in": ["run", "held", "small.yaml", "--fresh"],
  "a global batch that the others contradict": [
    ...["plan", "small.yaml", "training.global_batch_size=6", "training.accumulate=4"],
  ],
  "an override for a stage that is not there": ["run", "x", "small.yaml", "2:training.steps=3"],
};

for (const [name, args] of Object.entries(MISTAKES))
  test(name, async () => {
    const said = await place.said(args);
    expect(said).not.toStartWith("exit 0");
    expect(said.replaceAll(hostname(), "HOST")).toMatchSnapshot();
  });
