/** @file theseus compare: whether the results of two evaluations differ by more than chance. */
import { type Comparison, compareResults } from "../evaluate/compare.ts";
import { command } from "./command.ts";
import { tableText } from "./format.ts";
import { rootArgs, rootOf } from "./place.ts";
import { resultsFolder } from "./results_folder.ts";

const VERDICTS: Readonly<Record<Comparison["verdict"], string>> = {
  a: "A is better",
  b: "B is better",
  none: "no difference shown",
};

const rowOf = (each: Comparison): string[] => [
  each.task,
  each.filter,
  each.metric,
  String(each.items),
  each.a.toFixed(4),
  each.b.toFixed(4),
  `${each.difference >= 0 ? "+" : ""}${each.difference.toFixed(4)}`,
  `[${each.low.toFixed(4)}, ${each.high.toFixed(4)}]`,
  each.p < 0.0002 ? "< 0.0002" : each.p.toFixed(4),
  VERDICTS[each.verdict],
];

export default command({
  name: "compare",
  summary: "whether two evaluations differ by more than chance",
  examples: [
    "theseus compare first second",
    "theseus compare results/a results/b --json",
    "theseus compare first@step-001000 first",
  ],
  args: {
    a: {
      type: "positional",
      required: true,
      description: "a folder with results.json, or RUN: its newest evaluation",
    },
    b: { type: "positional", required: true, description: "the other" },
    ...rootArgs,
  },
  run({ args }) {
    const root = rootOf(undefined, args.root);
    const [a, b] = [resultsFolder(args.a, root), resultsFolder(args.b, root)];
    const comparisons = compareResults(a, b);
    if (args.json === true)
      process.stdout.write(`${JSON.stringify({ schema_version: 1, a, b, comparisons })}\n`);
    else {
      const head = ["task", "filter", "metric", "items", "A", "B", "B - A", "95 %", "p", ""];
      process.stdout.write(`A ${a}\nB ${b}\n${tableText([head, ...comparisons.map(rowOf)])}`);
    }
    return Promise.resolve(0);
  },
});
