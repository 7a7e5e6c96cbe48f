/** @file A quick run that takes a second or less, in a root of its own. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type QuickOptions, quick } from "../../src/quick.ts";

export class QuickRoot {
  readonly path = mkdtempSync(join(tmpdir(), "theseus-quick-"));
  readonly text = join(this.path, "text.txt");

  constructor() {
    const lines = Array.from({ length: 400 }, (_, i) => `line ${i}: ${(i * 7) % 13} and more\n`);
    writeFileSync(this.text, lines.join(""));
  }

  async run(name: string, options: Partial<QuickOptions> = {}) {
    const run = await quick("gpt/pretrain", { root: this.path, name, ...options });
    Object.assign(run.config.architecture, { n_layer: 2, n_embd: 32, n_head: 2, block_size: 32 });
    run.config.data.text = this.text;
    run.config.training = {
      ...run.config.training,
      ...{ steps: 6, per_device_batch_size: 8, learning_rate: 1e-2, warmup_steps: 2 },
    };
    run.config.validation.interval = 0;
    return run;
  }

  remove(): void {
    rmSync(this.path, { recursive: true });
  }
}
