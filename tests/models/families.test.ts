/**
 * @file Every family against Hugging Face's transformers: logits and gradients of tiny models with random weights (made by
 * scripts/fixtures/families.py), on rows longer than the windows and than twice the length before rotary scaling.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { compile } from "../../src/passes/index.ts";
import { openDevice } from "../../src/runtime/index.ts";
import { Engine } from "../../src/train/engine.ts";
import { buildMicro } from "../../src/train/programs.ts";
import { targetOf } from "../../src/train/target.ts";
import { loadWeights, tensorName } from "../../src/train/weights.ts";
import { FAMILIES, modelAt, readExpected, VARIANTS } from "./family_fixture.ts";
import { largestDifference, logitsOf } from "./folder_logits.ts";

const device = openDevice({ threads: 2 });
afterAll(() => device.close());
const target = targetOf(device);

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
    const graph = buildMicro(model, {
      batch: { rows, length },
      ...{ precision: "f32", seed: 1, accumulate: false },
    });
    const engine = new Engine(device, new Map([["micro", compile(graph, target)]]));
    loadWeights(engine, model, folder);
    const sample = new Uint32Array(rows);
    const inputs = { tokens, targets: targets ?? tokens, step: 1, sample };
    await (await engine.start("micro", inputs)).done();
    const read = (state: string) => {
      const buffer = engine.state(state);
      const data = new Float32Array(buffer.bytes / 4);
      buffer.read(data);
      return data;
    };
    const counted = new Int32Array(1);
    engine.state("sum/tokens").read(counted);
    const count = counted[0] ?? 0;
    const loss = (read("sum/loss")[0] ?? 0) / count;
    expect(Math.abs(loss - (values.get("loss")?.[0] ?? 0))).toBeLessThan(1e-4);
    for (const { path } of model.parameters()) {
      const expected = values.get(`grad/${tensorName(model, path)}`) ?? new Float32Array(0);
      const ours = read(`grad/${path}`).map((sum) => sum / count);
      const size = Math.max(...expected.map(Math.abs), 1e-3);
      expect([path, largestDifference(ours, expected) / size < 1e-4]).toEqual([path, true]);
    }
    engine.free();
  });
});
