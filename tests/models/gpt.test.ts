/** @file The GPT family: parameters, what settings must fit together, and the graph's values by the reference executor. */
import { expect, test } from "bun:test";
import type { Graph } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ops/interpreter.ts";
import { type RefTensor, refTensor } from "../../src/ops/reference.ts";
import { verify } from "../../src/passes/verify.ts";
import { buildEval, buildInit, buildLogits, buildMicro } from "../../src/train/programs.ts";
import { LLAMA_STYLE, tinyGpt } from "../nn/models_for_tests.ts";

const count = (...overrides: string[]) =>
  tinyGpt(...overrides)
    .parameters()
    .reduce((n, p) => n + p.count, 0);

test("GPT-2's parameters", () => {
  const sizes = ["n_layer=12", "n_embd=768", "n_head=12", "block_size=1024", "vocab_size=50257"];
  expect(count(...sizes.map((s) => `architecture.${s}`))).toBe(124_439_808);
});

test("paths and axes of the parameters", () => {
  const list = (...overrides: string[]) =>
    tinyGpt("architecture.n_layer=1", ...overrides)
      .parameters()
      .map((p) => `${p.path} ${p.axes.map((a) => `${a.name}=${a.size}`).join(" ")}`);
  expect(list()).toMatchInlineSnapshot(`
    [
      "wte.weight vocab=11 n_embd=16",
      "wpe.weight position=8 n_embd=16",
      "blocks.0.attn_norm.weight n_embd=16",
      "blocks.0.attn_norm.bias n_embd=16",
      "blocks.0.attn.qkv.weight n_embd=16 n_qkv=48",
      "blocks.0.attn.qkv.bias n_qkv=48",
      "blocks.0.attn.proj.weight n_attn=16 n_embd=16",
      "blocks.0.attn.proj.bias n_embd=16",
      "blocks.0.mlp_norm.weight n_embd=16",
      "blocks.0.mlp_norm.bias n_embd=16",
      "blocks.0.mlp.up.weight n_embd=16 n_embd_ff=64",
      "blocks.0.mlp.up.bias n_embd_ff=64",
      "blocks.0.mlp.down.weight n_embd_ff=64 n_embd=16",
      "blocks.0.mlp.down.bias n_embd=16",
      "norm.weight n_embd=16",
      "norm.bias n_embd=16",
    ]
  `);
  expect(list(...LLAMA_STYLE)).toMatchInlineSnapshot(`
    [
      "head vocab=11 n_embd=16",
      "wte.weight vocab=11 n_embd=16",
      "blocks.0.attn_norm.weight n_embd=16",
      "blocks.0.attn.qkv.weight n_embd=16 n_qkv=32",
      "blocks.0.attn.proj.weight n_attn=16 n_embd=16",
      "blocks.0.mlp_norm.weight n_embd=16",
      "blocks.0.mlp.gate.weight n_embd=16 n_embd_ff=64",
      "blocks.0.mlp.up.weight n_embd=16 n_embd_ff=64",
      "blocks.0.mlp.down.weight n_embd_ff=64 n_embd=16",
      "norm.weight n_embd=16",
    ]
  `);
});

test("settings that do not fit together name the module and both numbers", () => {
  const build =
    (...overrides: string[]) =>
    () =>
      tinyGpt(...overrides.map((o) => `architecture.${o}`));
  expect(build("n_head=3")).toThrowErrorMatchingInlineSnapshot(
    `"blocks.0.attn: n_head 3 does not divide n_embd 16"`,
  );
  expect(build("n_head=4", "n_kv_head=3")).toThrowErrorMatchingInlineSnapshot(
    `"blocks.0.attn: n_kv_head 3 does not divide n_head 4"`,
  );
  expect(build("n_embd=6", "positions=rotary")).toThrowErrorMatchingInlineSnapshot(
    `"blocks.0.attn: rotary positions turn an even part of each head of 3, got 3"`,
  );
});

/** Initial parameters and zeros for everything else that a graph reads. */
function inputsOf(graph: Graph, params: ReadonlyMap<string, RefTensor>): Map<string, RefTensor> {
  const values = new Map<string, RefTensor>();
  for (const node of graph.nodes) {
    const [type] = node.types;
    if (node.op !== "input" || type === undefined) continue;
    const name = String(node.attrs.name);
    values.set(name, params.get(name) ?? refTensor(type.shape, type.dtype));
  }
  return values;
}

const initial = (model: ReturnType<typeof tinyGpt>) => {
  const graph = buildInit(model, 7);
  return interpret(graph, inputsOf(graph, new Map()));
};

const batch = { rows: 2, length: 8 };
const ids = Array.from({ length: 16 }, (_, i) => (i * 5) % 11);
const targets = ids.map((_, i) => (i % 5 === 0 ? -1 : (i * 3) % 11));

function withTokens(graph: Graph, params: ReadonlyMap<string, RefTensor>, mask = targets) {
  const values = inputsOf(graph, params);
  values.set("tokens", refTensor([2, 8], "i32", ids));
  values.set("targets", refTensor([2, 8], "i32", mask));
  values.set("sample", refTensor([2], "u32", [40, 41]));
  return values;
}

const number = (results: ReadonlyMap<string, RefTensor>, name: string) =>
  results.get(name)?.data[0] ?? Number.NaN;

test.each([
  ["gpt2", []],
  ["llama", LLAMA_STYLE],
] as const)("%s starts near the uniform loss", (_, style) => {
  const model = tinyGpt(...style);
  const graph = buildEval(model, batch, "f32");
  verify(graph, "traced");
  const results = interpret(graph, withTokens(graph, initial(model)));
  expect(number(results, "tokens")).toBe(12);
  expect(Math.abs(number(results, "loss_sum") / 12 - Math.log(11))).toBeLessThan(0.05);
});

test("initial values: spread, gains one, biases zero, the same whatever else is there", () => {
  const params = initial(tinyGpt());
  const std = (name: string) => {
    const data = params.get(name)?.data ?? new Float64Array(1);
    return Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length);
  };
  expect(std("param/blocks.0.mlp.up.weight")).toBeCloseTo(0.02, 2);
  expect(std("param/blocks.0.mlp.down.weight")).toBeCloseTo(0.01, 2);
  expect(std("param/blocks.0.attn_norm.weight")).toBe(1);
  expect(std("param/blocks.1.attn.qkv.bias")).toBe(0);
  const wider = initial(tinyGpt("architecture.vocab_size=13"));
  const up = "param/blocks.0.mlp.up.weight";
  expect(wider.get(up)?.data).toEqual(params.get(up)?.data ?? new Float64Array(0));
});

test("causal: a later token changes no earlier logits; masked targets change no gradient", () => {
  const model = tinyGpt(...LLAMA_STYLE);
  const params = initial(model);
  const graph = buildLogits(model, "f32");
  const logitsAt = (position: number, tokens: readonly number[]) => {
    const values = inputsOf(graph, params);
    values.set("tokens", refTensor([1, 8], "i32", tokens));
    values.set("starts", refTensor([3], "i32", [0, position, 0]));
    return interpret(graph, values).get("logits")?.data;
  };
  const changed = ids.slice(0, 8).map((id, i) => (i > 4 ? (id + 1) % 11 : id));
  expect(logitsAt(4, changed)).toEqual(logitsAt(4, ids.slice(0, 8)) ?? new Float64Array(0));
  expect(logitsAt(5, changed)).not.toEqual(logitsAt(5, ids.slice(0, 8)) ?? new Float64Array(0));

  const micro = buildMicro(model, { batch, precision: "f32", seed: 1, accumulate: false });
  verify(micro, "differentiated");
  const none = interpret(
    micro,
    withTokens(
      micro,
      params,
      targets.map(() => -1),
    ),
  );
  expect(number(none, "sum/tokens")).toBe(0);
  for (const [name, value] of none)
    if (name.startsWith("grad/")) expect(Math.max(...value.data.map(Math.abs))).toBe(0);
});

test("dropout drops about its share, and the same for the same sample index", () => {
  const model = tinyGpt("architecture.dropout=0.5");
  const params = initial(model);
  const micro = buildMicro(model, { batch, precision: "f32", seed: 1, accumulate: false });
  const loss = (first: number) => {
    const values = withTokens(micro, params);
    values.set("sample", refTensor([2], "u32", [first, first + 1]));
    return number(interpret(micro, values), "sum/loss");
  };
  expect(loss(40)).toBe(loss(40));
  expect(loss(40)).not.toBe(loss(42));
});
