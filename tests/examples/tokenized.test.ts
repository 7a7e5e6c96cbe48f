/** @file From records to a trained model by two commands: what a tokenization job writes is what a run trains on. */
import { afterAll, expect, test } from "bun:test";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TokenFolder } from "../../src/data/shards/token_folder.ts";
import { readMetrics } from "../../src/train/metrics_reader.ts";
import { records } from "../data/tokenize/jobs.ts";
import { newRoot, PROGRAMS, run } from "./programs.ts";

const root = newRoot();
afterAll(() => rmSync(root, { recursive: true }));

const [source] = PROGRAMS;
const theseus = async (...args: string[]) => run([...((await source?.command()) ?? []), ...args]);
const config = join(root, "train.yaml");
writeFileSync(config, "job: gpt/pretrain\n");

test("data/tokenize, then gpt/pretrain", async () => {
  const file = join(root, "records.jsonl");
  writeFileSync(file, [...records(300)].join("\n"));
  const tokenize = join(root, "tokenize.yaml");
  const settings = "tokens: { tokenizer: gpt2, validation_fraction: 0.1 }";
  writeFileSync(tokenize, `job: data/tokenize\nsource: { files: [${file}] }\n${settings}\n`);
  expect(await theseus("run", "tokens", tokenize, root)).toMatchObject({ code: 0 });
  const folder = join(root, "data/tokens");
  const small = ["n_layer=1", "n_head=2", "n_embd=16", "block_size=32", "vocab_size=50304"];
  const overrides = [
    ...[`data.tokens=${folder}`, "data.verify=true", "data.document_mask=true"],
    ...small.map((each) => `architecture.${each}`),
    ...["steps=4", "per_device_batch_size=2"].map((each) => `training.${each}`),
  ];
  const trained = await theseus("run", "trained", config, root, ...overrides);
  expect([trained.code, trained.stderr.includes("error")]).toEqual([0, false]);
  const directory = join(root, "runs/general/default/trained");
  const last = readMetrics(join(directory, "metrics.jsonl")).at(-1);
  expect(last?.val_loss).toBeCloseTo(Math.log(50304), 0);
  const { tokenizer } = JSON.parse(readFileSync(join(folder, "index.json"), "utf8"));
  const record = JSON.parse(readFileSync(join(directory, "data.json"), "utf8"));
  expect(record.tokenizer).toBe(tokenizer.fingerprint);
  const sampled = await theseus("sample", directory, "The people", "--tokens", "3");
  expect(sampled.code).toBe(0);
}, 60_000);

test("data/tokenize_rows: only answers are trained on, several conversations share a row", async () => {
  const file = join(root, "chats.jsonl");
  const chats = Array.from({ length: 40 }, (_, i) => ({
    messages: [
      { role: "user", content: `question ${i}` },
      { role: "assistant", content: `answer ${"so ".repeat(i % 9)}${i}` },
    ],
  }));
  writeFileSync(file, chats.map((chat) => JSON.stringify(chat)).join("\n"));
  const tokenize = join(root, "rows.yaml");
  const settings =
    "tokens: { tokenizer: bytes, validation_fraction: 0.2 }\nchat: { template: plain }";
  writeFileSync(tokenize, `job: data/tokenize_rows\nsource: { files: [${file}] }\n${settings}\n`);
  expect(await theseus("run", "rows", tokenize, root)).toMatchObject({ code: 0 });
  const folder = TokenFolder.open(join(root, "data/rows"));
  const store = folder.store("train");
  const [ids, mask] = [new Int32Array(store.length), new Uint8Array(store.length)];
  store.read(0, ids);
  store.readMask(0, mask);
  const trained = String.fromCharCode(...ids.filter((_, i) => mask[i] === 1));
  expect(trained).toContain("so so");
  expect(trained).not.toContain("question");
  const small = ["n_layer=1", "n_head=2", "n_embd=16", "block_size=128", "vocab_size=256"];
  const epoch = ["steps=99", "stop_epochs=1", "per_device_batch_size=1"];
  const settled = [
    ...[`data.tokens=${folder.path}`, ...small.map((each) => `architecture.${each}`)],
    ...epoch.map((each) => `training.${each}`),
  ];
  expect(await theseus("run", "answers", config, root, ...settled)).toMatchObject({ code: 0 });
  const metrics = readMetrics(join(root, "runs/general/default/answers/metrics.jsonl"));
  // One pass sees every trained token once; the first of a conversation is the prompt's.
  expect(metrics.at(-1)?.tokens).toBe(mask.reduce((sum, kept) => sum + kept, 0));
  expect(metrics.length).toBeLessThan(store.documentCount / 1.5);
}, 60_000);
