/** @file Jobs that are no trainings: a user's own, through the command line. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Workplace } from "../cli/command_line.ts";

setDefaultTimeout(60_000);

const CODE = `
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError, field, int, task } from "theseus";

const fields = {
  to: field("count/to", int({ min: 1 }), 3, "where to stop"),
  pause: field("count/pause_ms", int({ min: 0 }), 0, "how long to wait between two"),
};

task({
  name: "own/count",
  doc: "count slowly",
  uses: [{ config: fields }],
  free: ["count/pause_ms"],
  async run({ config, directory, signal, attempt, progress, event }) {
    const { to, pause } = config.values(fields);
    if (to === 13) throw new ConfigError("13 is no good", { place: { key: "count.to" } });
    const path = join(directory, "count");
    let at = existsSync(path) ? Number(readFileSync(path, "utf8")) : 0;
    event({ event: "counting", from: at });
    for (; at < to; at++) {
      if (signal.aborted) return { state: "interrupted", text: "stopped at " + at, values: { at } };
      writeFileSync(path, String(at + 1));
      progress({ fraction: (at + 1) / to, text: "at " + (at + 1), values: { at: at + 1 } });
      await Bun.sleep(pause);
    }
    return { state: "finished", text: "counted to " + at, values: { at, attempt } };
  },
});
`;

const place = new Workplace();
const count = (...words: string[]) => ["run", ...words, "--load", "count.ts", "--root", "out"];
const lines = (text: string) =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
const directory = join(place.path, "out/runs/general/default");

beforeAll(() => {
  place.file("count.ts", CODE);
  place.file("count.yaml", "job: own/count\n");
});
afterAll(() => place.remove());

test("a task runs in a run directory, and again when it is asked to", async () => {
  const { code, stderr, stdout } = await place.run([...count("a", "count.yaml"), "--json"]);
  expect(stderr).toContain("counted to 3");
  expect(code).toBe(0);
  const [progress, done] = [lines(stdout)[0], lines(stdout).at(-1)];
  expect(progress).toMatchObject({ schema_version: 1, event: "progress", fraction: 1 / 3, at: 1 });
  expect(done).toMatchObject({ event: "done", state: "finished", at: 3, attempt: 1 });
  const folder = join(directory, "a");
  for (const file of ["config.yaml", "config.resolved.yaml", "env.json", "run.json", "exit.json"])
    expect(existsSync(join(folder, file))).toBe(true);
  expect(existsSync(join(folder, "code/count.ts"))).toBe(true);
  expect(existsSync(join(folder, "lock"))).toBe(false);
  expect(JSON.parse(readFileSync(join(folder, "exit.json"), "utf8"))).toMatchObject({
    state: "finished",
    step: 100,
  });
  const again = await place.run([...count("a", "count.yaml"), "--json"]);
  expect(lines(again.stdout).at(-1)).toMatchObject({ state: "finished", attempt: 2 });
  const events = lines(readFileSync(join(folder, "events.jsonl"), "utf8"));
  expect(events.map(({ event }) => event)).toEqual([
    ...["started", "counting", "finished", "started", "counting", "finished"],
  ]);
  const runs = await place.run(["runs", "out", "--json"]);
  expect(JSON.parse(runs.stdout).runs[0]).toMatchObject({ job: "own/count", state: "finished" });
});

test("Ctrl-C ends it with 75, and it goes on from there", async () => {
  const child = place.start(count("b", "count.yaml", "count.to=50", "count.pause_ms=40"));
  while (!existsSync(join(directory, "b/count"))) await Bun.sleep(10);
  child.kill("SIGINT");
  expect(await child.exited).toBe(75);
  const at = Number(readFileSync(join(directory, "b/count"), "utf8"));
  expect(at).toBeLessThan(50);
  const { code } = await place.run(count("b", "count.yaml", "count.to=50", "count.pause_ms=0"));
  expect(code).toBe(0);
  const events = lines(readFileSync(join(directory, "b/events.jsonl"), "utf8"));
  expect(events.filter(({ event }) => event === "counting").at(-1)).toMatchObject({ from: at });
});

test("another configuration, another job, or what belongs to trainings: refused", async () => {
  await place.run(count("c", "count.yaml"));
  const other = await place.run(count("c", "count.yaml", "count.to=4"));
  expect(other.code).toBe(5);
  expect(other.stderr).toContain("count.to: 3 -> 4");
  expect((await place.run([...count("c", "count.yaml", "count.to=4"), "--fresh"])).code).toBe(0);
  const stage = await place.run([...count("d", "count.yaml"), "-s", "count.yaml"]);
  expect(stage.code).toBe(2);
  expect(stage.stderr).toContain("own/count is no training");
  const plan = await place.run(["plan", "count.yaml", "--load", "count.ts"]);
  expect(plan.code).toBe(2);
  expect(plan.stderr).toContain("expected a training, but own/count is none: its work is to count");
});

test("a failure is kept in the run directory", async () => {
  const { code, stderr } = await place.run(count("e", "count.yaml", "count.to=13"));
  expect(code).toBe(2);
  expect(stderr).toContain("13 is no good");
  const exit = JSON.parse(readFileSync(join(directory, "e/exit.json"), "utf8"));
  expect(exit).toMatchObject({ state: "failed", reason: "13 is no good" });
});

test("it is configured like any job", async () => {
  const { stdout } = await place.run(["configure", "own/count", "-", "--load", "count.ts"]);
  expect(stdout).toContain("to: 3  # where to stop (integer >= 1; default 3)");
  const jobs = await place.run(["jobs", "--load", "count.ts"]);
  expect(jobs.stdout).toContain("own/count");
});
