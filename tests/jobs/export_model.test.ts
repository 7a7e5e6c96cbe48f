/** @file Folders of Hugging Face models: in and out again byte for byte, other dtypes and shards, and folders that are damaged. */
import { afterAll, expect, test } from "bun:test";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { exportFolder } from "../../src/jobs/export_model.ts";
import { modelFiles } from "../../src/jobs/model_place.ts";
import { trainedRun } from "../../src/jobs/trained_run.ts";
import { readValues } from "../../src/train/checkpoint/tensor_reader.ts";
import { openWeightFiles } from "../../src/train/checkpoint/weight_files.ts";
import { matchedWeights } from "../../src/train/weights.ts";
import { UserError } from "../../src/util/errors.ts";
import { FAMILIES, modelAt, VARIANTS } from "../models/family_fixture.ts";

const place = mkdtempSync(join(tmpdir(), "theseus-export-"));
afterAll(() => rmSync(place, { recursive: true }));
let made = 0;
const fresh = (): string => join(place, `out-${made++}`);

test.each(VARIANTS)("%s comes out as it went in", (name) => {
  const source = join(FAMILIES, name);
  const out = fresh();
  exportFolder(source, out, {});
  const files = readdirSync(source).filter((file) => file !== "expected.safetensors");
  expect(readdirSync(out).sort()).toEqual(files.sort());
  for (const file of files)
    if (!file.endsWith(".index.json"))
      expect([
        file,
        readFileSync(join(out, file)).equals(readFileSync(join(source, file))),
      ]).toEqual([file, true]);
  const index = "model.safetensors.index.json";
  const json = (folder: string) => JSON.parse(readFileSync(join(folder, index), "utf8"));
  if (files.includes(index)) expect(json(out)).toEqual(json(source));
});

function valuesOf(folder: string): Map<string, Float32Array> {
  return new Map(
    [...openWeightFiles(folder).tensors.values()].map((tensor) => {
      const parts: number[] = [];
      readValues(tensor, (values) => parts.push(...values));
      return [tensor.name, Float32Array.from(parts)];
    }),
  );
}

test("another dtype and shards keep the values, and narrow to what they were", () => {
  const source = join(FAMILIES, "llama_gqa_tied");
  const [wide, back] = [fresh(), fresh()];
  exportFolder(source, wide, { dtype: "F32", shardBytes: 30_000 });
  const { files } = openWeightFiles(wide);
  expect(files.length).toBeGreaterThan(2);
  expect(files[0]).toBe(`model-00001-of-0000${files.length}.safetensors`);
  expect(valuesOf(wide)).toEqual(valuesOf(source));
  expect(JSON.parse(readFileSync(join(wide, "config.json"), "utf8")).dtype).toBe("float32");
  exportFolder(wide, back, { dtype: "BF16", shardBytes: 1e9 });
  const bytes = (folder: string) => readFileSync(join(folder, "model.safetensors"));
  expect(bytes(back).equals(bytes(source))).toBe(true);
});

test("f32 narrows to f16 as the format rounds", () => {
  const source = join(FAMILIES, "llama");
  const out = fresh();
  exportFolder(source, out, { dtype: "F16" });
  const exact = valuesOf(source);
  for (const [name, values] of valuesOf(out))
    expect([name, values]).toEqual([
      name,
      (exact.get(name) ?? values).map((x) => Math.f16round(x)),
    ]);
});

test("a weight that f16 has no number for is refused, and nothing is left", () => {
  const source = fresh();
  cpSync(join(FAMILIES, "llama"), source, { recursive: true });
  const path = join(source, "model.safetensors");
  const bytes = readFileSync(path);
  bytes.writeFloatLE(1e5, bytes.length - 4);
  writeFileSync(path, bytes);
  const out = fresh();
  expect(() => exportFolder(source, out, { dtype: "F16" })).toThrow(
    "model.norm.weight holds 100000, for which F16 has no number",
  );
  expect(readdirSync(place).filter((name) => name.startsWith(basename(out)))).toEqual([]);
  exportFolder(source, out, { dtype: "BF16" });
});

test("the prefix of names may be left out, and old buffers may be there", () => {
  const source = join(FAMILIES, "gpt2");
  const folder = fresh();
  cpSync(source, folder, { recursive: true });
  const path = join(folder, "model.safetensors");
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = bytes
    .subarray(8, 8 + length)
    .toString()
    .replaceAll('"transformer.', '"');
  const json = JSON.parse(header) as Record<string, { data_offsets?: [number, number] }>;
  const end = bytes.length - 8 - length;
  const mask = { dtype: "F32", shape: [1], data_offsets: [end, end + 4] };
  const text = JSON.stringify({ ...json, "h.0.attn.bias": mask }).padEnd(length + 64);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(
    path,
    Buffer.concat([size, Buffer.from(text), bytes.subarray(8 + length), Buffer.alloc(4)]),
  );
  expect(matchedWeights(modelAt(folder), folder).size).toBe(modelAt(folder).parameters().length);
  const out = fresh();
  exportFolder(folder, out, {});
  expect(
    readFileSync(join(out, "model.safetensors")).equals(
      readFileSync(join(source, "model.safetensors")),
    ),
  ).toBe(true);
});

test("a folder is a model for every command", async () => {
  const folder = join(FAMILIES, "qwen3");
  const { job, model, weights } = trainedRun(await modelFiles(folder, place));
  expect([job.name, model.blockSize, weights]).toEqual(["qwen/finetune", 64, folder]);
});

test("a model of the hub comes from the cache, shards and all", async () => {
  const cache = fresh();
  const repo = join(cache, "models--org--tiny");
  const commit = "0123456789abcdef0123456789abcdef01234567";
  mkdirSync(join(repo, "refs"), { recursive: true });
  writeFileSync(join(repo, "refs/main"), commit);
  const snapshot = join(repo, "snapshots", commit);
  cpSync(join(FAMILIES, "llama_biases_sharded"), snapshot, { recursive: true });
  const { HF_HUB_CACHE, HF_HUB_OFFLINE } = process.env;
  Object.assign(process.env, { HF_HUB_CACHE: cache, HF_HUB_OFFLINE: "1" });
  try {
    const { model, weights } = trainedRun(await modelFiles("hf:org/tiny", place));
    expect(weights).toBe(snapshot);
    expect(matchedWeights(model, weights).size).toBe(model.parameters().length);
    rmSync(join(snapshot, "model-00001-of-00002.safetensors"));
    await expect(modelFiles("hf:org/tiny", place)).rejects.toThrow("is not in the cache");
    await expect(modelFiles("hf:org/none", place)).rejects.toThrow("is not in the cache");
  } finally {
    for (const [key, value] of Object.entries({ HF_HUB_CACHE, HF_HUB_OFFLINE }))
      if (value === undefined) delete process.env[key];
      else process.env[key] = value;
  }
});

/** A copy of a model with something done to it, and what is said when it is opened. */
async function refusal(name: string, spoil: (folder: string) => void): Promise<[string, string]> {
  const folder = fresh();
  cpSync(join(FAMILIES, name), folder, { recursive: true });
  spoil(folder);
  try {
    const { model, weights } = trainedRun(await modelFiles(folder, place));
    matchedWeights(model, weights);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return [error.code, error.message.replaceAll(folder, "FOLDER")];
  }
  return ["accepted", ""];
}

const config = (change: (json: Record<string, unknown>) => void) => (folder: string) => {
  const path = join(folder, "config.json");
  const json = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  change(json);
  writeFileSync(path, JSON.stringify(json));
};

const index = (change: (map: Record<string, string>) => void) => (folder: string) => {
  const path = join(folder, "model.safetensors.index.json");
  const json = JSON.parse(readFileSync(path, "utf8")) as { weight_map: Record<string, string> };
  change(json.weight_map);
  writeFileSync(path, JSON.stringify(json));
};

test.each<[string, string, (folder: string) => void, string, string]>([
  [
    "an unknown architecture",
    "llama",
    config((json) => {
      json.model_type = "lama";
    }),
    "config",
    'got "lama". Did you mean "llama"?',
  ],
  [
    "no architecture",
    "llama",
    config((json) => {
      delete json.model_type;
    }),
    "config",
    "got undefined",
  ],
  [
    "a size that is none",
    "llama",
    config((json) => {
      json.hidden_size = -3;
    }),
    "checkpoint",
    "hidden_size: expected a whole number >= 1, got -3",
  ],
  [
    "a missing size",
    "llama",
    config((json) => {
      delete json.vocab_size;
    }),
    "checkpoint",
    "vocab_size: expected a whole number >= 1, got nothing",
  ],
  [
    "an activation that is not built",
    "llama",
    config((json) => {
      json.hidden_act = "relu";
    }),
    "checkpoint",
    "hidden_act: expected one of gelu,",
  ],
  [
    "a rotary scaling that is not built",
    "llama",
    config((json) => {
      json.rope_scaling = { type: "longrope" };
      delete json.rope_parameters;
    }),
    "checkpoint",
    "type: expected one of default, linear",
  ],
  [
    "other shapes",
    "llama",
    config((json) => {
      json.intermediate_size = 45;
    }),
    "checkpoint",
    "mlp.gate_proj.weight: expected F32 or BF16 or F16 [45, 32], found F32 [44, 32]",
  ],
  [
    "more layers than there are",
    "llama",
    config((json) => {
      json.num_hidden_layers = 3;
    }),
    "checkpoint",
    "model.layers.2.input_layernorm.weight",
  ],
  [
    "fewer layers than there are",
    "llama",
    config((json) => {
      json.num_hidden_layers = 1;
    }),
    "checkpoint",
    "which the model does not have",
  ],
  [
    "a config.json that is none",
    "llama",
    (folder) => writeFileSync(join(folder, "config.json"), "[1]"),
    "checkpoint",
    "expected a JSON object",
  ],
  [
    "no weights",
    "llama",
    (folder) => rmSync(join(folder, "model.safetensors")),
    "not_found",
    "FOLDER holds no model.safetensors",
  ],
  [
    "a missing shard",
    "llama_biases_sharded",
    (folder) => rmSync(join(folder, "model-00002-of-00002.safetensors")),
    "checkpoint",
    "the shard model-00002-of-00002.safetensors is missing",
  ],
  [
    "a tensor in another shard",
    "llama_biases_sharded",
    index((map) => {
      map["lm_head.weight"] = "model-00001-of-00002.safetensors";
    }),
    "checkpoint",
    "lm_head.weight is not in model-00001-of-00002.safetensors",
  ],
  [
    "a shard outside the folder",
    "llama_biases_sharded",
    index((map) => {
      map["lm_head.weight"] = "../x.safetensors";
    }),
    "checkpoint",
    "expected a file of this folder",
  ],
  [
    "a header of 2^63 bytes",
    "llama",
    (folder) => {
      const path = join(folder, "model.safetensors");
      const bytes = readFileSync(path);
      bytes.writeBigUInt64LE(2n ** 63n);
      writeFileSync(path, bytes);
    },
    "checkpoint",
    "header of 9223372036854775808 bytes",
  ],
  [
    "a file that is cut off",
    "llama",
    (folder) => {
      const path = join(folder, "model.safetensors");
      writeFileSync(path, readFileSync(path).subarray(0, 40_000));
    },
    "checkpoint",
    "ends at byte",
  ],
])("%s is refused", async (_, name, spoil, code, message) => {
  const [was, said] = await refusal(name, spoil);
  expect(was).toBe(code);
  expect(said).toContain(message);
});

test("nothing is written over", () => {
  const out = fresh();
  writeFileSync(out, "");
  expect(() => exportFolder(join(FAMILIES, "llama"), out, {})).toThrow("exists already");
  expect(existsSync(`${out}.tmp`)).toBe(false);
});
