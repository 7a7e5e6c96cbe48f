/**
 * @file Decoding with a cache of keys and values: prefill of a prompt, then greedy tokens one by one, GPT-2 124M shapes with random
 * weights. The same work, flags and output fields as bench/peer_decode_torch.py. `--profile` adds the time of every kernel to stderr.
 */
import { parseArgs } from "node:util";
import { Decoder } from "../src/generate/decoder.ts";
import { Gpt } from "../src/models/gpt/gpt.ts";
import { optionsOf } from "../src/models/gpt/options.ts";
import { openDevice } from "../src/runtime/index.ts";
import { writeParam } from "../src/train/weights.ts";
import { printProfile } from "./profile.ts";
import { sizeConfig } from "./sizes.ts";

const { values } = parseArgs({
  options: {
    batch: { type: "string", default: "1" },
    prompt: { type: "string", default: "64" },
    tokens: { type: "string", default: "64" },
    dtype: { type: "string", default: "f32" },
    threads: { type: "string", default: "2" },
    profile: { type: "boolean", default: false },
  },
});
const batch = Number(values.batch);
const prompt = Number(values.prompt);
const tokens = Number(values.tokens);
const threads = Number(values.threads);
const precision = values.dtype === "bf16" ? "mixed" : "f32";

const { config } = sizeConfig({ size: "gpt2", precision, seq: 1024 });
const model = new Gpt(optionsOf(config));
const device = openDevice({ threads });
const decoder = new Decoder(device, model, { rows: batch, places: 1024, precision });
for (const { path, count, isMatrix } of model.parameters()) {
  const value = () => (isMatrix ? 0.04 * (Math.random() - 0.5) : 1);
  writeParam(decoder.engine, path, Float32Array.from({ length: count }, value));
}

function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if ((logits[i] ?? 0) > (logits[best] ?? 0)) best = i;
  return best;
}

/** All prompts into the cache, as the generator would do it. */
async function prefill(): Promise<number[]> {
  const next = new Array<number>(batch).fill(0);
  const done = new Array<number>(batch).fill(0);
  for (;;) {
    const waiting = done.flatMap((count, row) => (count < prompt ? [row] : []));
    if (waiting.length === 0) return next;
    const plan = decoder.plan(waiting.map((row) => prompt - (done[row] ?? 0)));
    const pieces = waiting.slice(0, plan.rows).map((row) => {
      const start = done[row] ?? 0;
      const length = Math.min(plan.tokens, prompt - start);
      const tokens = Array.from({ length }, (_, i) => (row * 977 + (start + i) * 31) % 50257);
      return { row, start, tokens };
    });
    const logits = await decoder.run(pieces);
    pieces.forEach(({ row, start, tokens }, i) => {
      done[row] = start + tokens.length;
      next[row] = likeliest(logits[i] ?? new Float32Array(1));
    });
  }
}

async function once(): Promise<{ prefillMs: number; steps: number[] }> {
  const began = performance.now();
  let next = await prefill();
  const prefillMs = performance.now() - began;
  const steps: number[] = [];
  for (let i = 0; i < tokens; i++) {
    const t = performance.now();
    const pieces = next.map((token, row) => ({ row, start: prompt + i, tokens: [token] }));
    next = (await decoder.run(pieces)).map(likeliest);
    steps.push(performance.now() - t);
  }
  return { prefillMs, steps };
}

await once();
if (values.profile) decoder.engine.setProfiling(true);
const { prefillMs, steps } = await once();
if (values.profile) printProfile(decoder.engine, tokens, null, [`decode_${batch}`]);
steps.sort((a, b) => a - b);
const ms = steps[steps.length >> 1] ?? Number.NaN;
const round = (x: number, digits: number) => Number(x.toFixed(digits));
console.log(
  JSON.stringify({
    ...{
      peer: "theseus",
      level: device.info.level,
      dtype: values.dtype,
      threads,
      batch,
      prompt,
      tokens,
    },
    ...{ ms_per_step: round(ms, 2), min_ms: round(steps[0] ?? Number.NaN, 2) },
    ...{ tokens_per_s: round((batch * 1e3) / ms, 1), prefill_ms: round(prefillMs, 1) },
  }),
);
device.close();
