/**
 * @file What a tokenization job adds to its encoder: MB of text a second of CPU time of one core, job against bare encoder, and
 * the peak memory of a whole job. Usage: bun bench/tokenize_job.ts [--mb 60] [--tokenizer gpt2] [--workers 4]
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { zstdCompressSync } from "node:zlib";
import { builtinText } from "../src/data/builtin_text.ts";
import { sourceFile } from "../src/data/sources/expand.ts";
import { PartRunner } from "../src/data/tokenize/run_part.ts";
import type { TokenizeSetup } from "../src/data/tokenize/setup.ts";
import { openTokenizer } from "../src/data/tokenizers/open_tokenizer.ts";

const { values } = parseArgs({
  options: {
    mb: { type: "string", default: "60" },
    tokenizer: { type: "string", default: "gpt2" },
    workers: { type: "string", default: "4" },
  },
});
const DOCUMENT_CHARS = 3000;
const ROUNDS = 7;

/** Documents of the speeches, each different from the others. */
function documents(megabytes: number): string[] {
  const text = builtinText("sotu")?.train ?? "";
  const out: string[] = [];
  for (let size = 0, at = 0; size < megabytes * 1e6; at += 977) {
    const start = at % (text.length - DOCUMENT_CHARS);
    out.push(`${out.length} ${text.slice(start, start + DOCUMENT_CHARS)}`);
    size += DOCUMENT_CHARS;
  }
  return out;
}

const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

type Case = readonly [name: string, body: () => void | Promise<void>];

/** MB a second of each case: medians of rounds in which they take turns, for other programs of the machine slow all of them. */
async function rates(bytes: number, cases: readonly Case[]): Promise<number[]> {
  const taken = cases.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++)
    for (const [index, [, body]] of cases.entries()) {
      const begun = cpuSeconds();
      await body();
      taken[index]?.push(bytes / 1e6 / (cpuSeconds() - begun));
    }
  return taken.map((each) => each.sort((a, b) => a - b)[ROUNDS >> 1] ?? 0);
}

const folder = mkdtempSync(join(tmpdir(), "theseus-bench-"));
try {
  const docs = documents(Number(values.mb));
  const bytes = docs.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  const body = Buffer.from(docs.map((text) => `${JSON.stringify({ text })}\n`).join(""));
  const files = {
    "a.jsonl": body,
    "a.jsonl.zst": zstdCompressSync(body),
    "a.txt": docs.join("\n\n"),
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);

  const tokenizer = await openTokenizer(values.tokenizer);
  const bare = (): void => {
    for (const text of docs) tokenizer.encode(text);
  };
  const job = async (name: string, natively: boolean): Promise<void> => {
    const setup: TokenizeSetup = {
      kind: "stream",
      files: [sourceFile(join(folder, name), name)],
      read: { textField: "text", txtDocuments: "blank_line", maxRecordBytes: 2 ** 25 },
      tokenizer: values.tokenizer,
      text: { textField: "text", startToken: "none", endToken: "auto" },
      chat: null,
      seed: 0,
      validationFraction: 0.005,
      onBadLine: "fail",
    };
    const runner = await PartRunner.open(setup, tokenizer, natively);
    const out = join(folder, crypto.randomUUID());
    mkdirSync(out);
    const hooks = { progress() {}, stopped: () => false };
    await runner.run(out, [{ kind: "whole", file: 0 }], hooks);
    await runner.close();
  };
  const cases: readonly Case[] = [
    ["encoder alone", bare],
    ...Object.keys(files).map((name): Case => [`job on ${name}`, () => job(name, true)]),
    ["a.jsonl, as records", () => job("a.jsonl", false)],
  ];
  const measured = await rates(bytes, cases);
  const rows = cases.map(([name], index) => {
    const rate = measured[index] ?? 0;
    return [name, rate.toFixed(1), `${((100 * rate) / (measured[0] ?? 1)).toFixed(0)} %`];
  });
  console.log(`${(bytes / 1e6).toFixed(0)} MB in ${docs.length} documents, ${values.tokenizer}`);
  for (const [what = "", rate = "", share = ""] of rows)
    console.log(`  ${what.padEnd(20)} ${rate.padStart(8)} MB/s of one core ${share.padStart(6)}`);

  const config = join(folder, "c.yaml");
  const settings = `{ tokenizer: ${values.tokenizer}, workers: ${values.workers}, shard_mb: 16 }`;
  const source = `{ files: [${join(folder, "a.jsonl.zst")}] }`;
  writeFileSync(config, `job: data/tokenize\nsource: ${source}\ntokens: ${settings}\n`);
  const main = join(import.meta.dir, "../src/main.ts");
  const child = Bun.spawn([process.execPath, main, "run", "bench", config, join(folder, "out")], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  // What the system counts for a child begins with the size of its parent; this begins with its own program.
  let peak = 0;
  const watch = setInterval(() => {
    const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
    peak = Math.max(peak, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
  }, 20);
  if ((await child.exited) !== 0) throw new Error("the job failed");
  clearInterval(watch);
  const usage = child.resourceUsage();
  const cpu = Number(usage?.cpuTime.total ?? 0) / 1e6;
  console.log(
    `whole job, ${values.workers} workers: peak ${peak.toFixed(0)} MiB, ${cpu.toFixed(1)} s of CPU time`,
  );
  JSON.parse(readFileSync(join(folder, "out/data/bench/index.json"), "utf8"));
} finally {
  rmSync(folder, { recursive: true });
}
