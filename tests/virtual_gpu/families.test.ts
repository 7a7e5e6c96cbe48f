/** @file Every family on a GPU, in every precision, against Hugging Face's transformers: logits and all gradients. */
import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Precision } from "../../src/nn/trace.ts";
import { tensorName } from "../../src/train/weights.ts";
import { FAMILIES, modelAt, readExpected, VARIANTS } from "../models/family_fixture.ts";
import { gradientsOf, logitsOf } from "../models/folder_logits.ts";
import { norm } from "../ops/gradients.ts";
import { openTestGpu } from "./virtual_gpu.ts";

const device = openTestGpu();
afterAll(() => device.close());

/** Relative, of a whole tensor. Weights of these models are as they are drawn: in mixed the CPU's gradients are off by 0.11, too. */
const BOUNDS: Record<Precision, { readonly logits: number; readonly gradient: number }> = {
  f32: { logits: 1e-5, gradient: 1e-5 },
  mixed: { logits: 5e-2, gradient: 0.16 },
  bf16: { logits: 5e-2, gradient: 0.16 },
};

function relative(ours: ArrayLike<number>, theirs: Float32Array | undefined): number {
  const expected = Float64Array.from(theirs ?? []);
  const difference = expected.map((x, i) => x - (ours[i] ?? Number.NaN));
  return norm(difference) / Math.max(norm(expected), 1e-4);
}

describe.each(["f32", "mixed", "bf16"] as const)("%s", (precision) => {
  test.each(VARIANTS)("%s", async (name) => {
    const { rows, length, tokens, targets, values } = readExpected(name);
    const folder = join(FAMILIES, name);
    const model = modelAt(folder, length);
    const logits = await logitsOf(device, model, folder, { rows, length, tokens }, precision);
    const bounds = BOUNDS[precision];
    expect(relative(logits, values.get("logits"))).toBeLessThan(bounds.logits);
    if (targets === undefined) return;
    const batch = { rows, length, tokens, targets };
    const grads = await gradientsOf(device, model, folder, batch, precision);
    for (const [path, ours] of grads) {
      const expected = values.get(`grad/${tensorName(model, path)}`);
      expect(relative(ours, expected), path).toBeLessThan(bounds.gradient);
    }
  });
});
