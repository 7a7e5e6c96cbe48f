/** @file The update on a GPU: AdamW of all tensors is one launch with the bits of one each; a gradient that is not finite changes nothing. */
import { afterAll, expect, test } from "bun:test";
import { Builder } from "../../src/ops/builder.ts";
import { ADAMW_SCALARS, adamw } from "../../src/ops/fused/adamw.ts";
import { gradNorm } from "../../src/ops/fused/grad_norm.ts";
import { interpret } from "../../src/ops/interpreter.ts";
import { input } from "../../src/ops/prim/input.ts";
import { refTensor } from "../../src/ops/reference.ts";
import { LARGEST_F32 } from "../../src/optim/adamw_update.ts";
import { compile } from "../../src/passes/index.ts";
import { Engine } from "../../src/train/engine.ts";
import { buildUpdate } from "../../src/train/programs.ts";
import { targetOf } from "../../src/train/target.ts";
import { elementCount } from "../../src/util/shapes.ts";
import { tinyGpt } from "../nn/models_for_tests.ts";
import { normalSource } from "../ops/values.ts";
import { StandIn } from "./stand_in.ts";
import { openTestGpu } from "./virtual_gpu.ts";

const device = openTestGpu();
const target = targetOf(device);
/** Counts launches; a real GPU has none. */
const standIn = device.info.gpu?.virtual === true ? new StandIn() : undefined;
afterAll(() => device.close());

const SHAPES = [[3], [70, 301], [1], [16384], [5, 7], [8193]] as const;
const SCALARS = { learning_rate: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, step: 3 };

const kinds = ["p", "m", "v", "g"] as const;
type Kind = (typeof kinds)[number];
const drawn = (kind: Kind, index: number): Float32Array => {
  const draw = normalSource(`${kind}${index}`);
  const next = () => (kind === "v" ? draw() ** 2 : draw());
  return Float32Array.from({ length: elementCount(SHAPES[index] ?? []) }, next);
};
/** Every second tensor decays. */
const scalarsOf = (index: number): number[] => {
  const values: Record<string, number> = {
    ...SCALARS,
    weight_decay: index % 2,
    gradient_scale: 0.5,
    apply: 1,
  };
  return ADAMW_SCALARS.map((name) => values[name] ?? 0);
};

/** AdamW of some of the tensors, and the norm of their gradients. */
function updateOf(indices: readonly number[]) {
  const b = new Builder("update");
  const grads = indices.map((index) => {
    const state = (name: string, shape: readonly number[]) =>
      input(b, { name, kind: "state", shape, dtype: "f32" });
    const [p = 0, m = 0, v = 0, g = 0] = kinds.map((kind) =>
      state(`${kind}${index}`, SHAPES[index] ?? []),
    );
    const next = adamw(b, p, m, v, g, state(`s${index}`, [8]));
    b.output(`p${index}`, next.param, `p${index}`);
    b.output(`m${index}`, next.m, `m${index}`);
    b.output(`v${index}`, next.v, `v${index}`);
    return g;
  });
  b.output("norm", gradNorm(b, grads));
  return b.finish();
}

/** States after one update, and the norm. */
async function updated(indices: readonly number[]) {
  const engine = new Engine(device, new Map([["update", compile(updateOf(indices), target)]]));
  for (const index of indices) {
    for (const kind of kinds) engine.state(`${kind}${index}`).write(drawn(kind, index));
    engine.state(`s${index}`).write(Float32Array.from(scalarsOf(index)));
  }
  const begin = standIn?.asked().launches ?? 0;
  const run = await engine.start("update");
  const norm = Number(await run.output("norm"));
  const launches = (standIn?.asked().launches ?? 0) - begin;
  const states = new Map(
    indices.flatMap((index) =>
      (["p", "m", "v"] as const).map((kind) => {
        const values = new Float32Array(elementCount(SHAPES[index] ?? []));
        engine.state(`${kind}${index}`).read(values);
        return [`${kind}${index}`, values] as const;
      }),
    ),
  );
  engine.free();
  return { states, norm, launches };
}

test("all tensors in one launch, with the bits of one launch each", async () => {
  const all = SHAPES.map((_, index) => index);
  const together = await updated(all);
  // AdamW, and two for the norm.
  if (standIn !== undefined) expect(together.launches).toBe(3);
  for (const index of all)
    for (const [name, values] of (await updated([index])).states)
      expect(together.states.get(name), name).toEqual(values);
});

test("as the f64 reference", async () => {
  const all = SHAPES.map((_, index) => index);
  const { states, norm } = await updated(all);
  const values = new Map(
    all.flatMap((index) => [
      ...kinds.map((kind) => {
        const data = drawn(kind, index);
        return [`${kind}${index}`, refTensor(SHAPES[index] ?? [], "f32", data)] as const;
      }),
      [`s${index}`, refTensor([8], "f32", scalarsOf(index))] as const,
    ]),
  );
  const expected = interpret(updateOf(all), values);
  for (const [name, found] of states) {
    const wanted = expected.get(name)?.data ?? new Float64Array(0);
    found.forEach((x, i) => {
      const y = wanted[i] ?? Number.NaN;
      if (!(Math.abs(x - y) <= 1e-6 * (1 + Math.abs(y))))
        throw new Error(`${name}[${i}]: ${x}, not ${y}`);
    });
  }
  expect(norm / (expected.get("norm")?.data[0] ?? 0)).toBeCloseTo(1, 7);
});

test("a gradient that is not finite leaves parameters and moments as they were", async () => {
  const model = tinyGpt("architecture.n_layer=1");
  const options = {
    betas: [0.9, 0.95] as [number, number],
    eps: 1e-8,
    weightDecay: 0.1,
    gradClip: 1,
  };
  const program = compile(buildUpdate(model, options), target);
  const engine = new Engine(device, new Map([["update", program]]));
  const names = model.parameters().map(({ path }) => path);
  const read = () =>
    names.flatMap((path) =>
      ["param", "adam_m", "adam_v"].map((kind) => {
        const buffer = engine.state(`${kind}/${path}`);
        const values = new Float32Array(buffer.bytes / 4);
        buffer.read(values);
        return values;
      }),
    );
  model.parameters().forEach(({ path, count }, index) => {
    const draw = normalSource(path);
    const fresh = () => Float32Array.from({ length: count }, draw);
    engine.state(`param/${path}`).write(fresh());
    const gradient = fresh();
    if (index === 2) gradient[count - 1] = Number.POSITIVE_INFINITY;
    engine.state(`grad/${path}`).write(gradient);
  });
  engine.state("sum/tokens").write(Int32Array.of(7));
  engine.state("sum/loss").write(Float32Array.of(20));
  const before = read();
  const step = async () => {
    const rates = { learning_rate: 1e-3, step: 1, norm_limit: LARGEST_F32 };
    return Number(await (await engine.start("update", rates)).output("applied"));
  };
  expect(await step()).toBe(0);
  expect(read()).toEqual(before);
  const path = names[2] ?? "";
  const { count } = model.parameters()[2] ?? { count: 0 };
  engine.state(`grad/${path}`).write(new Float32Array(count).fill(1));
  expect(await step()).toBe(1);
  expect(read()).not.toEqual(before);
  engine.free();
});
