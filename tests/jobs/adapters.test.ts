/** @file Low-rank adapters: PEFT's own files give its logits, merged too; training keeps the model as it is and resumes to the bit. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../src/config/load.ts";
import { exportMerged } from "../../src/jobs/export_model.ts";
import { llamaFinetune } from "../../src/jobs/finetune.ts";
import { modelFiles } from "../../src/jobs/model_place.ts";
import { trainedRun } from "../../src/jobs/trained_run.ts";
import { openDevice } from "../../src/runtime/index.ts";
import { readSafetensors } from "../../src/train/checkpoint/safetensors.ts";
import { runTraining, type TrainingRequest } from "../../src/train/run.ts";
import { tensorName } from "../../src/train/weights.ts";
import { UserError } from "../../src/util/errors.ts";
import { ADAPTERS, FAMILIES, readExpected } from "../models/family_fixture.ts";
import { gradientsOf, largestDifference, logitsOf, widenedCopy } from "../models/folder_logits.ts";

setDefaultTimeout(60_000);
const root = mkdtempSync(join(tmpdir(), "theseus-adapters-"));
const device = openDevice({ threads: 2 });
afterAll(() => {
  device.close();
  rmSync(root, { recursive: true });
});

/** A copy of a fixture that knows where its model is, with its settings changed. */
function adapterFolder(name: string, change: Readonly<Record<string, unknown>> = {}): string {
  const folder = mkdtempSync(join(root, "adapter-"));
  cpSync(join(ADAPTERS, name), folder, { recursive: true });
  const path = join(folder, "adapter_config.json");
  const base = readFileSync(join(folder, "base.txt"), "utf8").trim();
  const json = JSON.parse(readFileSync(path, "utf8"));
  const set = { ...json, base_model_name_or_path: join(FAMILIES, base), ...change };
  writeFileSync(path, JSON.stringify(set));
  return folder;
}

test.each(["gpt2", "llama", "neox"])(
  "logits and gradients with PEFT's adapters of %s, and merged",
  async (name) => {
    const { rows, length, tokens, targets, values } = readExpected(name, ADAPTERS);
    const expected = values.get("logits") ?? new Float32Array(0);
    const folder = adapterFolder(name);
    const opened = trainedRun(await modelFiles(folder, root));
    const ours = await logitsOf(device, opened.model, opened.weights, { rows, length, tokens });
    expect(largestDifference(ours, expected)).toBeLessThan(1e-4);

    const batch = { rows, length, tokens, targets: targets ?? tokens };
    const grads = await gradientsOf(device, opened.model, opened.weights, batch);
    const theirGrads = [...values.keys()].filter((key) => key.startsWith("grad/"));
    expect(grads.size).toBe(theirGrads.length);
    for (const [path, ours] of grads) {
      const theirs = values.get(`grad/${tensorName(opened.model, path)}`) ?? new Float32Array(0);
      const size = Math.max(...theirs.map(Math.abs));
      expect([path, largestDifference(ours, theirs) / size < 1e-4]).toEqual([path, true]);
    }

    const merged = join(root, `merged-${name}`);
    exportMerged(folder, merged, { dtype: "F32" });
    const whole = trainedRun(await modelFiles(merged, root));
    const theirs = await logitsOf(device, whole.model, whole.weights, { rows, length, tokens });
    expect(largestDifference(theirs, expected)).toBeLessThan(1e-4);
  },
);

test.each([
  [{ use_dora: true }, "use_dora: expected false"],
  [{ use_rslora: true }, "use_rslora: expected false"],
  [{ bias: "all" }, 'bias: expected "none"'],
  [{ peft_type: "IA3" }, 'peft_type: expected "LORA"'],
  [{ modules_to_save: ["lm_head"] }, "modules_to_save: expected nothing"],
  [{ rank_pattern: { q_proj: 8 } }, "rank_pattern: expected nothing"],
  [{ init_lora_weights: "pissa" }, "init_lora_weights: expected a start"],
  [{ r: 0 }, "r: expected a whole number >= 1"],
  [{ r: 4 }, "expected F32 or BF16 or F16 [4, 32], found F32 [3, 32]"],
  [{ target_modules: ["q_proj"] }, "which the model does not have"],
  [{ target_modules: ["q_prog"] }, 'no linear layer is called "q_prog". Did you mean "q_proj"?'],
  [{ base_model_name_or_path: "" }, "base_model_name_or_path: expected the model"],
])("adapters with %o are refused", async (change, message) => {
  const folder = adapterFolder("llama", change);
  const open = async () => {
    const { model, weights } = trainedRun(await modelFiles(folder, root));
    await logitsOf(device, model, weights, readExpected("llama", ADAPTERS));
  };
  const error = await open().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(UserError);
  expect(String(error)).toContain(message);
});

const text = join(root, "text.txt");
writeFileSync(text, "0123456789 and so on, again and again\n".repeat(60));
const base = join(root, "base");
mkdirSync(base);
widenedCopy("llama", base);

function train(name: string, overrides: readonly string[], more: Partial<TrainingRequest> = {}) {
  const config = loadConfig({
    schema: llamaFinetune.schema,
    overrides: [
      ...[
        `model.from=${base}`,
        `data.text=${text}`,
        "training.per_device_batch_size=2",
        "training.learning_rate=1e-3",
      ],
      ...["training.steps=4", "checkpoint.interval=2", "architecture.block_size=16"],
      ...["lora.rank=2", "lora.targets=[q_proj, 'layers.1.mlp.*_proj']", "lora.dropout=0.2"],
      ...overrides,
    ],
  });
  const place = { root, project: "general", group: "default", name };
  return runTraining({ job: llamaFinetune, config, place, ...more });
}

test("only adapters are trained, saved and resumed; their model stays as it is", async () => {
  const before = readFileSync(join(base, "model.safetensors"));
  const whole = await train("whole", []);
  await train("parts", ["training.stop_tokens=64"]);
  const parts = await train("parts", []);
  const file = (directory: string, name: string) =>
    join(directory, "checkpoints/step-000004", name);
  const same = (name: string) =>
    readFileSync(file(whole.directory, name)).equals(readFileSync(file(parts.directory, name)));
  expect([same("adapter_model.safetensors"), same("optimizer.safetensors")]).toEqual([true, true]);
  expect(readFileSync(join(base, "model.safetensors")).equals(before)).toBe(true);
  const names = readSafetensors(file(whole.directory, "adapter_model.safetensors")).tensors;
  const layer = "base_model.model.model.layers";
  expect(names.map(({ name }) => name)).toEqual(
    [
      "0.self_attn.q_proj",
      "1.mlp.down_proj",
      "1.mlp.gate_proj",
      "1.mlp.up_proj",
      "1.self_attn.q_proj",
    ].flatMap((each) => ["A", "B"].map((part) => `${layer}.${each}.lora_${part}.weight`)),
  );
  const moments = readSafetensors(file(whole.directory, "optimizer.safetensors")).tensors;
  expect(moments.length).toBe(2 * names.length);

  // A run is a model, and so are its folder of adapters and what it merges to.
  const rows = { rows: 1, length: 16, tokens: Int32Array.from({ length: 16 }, (_, i) => i + 40) };
  const run = trainedRun(await modelFiles("whole", root));
  const logits = await logitsOf(device, run.model, run.weights, rows);
  const merged = join(root, "merged");
  exportMerged(run.weights, merged, {});
  const opened = trainedRun(await modelFiles(merged, root));
  const again = await logitsOf(device, opened.model, opened.weights, rows);
  expect(largestDifference(again, logits)).toBeLessThan(1e-4);
  const plain = trainedRun(await modelFiles(base, root));
  const old = await logitsOf(device, plain.model, plain.weights, rows);
  expect(largestDifference(old, logits)).toBeGreaterThan(1e-3);
});

test("adapters do not go on with another model's weights", async () => {
  await train("moved", ["training.stop_tokens=64"]);
  const path = join(base, "model.safetensors");
  const bytes = readFileSync(path);
  const other = Buffer.from(bytes);
  other.writeFloatLE(0.5, bytes.length - 4);
  writeFileSync(path, other);
  await expect(train("moved", [])).rejects.toThrow("belong to other weights");
  writeFileSync(path, bytes);
  expect((await train("moved", [])).reason).toBe("finished");
});
