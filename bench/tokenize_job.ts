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
const ROUNDS = 3;

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

/** The best of some rounds: other programs of the machine only make it slower. */
async function fastest(bytes: number, body: () => void | Promise<void>): Promise<number> {
  let best = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const begun = cpuSeconds();
    await body();
    best = Math.max(best, bytes / 1e6 / (cpuSeconds() - begun));
  }
  return best;
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
  const bare = await fastest(bytes, () => {
    for (const text of docs) tokenizer.encode(text);
  });
  const rows = [["encoder alone", bare.toFixed(1), "100 %"]];
  for (const name of Object.keys(files)) {
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
    const rate = await fastest(bytes, async () => {
      const runner = new PartRunner(setup, tokenizer);
      const out = join(folder, crypto.randomUUID());
      mkdirSync(out);
      const hooks = { progress() {}, stopped: () => false };
      await runner.run(out, [{ kind: "whole", file: 0 }], hooks);
      await runner.close();
    });
    rows.push([`job on ${name}`, rate.toFixed(1), `${((100 * rate) / bare).toFixed(0)} %`]);
  }
  console.log(`${(bytes / 1e6).toFixed(0)} MB in ${docs.length} documents, ${values.tokenizer}`);
  for (const [what = "", rate = "", share = ""] of rows)
    console.log(`  ${what.padEnd(20)} ${rate.padStart(8)} MB/s of one core ${share.padStart(6)}`);

  const config = join(folder, "c.yaml");
  const settings = `{ tokenizer: ${values.tokenizer}, workers: ${values.workers}, shard_mb: 16 }`;
  const source = `{ files: [${join(folder, "a.jsonl.zst")}] }`;
  writeFileSync(config, `job: data/tokenize\nsource: ${source}\ntokens: ${settings}\n`);
  const main = join(import.meta.dir, "../src/main.ts");
  const job = Bun.spawn([process.execPath, main, "run", "bench", config, join(folder, "out")], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  // What the system counts for a child begins with the size of its parent; this begins with its own program.
  let peak = 0;
  const watch = setInterval(() => {
    const status = readFileSync(`/proc/${job.pid}/status`, "utf8");
    peak = Math.max(peak, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
  }, 20);
  if ((await job.exited) !== 0) throw new Error("the job failed");
  clearInterval(watch);
  const usage = job.resourceUsage();
  const cpu = Number(usage?.cpuTime.total ?? 0) / 1e6;
  console.log(
    `whole job, ${values.workers} workers: peak ${peak.toFixed(0)} MiB, ${cpu.toFixed(1)} s of CPU time`,
  );
  JSON.parse(readFileSync(join(folder, "out/data/bench/index.json"), "utf8"));
} finally {
  rmSync(folder, { recursive: true });
}
