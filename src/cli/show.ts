/** @file theseus show: one run, or how two runs differ. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { PlainTree } from "../config/config.ts";
import { loadJob } from "../jobs/load_job.ts";
import { command } from "./command.ts";
import { durationText, tableText } from "./format.ts";
import { findRun, rootArgs, rootOf } from "./place.ts";
import { type RunSummary, runSummary } from "./run_summary.ts";

interface Shown {
  readonly summary: RunSummary;
  readonly config: ReadonlyMap<string, string>;
  readonly environment: Readonly<Record<string, unknown>>;
}

function flattened(tree: PlainTree, prefix = "", out = new Map<string, string>()) {
  for (const [key, value] of Object.entries(tree)) {
    const path = prefix === "" ? key : `${prefix}.${key}`;
    const nested = typeof value === "object" && value !== null && !Array.isArray(value);
    if (nested) flattened(value as PlainTree, path, out);
    else out.set(path, JSON.stringify(value));
  }
  return out;
}

function read(run: string, root: string): Shown {
  const directory = findRun(run, root);
  const path = join(directory, "config.resolved.yaml");
  const environment = join(directory, "env.json");
  return {
    summary: runSummary(directory, run),
    config: existsSync(path)
      ? flattened(loadJob({ name: path, text: readFileSync(path, "utf8") }).config.toTree())
      : new Map(),
    environment: existsSync(environment) ? JSON.parse(readFileSync(environment, "utf8")) : {},
  };
}

function difference(a: Shown, b: Shown): Record<string, [string | null, string | null]> {
  const out: Record<string, [string | null, string | null]> = {};
  for (const key of new Set([...a.config.keys(), ...b.config.keys()])) {
    const [left, right] = [a.config.get(key) ?? null, b.config.get(key) ?? null];
    if (left !== right) out[key] = [left, right];
  }
  return out;
}

function rowsOf({ summary, environment }: Shown): string[][] {
  const number = (value: number | null): string => (value === null ? "-" : String(value));
  return [
    ["directory", summary.directory],
    ["job", summary.job],
    ["state", summary.state],
    ["step", number(summary.step)],
    ["tokens", number(summary.tokens)],
    ["loss", number(summary.loss)],
    ["validation loss", number(summary.val_loss)],
    ["bits per byte", number(summary.val_bits_per_byte)],
    ["time", durationText(summary.elapsed_s)],
    ["version", String(environment.version ?? "-")],
    ["commit", String(environment.git_commit ?? "-")],
    ["host", String(environment.host ?? "-")],
  ];
}

export default command({
  name: "show",
  summary: "one run in detail, or how two differ",
  examples: ["theseus show first", "theseus show first second"],
  args: {
    run: { type: "positional", required: true, description: "run directory, or its name" },
    other: { type: "positional", required: false, description: "another run, to compare" },
    ...rootArgs,
  },
  async run({ args }) {
    const root = rootOf(undefined, args.root);
    const one = read(args.run, root);
    if (args.other === undefined) {
      process.stdout.write(
        args.json === true
          ? `${JSON.stringify({ schema_version: 1, ...one.summary, environment: one.environment })}\n`
          : tableText(rowsOf(one)),
      );
      return 0;
    }
    const two = read(args.other, root);
    const config = difference(one, two);
    if (args.json === true) {
      const runs = [one.summary, two.summary];
      process.stdout.write(`${JSON.stringify({ schema_version: 1, runs, config })}\n`);
      return 0;
    }
    const left = rowsOf(one);
    const rows = rowsOf(two).map(([name = "", value = ""], i) => [
      name,
      left[i]?.[1] ?? "-",
      value,
    ]);
    const changed = Object.entries(config).map(([key, [a, b]]) => [key, a ?? "-", b ?? "-"]);
    process.stdout.write(tableText(rows));
    process.stdout.write(changed.length === 0 ? "\nsame configuration\n" : "\nconfiguration\n");
    process.stdout.write(tableText(changed));
    return 0;
  },
});
