/** @file The command line in a process of its own, with what it says made independent of the machine and the version. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { VERSION } from "../../src/util/version.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");

/** Two layers of width 32: a run takes a second. */
export const SMALL_CONFIG = `job: gpt/pretrain
architecture: { n_layer: 2, n_head: 2, n_embd: 32, block_size: 32 }
training: { steps: 12, per_device_batch_size: 4, warmup_steps: 2, threads: 1 }
validation: { interval: 6, batches: 2 }
checkpoint: { interval: 4 }
`;

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** An empty folder that commands run in; `remove` deletes it. */
export class Workplace {
  readonly path = mkdtempSync(join(tmpdir(), "theseus-cli-"));

  file(name: string, text: string | Uint8Array): string {
    const path = join(this.path, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  }

  start(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    return Bun.spawn([process.execPath, MAIN, ...args], {
      cwd: this.path,
      env: { ...process.env, NO_COLOR: "1", THESEUS_ROOT: "", ...env },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
  }

  async run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
    const child = this.start(args, env);
    const [stdout, stderr] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    return { code: await child.exited, stdout, stderr };
  }

  /** What a test compares: exit code and both streams, without this folder's path and the program's version. */
  async said(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, env);
    const parts = [`exit ${code}`];
    if (stdout !== "") parts.push(`stdout:\n${stdout}`);
    if (stderr !== "") parts.push(`stderr:\n${stderr}`);
    const text = parts.join("\n").replaceAll(this.path, "PLACE").replaceAll(VERSION, "VERSION");
    // The list of all jobs grows; what a message says about it does not.
    return text.replace(/^hint: jobs: gpt\/pretrain, .*;/m, "hint: jobs: gpt/pretrain, JOBS;");
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
