/** @file theseus runs: the runs under a root, as a table, CSV or JSON. */
import { join } from "node:path";
import { command, UsageError } from "./command.ts";
import { tableText } from "./format.ts";
import { listRuns, rootArgs, rootOf } from "./place.ts";
import { type RunSummary, runSummary } from "./run_summary.ts";

const DEFAULT_COLUMNS = "run,state,step,loss,val_loss,val_bits_per_byte,tokens_per_s";

const cell = (value: string | number | null): string =>
  value === null
    ? "-"
    : typeof value === "number" && !Number.isInteger(value)
      ? value.toPrecision(5)
      : String(value);

const quoted = (text: string): string =>
  /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;

function columnsOf(text: string, summary: RunSummary | undefined): (keyof RunSummary)[] {
  const names = text.split(",").map((name) => name.trim());
  for (const name of names)
    if (summary !== undefined && !Object.hasOwn(summary, name))
      throw new UsageError(
        `unknown column "${name}"; there are ${Object.keys(summary).join(", ")}`,
      );
  return names as (keyof RunSummary)[];
}

function compare(a: string | number | null, b: string | number | null): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return typeof a === "number" && typeof b === "number"
    ? a - b
    : String(a).localeCompare(String(b), "en");
}

export default command({
  name: "runs",
  summary: "the runs under a root",
  examples: ["theseus runs", "theseus runs out --sort val_loss --csv"],
  args: {
    dir: { type: "positional", required: false, description: "ROOT, where runs are kept" },
    ...rootArgs,
    columns: { type: "string", default: DEFAULT_COLUMNS, description: "comma-separated" },
    sort: { type: "string", default: "run", description: 'a column; "-loss" sorts downwards' },
    csv: { type: "boolean", description: "comma-separated values" },
  },
  async run({ args }) {
    const root = rootOf(args.dir, args.root);
    const runs = listRuns(root).map((run) => runSummary(join(root, "runs", run), run));
    const columns = columnsOf(args.columns, runs[0]);
    const down = args.sort.startsWith("-");
    const [key = "run"] = columnsOf(args.sort.replace(/^-/, ""), runs[0]);
    runs.sort((a, b) => compare(a[key], b[key]) * (down ? -1 : 1));
    if (args.json === true) {
      process.stdout.write(`${JSON.stringify({ schema_version: 1, root, runs })}\n`);
    } else if (args.csv === true) {
      const raw = (value: string | number | null): string => quoted(String(value ?? ""));
      const rows = runs.map((run) => columns.map((column) => raw(run[column])).join(","));
      process.stdout.write(`${[columns.join(","), ...rows].join("\n")}\n`);
    } else {
      const rows = runs.map((run) => columns.map((column) => cell(run[column])));
      process.stdout.write(
        rows.length === 0 ? `no runs under ${root}\n` : tableText([columns, ...rows]),
      );
    }
    return 0;
  },
});
