/** @file Every example runs, in the source tree and in the executable, with settings of a second. */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { readMetrics } from "../../src/train/metrics_reader.ts";
import { example, newRoot, PROGRAMS, run } from "./programs.ts";

const BUILDING = 300_000;

describe.each(PROGRAMS)("$name", ({ command }) => {
  const root = newRoot();
  afterAll(() => rmSync(root, { recursive: true }));
  const theseus = async (...args: string[]) => run([...(await command()), ...args]);
  const runs = join(root, "runs/general/default");

  test(
    "quick_train.ts",
    async () => {
      const { code, stdout, stderr } = await theseus(
        "script",
        example("quick_train.ts"),
        root,
        "10",
      );
      expect([code, stderr]).toEqual([0, ""]);
      expect(stdout).toMatch(/^step 10 {2}loss \d\.\d{3} {2}\d+ tokens\/s\nheld-out loss \d/);
      expect(stdout).toContain("\nThe people");
      const { directory, metrics } = {
        directory: join(runs, "quick"),
        metrics: readMetrics(join(runs, "quick/metrics.jsonl")),
      };
      expect(metrics.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      expect(readFileSync(join(directory, "code/quick_train.ts"), "utf8")).toBe(
        readFileSync(example("quick_train.ts"), "utf8"),
      );
      // What the example's last comment promises.
      const repeated = await theseus(
        "run",
        "again",
        join(directory, "quick.yaml"),
        root,
        "--quiet",
      );
      expect([repeated.code, repeated.stderr]).toEqual([0, ""]);
      const weights = (name: string) => readFileSync(join(runs, name, "model.safetensors"));
      expect(weights("again").equals(weights("quick"))).toBe(true);
    },
    BUILDING,
  );

  test(
    "custom_attention.ts",
    async () => {
      const load = ["--load", example("custom_attention.ts")];
      const small = ["training.steps=8", "training.warmup_steps=2", "validation.batches=1"];
      const config = example("custom_attention.yaml");
      const trained = await theseus("run", "mine", config, root, "--quiet", ...load, ...small);
      expect([trained.code, trained.stderr]).toEqual([0, ""]);
      const directory = join(runs, "mine");
      const losses = readMetrics(join(directory, "metrics.jsonl")).map(({ loss }) => loss);
      expect(losses).toHaveLength(8);
      expect(losses[7]).toBeLessThan((losses[0] ?? 0) - 0.3);
      expect(existsSync(join(directory, "code/custom_attention.ts"))).toBe(true);
      const sampled = await theseus("sample", directory, "The", "--tokens", "5", ...load);
      expect([sampled.code, sampled.stderr]).toEqual([0, ""]);
      expect(sampled.stdout).toStartWith("The");
      const without = await theseus("sample", directory, "The");
      expect(without.code).toBe(2);
      expect(without.stderr).toContain('no job is named "example/sigmoid-attention"');
    },
    BUILDING,
  );

  test(
    "sweep.ts",
    async () => {
      const { code, stdout, stderr } = await theseus(
        ...["script", example("sweep.ts"), root, "4", "1e-4", "1e-2"],
      );
      expect([code, stderr]).toEqual([0, ""]);
      expect(stdout.split("\n")).toEqual([
        expect.stringMatching(/^learning rate 0\.0001: held-out loss 5\.\d{4} after 2048 tokens$/),
        expect.stringMatching(/^learning rate 0\.01: held-out loss \d\.\d{4} after 2048 tokens$/),
        `best: 0.01 (theseus show ${join(root, "runs/sweep/learning-rate/lr-0.01")})`,
        "",
      ]);
    },
    BUILDING,
  );

  test(
    "Ctrl-C in a script ends the run after its step, and no other one starts",
    async () => {
      const words = [...(await command()), "script", example("sweep.ts"), root, "100000", "1e-3"];
      const child = Bun.spawn([...words, "3e-3"], { stdout: "pipe", stderr: "pipe" });
      const directory = join(root, "runs/sweep/learning-rate/lr-0.001");
      const steps = () => readMetrics(join(directory, "metrics.jsonl")).length;
      while (steps() < 3 && child.exitCode === null) await Bun.sleep(20);
      child.kill("SIGINT");
      expect(await child.exited).toBe(75);
      expect(await new Response(child.stderr).text()).toContain(
        "interrupted before the run lr-0.003",
      );
      expect(existsSync(join(directory, "model.safetensors"))).toBe(true);
      expect(existsSync(join(root, "runs/sweep/learning-rate/lr-0.003"))).toBe(false);
    },
    BUILDING,
  );
});

test("the new attention takes less than sixty lines", () => {
  const lines = readFileSync(example("custom_attention.ts"), "utf8").trimEnd().split("\n");
  expect(lines.length).toBeLessThan(60);
});
