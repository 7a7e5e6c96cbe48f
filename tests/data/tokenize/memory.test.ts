/** @file A job's memory stays below 500 MB however large the file is. With THESEUS_THOROUGH=1: 3 GiB of text and the largest vocabulary. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { appendFileSync, readFileSync } from "node:fs";
import { zstdCompressSync } from "node:zlib";
import { Workplace } from "../../cli/command_line.ts";
import { records } from "./jobs.ts";

const THOROUGH = process.env.THESEUS_THOROUGH === "1";
const TEXT_MIB = THOROUGH ? 3072 : 192;
const MOST_MB = 500;

setDefaultTimeout(3_600_000);

const place = new Workplace();
afterAll(() => place.remove());

test("the memory of a job does not grow with its input", async () => {
  const path = place.file("big.jsonl.zst", "");
  // Frames one after another are one stream, as zstd itself writes them with several threads.
  const frame = `${[...records(9000)].join("\n")}\n`;
  const packed = zstdCompressSync(frame);
  const bytes = Buffer.byteLength(frame);
  for (let written = 0; written < TEXT_MIB * 2 ** 20; written += bytes)
    appendFileSync(path, packed);
  const tokenizer = THOROUGH ? "o200k_base" : "bytes";
  place.file(
    "c.yaml",
    `job: data/tokenize
source: { files: [big.jsonl.zst] }
tokens: { tokenizer: ${tokenizer}, workers: 4, shard_mb: 64 }
`,
  );
  const child = place.start(["run", "big", "c.yaml", "out"]);
  let peak = 0;
  const watch = setInterval(() => {
    const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
    peak = Math.max(peak, (Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024) / 1e6);
  }, 20);
  const code = await child.exited;
  clearInterval(watch);
  expect(code).toBe(0);
  expect(peak).toBeGreaterThan(50);
  expect(peak).toBeLessThan(MOST_MB);
  if (THOROUGH) process.stderr.write(`peak ${peak.toFixed(0)} MB\n`);
});
