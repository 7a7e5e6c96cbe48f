/**
 * @file kill -9 at random moments: the same command goes on, and in the end the bytes are those of a job that nobody killed. With
 * THESEUS_THOROUGH=1 thirty kills of eight shards and four workers, and all attempts together take at most 1.2 times the CPU time.
 */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { Workplace } from "../../cli/command_line.ts";
import { contents, records, WORDS } from "./jobs.ts";

const THOROUGH = process.env.THESEUS_THOROUGH === "1";
const KILLS = THOROUGH ? 30 : 4;
/** MiB of text, a multiple of the shards. */
const TEXT_MB = Number(process.env.THESEUS_KILL_TEST_MB ?? (THOROUGH ? 3000 : 16));
const SHARDS = 8;

setDefaultTimeout(3_600_000);

const place = new Workplace();
afterAll(() => place.remove());

const CONFIG = `job: data/tokenize
source: { files: [a.jsonl] }
tokens:
  tokenizer: ${THOROUGH ? "words.json" : "gpt2"}
  shard_mb: ${TEXT_MB / SHARDS}
  workers: 4
  validation_fraction: 0.05
`;

/**
 * Encoded by the reference library, tens of times slower than natively: the job computes for minutes, and starting anew thirty times
 * is little beside it, as it is for jobs of real size; of 1000 MiB it still is a quarter (docs/log.md).
 */
function writeTokenizer(): void {
  const vocab = Object.fromEntries([...WORDS, "[UNK]"].map((word, id) => [word, id]));
  const model = { type: "WordLevel", vocab, unk_token: "[UNK]" };
  const nothing = { truncation: null, padding: null, normalizer: null, post_processor: null };
  const body = { version: "1.0", ...nothing, decoder: null, added_tokens: [], model };
  const json = { ...body, pre_tokenizer: { type: "Whitespace" } };
  place.file("words.json", JSON.stringify(json));
}

const start = (name: string) => place.start(["run", name, "c.yaml", "out"]);
const folder = (name: string) => join(place.path, "out/data", name);

function writeInput(): void {
  const path = place.file("a.jsonl", "");
  for (let written = 0, seed = 0; written < TEXT_MB * 2 ** 20; seed++) {
    const body = `${[...records(4000, seed)].join("\n")}\n`;
    appendFileSync(path, body);
    written += Buffer.byteLength(body);
  }
}

/** CPU seconds of a process that has ended. */
const cpuOf = (child: ReturnType<typeof start>): number =>
  Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1e6;

test("killed again and again, the bytes are the same", async () => {
  place.file("c.yaml", CONFIG);
  writeTokenizer();
  writeInput();
  const begun = performance.now();
  const whole = start("whole");
  expect(await whole.exited).toBe(0);
  const seconds = (performance.now() - begun) / 1e3;
  let cpu = 0;
  let kills = 0;
  for (; kills < KILLS; kills++) {
    const child = start("killed");
    // On average thirty attempts come to the middle of the job: none of the kills misses it.
    const wait = THOROUGH ? Math.random() * (seconds / KILLS) : Math.random() * seconds;
    const ended = await Promise.race([child.exited, Bun.sleep(wait * 1e3).then(() => null)]);
    child.kill("SIGKILL");
    await child.exited;
    cpu += cpuOf(child);
    if (ended === 0) break;
    // A failure would hide as a kill.
    expect(ended).toBeNull();
  }
  const last = start("killed");
  expect(await last.exited).toBe(0);
  cpu += cpuOf(last);
  expect(contents(folder("killed"))).toEqual(contents(folder("whole")));
  const index = await Bun.file(join(folder("whole"), "index.json")).json();
  expect(index.splits.train.length).toBe(SHARDS);
  const share = cpu / cpuOf(whole);
  if (THOROUGH) {
    const each = ((cpu - cpuOf(whole)) / kills).toFixed(2);
    process.stderr.write(
      `${kills} kills: ${share.toFixed(3)} times the CPU time, ${each} s a kill\n`,
    );
    expect(kills).toBe(KILLS);
    expect(share).toBeLessThan(1.2);
  }
});
