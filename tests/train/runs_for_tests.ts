/** @file Small training runs in a folder of their own. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../src/config/load.ts";
import { gptPretrain } from "../../src/jobs/gpt_pretrain.ts";
import { parseMetricsLine, type StepMetrics } from "../../src/train/metrics.ts";
import type { RunFinished } from "../../src/train/progress.ts";
import { runTraining, type TrainingRequest } from "../../src/train/run.ts";

const SMALL = [
  ...["n_layer=2", "n_embd=32", "n_head=2", "block_size=32"].map((s) => `architecture.${s}`),
  ...["steps=30", "per_device_batch_size=8", "learning_rate=1e-2", "warmup_steps=5"].map(
    (s) => `training.${s}`,
  ),
  "validation.interval=0",
];

export interface TestRun {
  readonly result: RunFinished;
  readonly metrics: readonly StepMetrics[];
  readonly weights: Buffer;
}

/** A root folder with a text file that is easy to learn; `remove` deletes it. */
export class TestRoot {
  readonly path = mkdtempSync(join(tmpdir(), "theseus-train-"));
  readonly text = join(this.path, "text.txt");

  constructor() {
    const lines = Array.from({ length: 400 }, (_, i) => `line ${i}: ${(i * 7) % 13} and more\n`);
    writeFileSync(this.text, lines.join(""));
  }

  config(...overrides: string[]) {
    const all = [...SMALL, `data.text=${this.text}`, ...overrides];
    return loadConfig({ schema: gptPretrain.schema, overrides: all });
  }

  start(name: string, overrides: readonly string[] = [], rest: Partial<TrainingRequest> = {}) {
    const place = { root: this.path, project: "general", group: "default", name };
    return runTraining({ job: gptPretrain, config: this.config(...overrides), place, ...rest });
  }

  async train(
    name: string,
    overrides: readonly string[] = [],
    rest: Partial<TrainingRequest> = {},
  ): Promise<TestRun> {
    const result = await this.start(name, overrides, rest);
    const lines = readFileSync(join(result.directory, "metrics.jsonl"), "utf8").trim().split("\n");
    const weights = readFileSync(join(result.directory, "model.safetensors"));
    return { result, metrics: lines.map(parseMetricsLine), weights };
  }

  remove(): void {
    rmSync(this.path, { recursive: true });
  }
}
