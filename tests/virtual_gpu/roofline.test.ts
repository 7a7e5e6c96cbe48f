/** @file The least time of a step on a GPU, worked out from its programs: FLOPs and bytes are those of arithmetic done by hand. */
import { expect, test } from "bun:test";
import { ceilingsOf, type Launch, launchesOf } from "../../bench/roofline_model.ts";
import { sizeConfig } from "../../bench/sizes.ts";
import { compileTraining } from "../../src/train/job_programs.ts";

const GPU = { kind: "cuda", level: "sm_90", threads: 1 } as const;
const h100 = ceilingsOf("NVIDIA H100 80GB HBM3");
const { job, config } = sizeConfig({ size: "gpt2-gpu", precision: "bf16" });
const programs = compileTraining(job.model(config), config, GPU);
const of = (name: "micro" | "update"): Launch[] => {
  const compiled = programs.get(name);
  return compiled === undefined ? [] : launchesOf(compiled.program, h100);
};
const [layers, width, context, batch, vocabulary] = [12, 768, 1024, 64, 50304];
const tokens = batch * context;
const sum = (launches: readonly Launch[], value: (launch: Launch) => number): number =>
  launches.reduce((total, launch) => total + value(launch), 0);

test("ceilings of GPUs that the tables know, and of others", () => {
  expect(h100.bandwidth).toBe(3.35e12);
  expect(h100.products).toBeCloseTo(700e12, -10);
  expect(ceilingsOf("NVIDIA H200").bandwidth).toBe(4.8e12);
  expect(ceilingsOf("NVIDIA A100-SXM4-80GB").products / 312e12).toBeCloseTo(700 / 989.4);
  expect(ceilingsOf("virtual GPU")).toEqual(h100);
});

test("products multiply six times for every weight and token", () => {
  const products = of("micro").filter(({ kernel }) => kernel.startsWith("product"));
  const weights = layers * 12 * width ** 2 + vocabulary * width;
  expect(sum(products, ({ flops }) => flops)).toBe(6 * weights * tokens);
});

test("attention: two products forward, seven backward, over half of all pairs", () => {
  const attention = of("micro").filter(({ rate }) => rate === "attention");
  const pairs = (batch * context ** 2 * width) / 2;
  expect(sum(attention, ({ flops }) => flops)).toBe(layers * (4 + 14) * pairs);
});

test("every logit is written twice and read three times", () => {
  const loss = of("micro").filter(({ scope }) => scope === "loss");
  const [logits, losses, dx, dw] = [
    "product, logits",
    "losses",
    "product, loss dx",
    "product, loss dw",
  ].map((name) => loss.filter(({ kernel }) => kernel === name));
  const bytes = tokens * vocabulary * 2;
  const chunks = 8;
  const table = vocabulary * width;
  const x = tokens * width * 2;
  expect(logits).toHaveLength(chunks);
  expect(sum(logits ?? [], ({ writtenBytes }) => writtenBytes)).toBe(bytes);
  expect(sum(logits ?? [], ({ readBytes }) => readBytes)).toBe(x + chunks * table * 2);
  expect(sum(losses ?? [], (each) => each.readBytes + each.writtenBytes)).toBe(
    2 * bytes + 16 * tokens,
  );
  expect(sum(dx ?? [], ({ readBytes }) => readBytes)).toBe(bytes + chunks * table * 2);
  expect(sum(dw ?? [], ({ readBytes }) => readBytes)).toBe(bytes + x + (chunks - 1) * table * 4);
});

test("AdamW reads four numbers of every parameter and writes three", () => {
  const adamw = of("update").filter(({ kernel }) => kernel === "adamw");
  const { count } = job
    .model(config)
    .parameters()
    .reduce((all, { count }) => ({ count: all.count + count }), { count: 0 });
  const scalars = adamw.length * 8 * 4;
  expect(sum(adamw, ({ readBytes }) => readBytes)).toBe(16 * count + scalars);
  expect(sum(adamw, ({ writtenBytes }) => writtenBytes)).toBe(12 * count);
});

test("what lies where it is to be is not copied, rows are taken one by one", () => {
  const grad = of("micro").filter(({ scope }) => scope === "wte");
  expect(grad.map(({ kernel }) => kernel)).toEqual(["embedding", "scatter_add"]);
  const row = width * 4;
  const [forward, backward] = grad;
  expect(forward?.readBytes).toBe(4 * tokens + tokens * width * 2);
  expect(backward?.writtenBytes).toBe(vocabulary * row);
});
