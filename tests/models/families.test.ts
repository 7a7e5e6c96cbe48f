/**
 * @file Every family against Hugging Face's transformers: logits and gradients of tiny models with random weights (made by
 * scripts/fixtures/families.py), on rows longer than the windows and than twice the length before rotary scaling.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { openDevice } from "../../src/runtime/index.ts";
import { tensorName } from "../../src/train/weights.ts";
import { FAMILIES, modelAt, readExpected, VARIANTS } from "./family_fixture.ts";
import { gradientsOf, largestDifference, logitsOf } from "./folder_logits.ts";

const device = openDevice({ threads: 2 });
afterAll(() => device.close());

test.each(VARIANTS)("logits of %s", async (name) => {
  const { rows, length, tokens, values } = readExpected(name);
  const folder = join(FAMILIES, name);
  const model = modelAt(folder, length);
  const logits = await logitsOf(device, model, folder, { rows, length, tokens });
  const expected = values.get("logits") ?? new Float32Array(0);
  expect(largestDifference(logits, expected)).toBeLessThan(1e-4);
});

const trained = VARIANTS.filter((name) => readExpected(name).targets !== undefined);

describe("gradients", () => {
  test("of one model of each family", () => {
    expect(trained).toEqual(["gpt2", "llama", "neox", "qwen2", "qwen3"]);
  });

  test.each(trained)("of %s", async (name) => {
    const { rows, length, tokens, targets, values } = readExpected(name);
    const folder = join(FAMILIES, name);
    const model = modelAt(folder, length);
    const batch = { rows, length, tokens, targets: targets ?? tokens };
    const grads = await gradientsOf(device, model, folder, batch);
    expect(grads.size).toBe(model.parameters().length);
    for (const [path, ours] of grads) {
      const expected = values.get(`grad/${tensorName(model, path)}`) ?? new Float32Array(0);
      const size = Math.max(...expected.map(Math.abs), 1e-3);
      expect([path, largestDifference(ours, expected) / size < 1e-4]).toEqual([path, true]);
    }
  });
});
