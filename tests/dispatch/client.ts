/** @file The command line as a user of other hosts has it: a dispatch file, a state of its own, and a run that takes seconds. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AttemptEvent } from "../../src/dispatch/ladder.ts";
import type { RunStatus } from "../../src/dispatch/query.ts";
import { readMetrics } from "../../src/train/metrics_reader.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");

/**
 * A tracker that makes a run wait: a while after every step, and at the step that a file names until the file is gone, so that a test
 * can do something to a run at a known step however slow the machine is. Waiting takes no computing.
 */
const PACED = `import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { tracker } from "theseus";

for (const ms of [20, 100, 250, 1100])
  tracker({
    name: \`slow-\${ms}\`,
    doc: "a pause after every step",
    open({ directory }) {
      const file = join(directory, "../../../../../hold", basename(directory));
      const held = (step) => existsSync(file) && step >= Number(readFileSync(file, "utf8") || 0);
      return {
        log({ step }) {
          do Bun.sleepSync(ms);
          while (held(step));
        },
        finish() {},
      };
    },
  });
`;

export const STEPS = 40;

export const CONFIG = `job: gpt/pretrain
architecture: { n_layer: 1, n_head: 2, n_embd: 16, block_size: 16 }
training: { steps: ${STEPS}, per_device_batch_size: 2, warmup_steps: 2, threads: 1 }
validation: { interval: 20, batches: 1 }
checkpoint: { interval: 5 }
`;

/** Settings of a run whose steps take that long. */
export const slow = (ms: 20 | 100 | 250 | 1100): string[] => [`logging.trackers=[slow-${ms}]`];

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class Client {
  readonly folder = mkdtempSync(join(tmpdir(), "theseus-dispatch-"));
  /** ROOT of every cluster of these tests. */
  readonly root = join(this.folder, "cluster");
  readonly env: Readonly<Record<string, string>>;

  constructor(dispatch: string, env: Readonly<Record<string, string>> = {}) {
    this.file("small.yaml", CONFIG);
    this.file("code/slow.ts", PACED);
    const binary = this.file(
      "theseus",
      `#!/bin/sh\nexec ${process.execPath} ${MAIN} "$@"\n`,
      0o755,
    );
    this.env = {
      ...(process.env as Record<string, string>),
      ...{ NO_COLOR: "1", THESEUS_ROOT: join(this.folder, "here"), THESEUS_BINARY: binary },
      XDG_STATE_HOME: join(this.folder, "state"),
      THESEUS_DISPATCH: this.file("hosts.yaml", dispatch.replaceAll("FOLDER", this.folder)),
      ...env,
    };
  }

  file(name: string, text: string, mode = 0o644): string {
    const path = join(this.folder, name);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, text, { mode });
    return path;
  }

  start(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    return Bun.spawn([process.execPath, MAIN, ...args], {
      cwd: this.folder,
      env: { ...this.env, ...env },
      ...{ stdin: "ignore", stdout: "pipe", stderr: "pipe" },
    });
  }

  /** A command at a terminal of its own. */
  startAtTerminal(
    args: readonly string[],
    data: (terminal: Bun.Terminal, shown: Uint8Array) => void,
  ): Bun.Subprocess {
    const terminal = { cols: 200, rows: 50, data };
    const { env, folder: cwd } = this;
    return Bun.spawn([process.execPath, MAIN, ...args], { cwd, env, terminal });
  }

  async run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
    const child = this.start(args, env);
    const [stdout, stderr] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    return { code: await child.exited, stdout, stderr };
  }

  /** A command that must end well; what it prints. */
  async expect(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, env);
    if (code !== 0)
      throw new Error(`theseus ${args.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
    return stdout;
  }

  submit(name: string, host: string, more: readonly string[] = []): Promise<string> {
    return this.expect([
      "submit",
      name,
      "small.yaml",
      "--load",
      "code/slow.ts",
      "--host",
      host,
      ...more,
    ]);
  }

  /** The run waits at that step. */
  hold(name: string, step: number): void {
    this.file(`hold/${name}`, String(step));
  }

  release(name: string): void {
    rmSync(join(this.folder, "hold", name), { force: true });
  }

  async status(name: string): Promise<RunStatus> {
    const parsed = JSON.parse((await this.run(["status", name, "--json"])).stdout);
    const [status] = parsed.runs as RunStatus[];
    if (status === undefined) throw new Error(`no status of ${name}: ${JSON.stringify(parsed)}`);
    return status;
  }

  directory(name: string): string {
    return join(this.root, "runs/general/default", name);
  }

  events(name: string): AttemptEvent[] {
    const path = join(this.directory(name), "submit/attempts.jsonl");
    if (!existsSync(path)) return [];
    const lines = readFileSync(path, "utf8").trim().split("\n");
    return lines.map((line) => JSON.parse(line) as AttemptEvent);
  }

  step(name: string): number {
    return readMetrics(join(this.directory(name), "metrics.jsonl")).at(-1)?.step ?? 0;
  }

  log(name: string): string {
    const path = join(this.directory(name), "logs/job.log");
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  }

  /** Waits for files of the run, without asking anybody. */
  async until(
    name: string,
    what: string,
    condition: () => boolean,
    timeoutMs = 120_000,
  ): Promise<void> {
    const end = Date.now() + timeoutMs;
    while (!condition()) {
      // A run that has failed will do nothing more.
      const failed = this.events(name).at(-1)?.next === "failed" && !condition();
      if (failed || Date.now() > end)
        throw new Error(
          `${name}: ${what} did not come; ${JSON.stringify(this.events(name))}\n${this.log(name)}`,
        );
      await Bun.sleep(50);
    }
  }

  reached(name: string, step: number): Promise<void> {
    return this.until(name, `step ${step}`, () => this.step(name) >= step);
  }

  ended(name: string, next = "finished", timeoutMs = 200_000): Promise<void> {
    return this.until(
      name,
      `the end (${next})`,
      () => this.events(name).at(-1)?.next === next,
      timeoutMs,
    );
  }

  /** Losses of a run by step, exactly as they were written. */
  losses(directory: string): string[] {
    return readMetrics(join(directory, "metrics.jsonl")).map(
      ({ step, loss, val_loss }) => `${step} ${loss} ${val_loss}`,
    );
  }

  /** Ends what still runs of jobs that were started without a scheduler. */
  stop(): void {
    const runs = join(this.root, "runs/general");
    for (const group of existsSync(runs) ? readdirSync(runs) : [])
      for (const name of readdirSync(join(runs, group))) {
        const path = join(runs, group, name, "submit/job.id");
        const pid = Number(
          /^(\d+)\.\d+$/.exec(existsSync(path) ? readFileSync(path, "utf8").trim() : "")?.[1],
        );
        if (!Number.isInteger(pid)) continue;
        try {
          process.kill(-pid, "SIGKILL");
        } catch {
          // It has ended.
        }
      }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export const CLUSTER = `clusters:
  one: { root: FOLDER/cluster, work: FOLDER/work }
`;
