/**
 * @file Matrix products through cuBLASLt, in CI its stand-in: all orders of the operands, batches, dtypes and epilogues, also those
 * that cuBLASLt does in part or not at all, equal the f64 reference.
 */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import type { Id } from "../../src/ir/graph.ts";
import { Builder } from "../../src/ops/builder.ts";
import { at } from "../../src/ops/check.ts";
import { interpret } from "../../src/ops/interpreter.ts";
import { type MatmulAttrs, matmulLoweredOp, PLAIN_MATMUL } from "../../src/ops/lowered/matmul.ts";
import { broadcastOp } from "../../src/ops/prim/broadcast.ts";
import { get } from "../../src/ops/prim/get.ts";
import { input } from "../../src/ops/prim/input.ts";
import { transpose } from "../../src/ops/prim/transpose.ts";
import type { RefTensor } from "../../src/ops/reference.ts";
import { compile } from "../../src/passes/compile.ts";
import { serialize } from "../../src/program/serialize.ts";
import type { Device } from "../../src/runtime/index.ts";
import { targetOf } from "../../src/train/target.ts";
import { norm } from "../ops/gradients.ts";
import { runNative } from "../ops/native.ts";
import { sampleTensor } from "../ops/values.ts";
import { StandIn } from "./stand_in.ts";
import { openTestGpu } from "./virtual_gpu.ts";

const device = openTestGpu();
afterAll(() => device.close());
// Several hundred programs each.
setDefaultTimeout(60_000);
const isVirtual = device.info.gpu?.virtual === true;

type Float = "f32" | "bf16";
/** Operands: as they are, or transposed views of memory. */
type Order = "nn" | "nt" | "tn" | "tt";
interface Form {
  readonly sizes: readonly [batch: number, m: number, n: number, k: number];
  readonly order: Order;
  readonly dtypes: readonly [a: Float, b: Float, out: Float];
  readonly epilogue: Partial<MatmulAttrs>;
}

const EPILOGUES: readonly Partial<MatmulAttrs>[] = [
  {},
  { alpha: 0.25, bias: true },
  { residual: true },
  { residual: true, bias: true },
  { bias: true, activation: "gelu_tanh", saveAux: true },
  { bias: true, activation: "gelu_tanh" },
  { activation: "gelu_tanh", saveAux: true },
  { activation: "gelu_tanh", activationGrad: true },
  { activation: "gelu_erf", activationGrad: true },
  { bias: true, activation: "silu", saveAux: true },
  { activation: "gelu_tanh", residual: true },
  { bias: true, activation: "gelu_tanh", activationGrad: true, residual: true },
];
/** Beside sums of columns, which one B has. */
const WITH_SUMS: readonly Partial<MatmulAttrs>[] = [
  {},
  { residual: true },
  { bias: true },
  { bias: true, activation: "gelu_tanh", saveAux: true },
  { activation: "gelu_erf", activationGrad: true, residual: true },
];
/** Sizes that fit vectors, sizes that do not, a batch, single rows and columns. */
const SIZES: readonly Form["sizes"][] = [
  [1, 24, 40, 16],
  [3, 16, 8, 24],
  [2, 7, 33, 19],
  [1, 1, 16, 8],
  [4, 5, 1, 3],
];
const DTYPES: readonly Form["dtypes"][] = [
  ["f32", "f32", "f32"],
  ["bf16", "bf16", "f32"],
  ["bf16", "bf16", "bf16"],
];

/** The product as a graph of inputs 0, 1, ..., and their values. */
function build({ sizes, order, dtypes, epilogue }: Form) {
  const [batch, m, n, k] = sizes;
  const [a, b, out] = dtypes;
  const attrs: MatmulAttrs = { ...PLAIN_MATMUL, compute: a, out, ...epilogue };
  const builder = new Builder("product");
  const values = new Map<string, RefTensor>();
  const add = (shape: number[], dtype: Float): Id => {
    const name = `${values.size}`;
    values.set(name, sampleTensor({ shape, dtype }, `${name} ${shape} ${dtype}`));
    return input(builder, { name, kind: "input", shape, dtype });
  };
  const operand = (rows: number, columns: number, dtype: Float, transposed: boolean): Id =>
    transposed
      ? transpose(builder, add([batch, columns, rows], dtype), [0, 2, 1])
      : add([batch, rows, columns], dtype);
  const ids = [operand(m, k, a, order[0] === "t"), operand(k, n, b, order[1] === "t")];
  if (attrs.bias) ids.push(add([n], "f32"));
  if (attrs.residual) ids.push(add([batch, m, n], out));
  if (attrs.activationGrad) ids.push(add([batch, m, n], out));
  const full = attrs.saveAux ? { ...attrs, aux: out } : attrs;
  const id = builder.emit(matmulLoweredOp, ids, full);
  builder.node(id).types.forEach((_, i) => {
    builder.output(`${i}`, get(builder, id, i));
  });
  return { graph: builder.finish(), values };
}

/** Largest relative error: a few roundings of what is stored, and of a sum in f32. */
function check(form: Form, on = device): void {
  const { graph, values } = build(form);
  const got = runNative(on, compile(graph, targetOf(on), { fuse: false }), values).values;
  const limit = form.dtypes[2] === "bf16" ? 2 ** -7 : 2 ** -20;
  for (const [name, { data }] of interpret(graph, values)) {
    const found = got.get(name)?.data;
    const error = norm(data.map((x, i) => x - (found?.[i] ?? Number.NaN)));
    expect(error / norm(data), `${JSON.stringify(form)} ${name}`).toBeLessThan(limit);
  }
}

const searches = (): number => device.info.gpu?.searches ?? 0;

function checkAll(dtypes: Form["dtypes"]): void {
  for (const sizes of SIZES)
    for (const order of ["nn", "nt", "tn", "tt"] as const)
      for (const epilogue of EPILOGUES) check({ sizes, order, dtypes, epilogue });
}

test.each(DTYPES)("products of %s and %s to %s", (a, b, out) => {
  const before = searches();
  checkAll([a, b, out]);
  expect(searches() - before).toBeGreaterThanOrEqual(SIZES.length * 4);
});

test.if(isVirtual)("where cuBLASLt has no epilogues a kernel applies them", () => {
  const standIn = new StandIn();
  standIn.set("EPILOGUES", 0);
  try {
    for (const dtypes of DTYPES)
      for (const epilogue of EPILOGUES)
        check({ sizes: at(SIZES, 0), order: "nt", dtypes, epilogue });
  } finally {
    standIn.set("EPILOGUES", 1);
  }
});

// Whichever is the fastest: one of the stand-in's algorithms can only add in place.
test.if(isVirtual)("what is added lies elsewhere", () => {
  const standIn = new StandIn();
  for (let times = 0; times < 12; times++) {
    standIn.set("TIMES", times);
    const fresh = openTestGpu();
    try {
      check(
        { sizes: at(SIZES, 0), order: "nn", dtypes: at(DTYPES, 0), epilogue: { residual: true } },
        fresh,
      );
    } finally {
      fresh.close();
      standIn.set("TIMES", 0);
    }
  }
});

/** The last: rows for several slices. */
const ONE_B: readonly Form["sizes"][] = [
  [1, 24, 40, 16],
  [1, 7, 33, 19],
  [1, 1, 16, 8],
  [1, 5, 1, 3],
  [1, 2, 12, 700],
];

function checkSums(on: Device): void {
  for (const dtypes of DTYPES)
    for (const sizes of ONE_B)
      for (const order of ["nn", "nt", "tn"] as const)
        for (const epilogue of WITH_SUMS)
          check({ sizes, order, dtypes, epilogue: { ...epilogue, columnSums: true } }, on);
}

test("sums of columns", () => {
  checkSums(device);
  // Of products in bf16 to f32 they come from the product itself.
  if (isVirtual) expect(device.choices).toMatch(/bf16 \d+ d f32 \d+ epilogue 256/);
  expect(device.choices).toContain(" then sums");
});

/** A product with sums on a device of its own: launches of a run, bytes of the program, choices of algorithms. */
function runSums(known = "") {
  const own = openTestGpu();
  try {
    own.choose(known);
    const form = { sizes: at(ONE_B, 4), order: "nn", dtypes: at(DTYPES, 1), epilogue: {} } as const;
    const { graph, values } = build({ ...form, epilogue: { columnSums: true, residual: true } });
    const compiled = compile(graph, targetOf(own), { fuse: false });
    const bytes = own.measure(serialize(compiled.program));
    const before = new StandIn().asked().launches;
    const sums = runNative(own, compiled, values).values.get("1");
    const launches = new StandIn().asked().launches - before;
    expect(own.measure(serialize(compiled.program))).toBe(bytes);
    return { launches, bytes, choices: own.choices, sums };
  } finally {
    own.close();
  }
}

test.if(isVirtual)("sums of columns come from a kernel where that is faster, also later on", () => {
  const standIn = new StandIn();
  const together = runSums();
  standIn.set("SLOW_SUMS", 50);
  try {
    const apart = runSums();
    // Slices and what joins them, in each of two runs.
    expect(apart.launches).toBe(together.launches + 4);
    expect(apart.bytes).toBe(together.bytes);
    expect(runSums(together.choices).launches).toBe(together.launches);
    const own = openTestGpu();
    checkSums(own);
    own.close();
    standIn.set("SLOW_SUMS", 0);
    const again = runSums(apart.choices);
    expect(again.launches).toBe(apart.launches);
    expect(again.sums).toEqual(apart.sums);
    expect(again.choices.split("\n").sort()).toEqual(apart.choices.split("\n").sort());
  } finally {
    standIn.set("SLOW_SUMS", 0);
  }
});

test.if(isVirtual)("where cuBLASLt has no sums of columns", () => {
  const standIn = new StandIn();
  standIn.set("EPILOGUES", 0);
  const own = openTestGpu();
  try {
    checkSums(own);
    expect(own.choices).not.toContain("epilogue 256");
  } finally {
    own.close();
    standIn.set("EPILOGUES", 1);
  }
});

test("operands of two dtypes are left to the own kernel", () => {
  const before = searches();
  for (const epilogue of EPILOGUES)
    check({ sizes: at(SIZES, 1), order: "tn", dtypes: ["f32", "bf16", "f32"], epilogue });
  expect(searches()).toBe(before);
});

test("one B for a whole batch, repeated rows, every second column", () => {
  const [batch, m, n, k] = [3, 5, 16, 8];
  const builder = new Builder("views");
  const float = (shape: number[]) => ({ shape, dtype: "f32" }) as const;
  const shapes = [[batch, m, k], [k, n], [n]];
  const [a = 0, b = 0, row = 0] = shapes.map((shape, i) =>
    input(builder, { name: `${i}`, kind: "input", ...float(shape) }),
  );
  const dot = { ...PLAIN_MATMUL, compute: "f32" } as const;
  const shared = builder.emit(broadcastOp, [b], { shape: [batch, k, n], dims: [1, 2] });
  const repeated = builder.emit(broadcastOp, [row], { shape: [batch, k, n], dims: [2] });
  builder.output("shared", builder.emit(matmulLoweredOp, [a, shared], dot));
  builder.output("repeated", builder.emit(matmulLoweredOp, [a, repeated], dot));
  const graph = builder.finish();
  const values = new Map(shapes.map((shape, i) => [`${i}`, sampleTensor(float(shape), `v${i}`)]));
  const got = runNative(device, compile(graph, targetOf(device), { fuse: false }), values).values;
  for (const [name, { data }] of interpret(graph, values)) {
    const error = norm(data.map((x, i) => x - (got.get(name)?.data[i] ?? Number.NaN)));
    expect(error / norm(data), name).toBeLessThan(2 ** -20);
  }
});
