/** @file Runs in processes of their own under one folder, and what the tests of crashes compare of them. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readMetrics } from "../../src/train/metrics_reader.ts";
import { type RunEvent, readEvents } from "../../src/train/status_files.ts";
import type { Child } from "./runs_child.ts";

/** Set by `scripts/test --thorough`: the whole sweep instead of a part of it. */
export const THOROUGH = process.env.THESEUS_THOROUGH === "1";

export interface Ended {
  readonly code: number;
  readonly killed: boolean;
  readonly message: string;
}

export class ChildRuns {
  readonly root = mkdtempSync(join(tmpdir(), "theseus-resume-"));
  private readonly text: string;

  /** `text`: the configuration of every run. */
  constructor(text: string) {
    this.text = text;
  }

  directory(name: string): string {
    return join(this.root, "runs/general", name, "run");
  }

  start(name: string, more: Partial<Child> = {}, env: Record<string, string> = {}) {
    const child: Child = { root: this.root, name, text: this.text, overrides: [], ...more };
    const script = join(import.meta.dir, "runs_child.ts");
    return Bun.spawn([process.execPath, script, JSON.stringify(child)], {
      env: { ...process.env, ...env },
      stdout: "ignore",
      stderr: "pipe",
    });
  }

  async run(
    name: string,
    more: Partial<Child> = {},
    env: Record<string, string> = {},
  ): Promise<Ended> {
    const child = this.start(name, more, env);
    const message = await new Response(child.stderr).text();
    const code = await child.exited;
    return { code, killed: child.signalCode === "SIGKILL", message };
  }

  /** Hashes of all files of a checkpoint. Its manifest also holds times and the run's own name. */
  hashes(name: string, step: number): Record<string, string> {
    const folder = `checkpoints/step-${String(step).padStart(6, "0")}`;
    const path = join(this.directory(name), folder, "manifest.json");
    const { files } = JSON.parse(readFileSync(path, "utf8")) as {
      files: { name: string; hash: string }[];
    };
    return Object.fromEntries(files.map((file) => [file.name, file.hash]));
  }

  losses(name: string): number[] {
    return readMetrics(join(this.directory(name), "metrics.jsonl")).map(({ loss }) => loss);
  }

  events(name: string, kind: string): RunEvent[] {
    return readEvents(this.directory(name)).filter(({ event }) => event === kind);
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
