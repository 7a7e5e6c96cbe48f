/**
 * @file Every family that can be imported, decoded with a cache: token for token as transformers has it for the whole row (with windows,
 * scaled rotary positions, shared heads), and eight ragged prompts together as each alone, to the bit.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Decoder } from "../../src/generate/decoder.ts";
import { openDevice } from "../../src/runtime/index.ts";
import { loadWeights } from "../../src/train/weights.ts";
import { FAMILIES, modelAt, readExpected, VARIANTS } from "../models/family_fixture.ts";
import { argmax } from "./models_for_tests.ts";

const device = openDevice({ threads: 2 });
afterAll(() => device.close());

function decoderOf(name: string, rows: number, places: number): Decoder {
  const folder = join(FAMILIES, name);
  const model = modelAt(folder, places);
  const decoder = new Decoder(device, model, { rows, places, precision: "f32" });
  loadWeights(decoder.engine, model, folder);
  return decoder;
}

const largest = (ours: Float32Array, theirs: Float32Array): number =>
  theirs.reduce((max, value, i) => Math.max(max, Math.abs(value - (ours[i] ?? 0))), 0);

test("under mixed matrices are loaded as bf16 alone, all else as f32; a tied table as both", () => {
  const loaded = (name: string) => {
    const folder = join(FAMILIES, name);
    const model = modelAt(folder, 16);
    const sizes = { rows: 1, places: 16, precision: "mixed" } as const;
    const decoder = new Decoder(device, model, sizes);
    loadWeights(decoder.engine, model, folder);
    return { model, engine: decoder.engine };
  };
  const { model, engine } = loaded("llama_gqa_tied");
  for (const { path, isMatrix } of model.parameters()) {
    const states = [engine.has(`param/${path}`), engine.has(`bf16/${path}`)];
    expect([path, states]).toEqual([
      path,
      path === "wte.weight" ? [true, true] : [!isMatrix, isMatrix],
    ]);
  }
  const exact = new Float32Array(32);
  const rounded = new Uint16Array(32);
  engine.state("param/wte.weight").read(exact);
  engine.state("bf16/wte.weight").read(rounded);
  const wide = new Float32Array(Uint32Array.from(rounded, (bits) => bits << 16).buffer);
  wide.forEach((x, i) => {
    expect(Math.abs(x - (exact[i] ?? 0))).toBeLessThanOrEqual(Math.abs(exact[i] ?? 0) / 256);
  });
});

describe.each(VARIANTS)("%s", (name) => {
  const { rows, length, tokens, values } = readExpected(name);
  const logits = values.get("logits") ?? new Float32Array(0);
  const vocab = logits.length / (rows * length);
  const expectedAt = (row: number, at: number) => {
    const start = (row * length + at) * vocab;
    return logits.subarray(start, start + vocab);
  };
  const rowOf = (row: number): number[] =>
    Array.from(tokens.slice(row * length, (row + 1) * length));

  test("a prompt, then token by token, as the whole row", async () => {
    const decoder = decoderOf(name, rows, length);
    const prompt = Math.floor(length / 3);
    for (let start = 0, count = prompt; start < length; start += count, count = 1) {
      const pieces = Array.from({ length: rows }, (_, row) => {
        return { row, start, tokens: rowOf(row).slice(start, start + count) };
      });
      const got: Float32Array[] = [];
      if (count === 1) got.push(...(await decoder.run(pieces)));
      else for (const piece of pieces) got.push(...(await decoder.run([piece])));
      got.forEach((ours, row) => {
        const theirs = expectedAt(row, start + count - 1);
        expect(largest(ours, theirs)).toBeLessThan(1e-4);
        expect(argmax(ours)).toBe(argmax(theirs));
      });
    }
    decoder.free();
  });

  test("eight ragged prompts together are what each is alone", async () => {
    const together = decoderOf(name, 8, length);
    const alone = decoderOf(name, 1, length);
    const prompts = Array.from({ length: 8 }, (_, i) =>
      rowOf(i % rows).slice(i, i + 1 + ((i * 5) % 16)),
    );
    const first = await together.run(prompts.map((tokens, row) => ({ row, start: 0, tokens })));
    const next = await together.run(
      prompts.map((all, row) => {
        return { row, start: all.length, tokens: [argmax(first[row] ?? new Float32Array(1))] };
      }),
    );
    for (const [i, prompt] of prompts.entries()) {
      const [one = new Float32Array(0)] = await alone.run([{ row: 0, start: 0, tokens: prompt }]);
      expect(one).toEqual(first[i] ?? one.slice(1));
      const step = { row: 0, start: prompt.length, tokens: [argmax(one)] };
      const [two = new Float32Array(0)] = await alone.run([step]);
      expect(two).toEqual(next[i] ?? two.slice(1));
    }
    together.free();
    alone.free();
  });
});
