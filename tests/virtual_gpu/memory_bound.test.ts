/**
 * @file Kernels that read four elements at a time, at the sizes where they change their ways, on operands that do and that
 * do not begin where four elements can be read at once: the f64 reference's numbers.
 */
import { afterAll, describe, expect, test } from "bun:test";
import type { Graph, Id } from "../../src/ir/graph.ts";
import { Builder } from "../../src/ops/builder.ts";
import { at } from "../../src/ops/check.ts";
import type { AnyOp, Sample, SampleInput } from "../../src/ops/define.ts";
import { interpret } from "../../src/ops/interpreter.ts";
import { add } from "../../src/ops/prim/add.ts";
import { broadcast } from "../../src/ops/prim/broadcast.ts";
import { cast } from "../../src/ops/prim/cast.ts";
import { compare } from "../../src/ops/prim/compare.ts";
import { get } from "../../src/ops/prim/get.ts";
import { input } from "../../src/ops/prim/input.ts";
import { mul } from "../../src/ops/prim/mul.ts";
import { reduce } from "../../src/ops/prim/reduce.ts";
import { reshape } from "../../src/ops/prim/reshape.ts";
import { select } from "../../src/ops/prim/select.ts";
import { slice } from "../../src/ops/prim/slice.ts";
import { sub } from "../../src/ops/prim/sub.ts";
import { transpose } from "../../src/ops/prim/transpose.ts";
import { type RefTensor, refTensor } from "../../src/ops/reference.ts";
import { opOf } from "../../src/ops/registry.ts";
import { compile } from "../../src/passes/compile.ts";
import { targetOf } from "../../src/train/target.ts";
import { elementCount } from "../../src/util/shapes.ts";
import { expectResults } from "../ops/kernel_cases.ts";
import { runNative } from "../ops/native.ts";
import { named } from "../ops/one_op.ts";
import { sampleTensor, sampleTensors } from "../ops/values.ts";
import { StandIn } from "./stand_in.ts";
import { openTestGpu } from "./virtual_gpu.ts";

const device = openTestGpu();
afterAll(() => device.close());
const isVirtual = device.info.gpu?.virtual === true;

/** The op on operands that begin `skip` elements into their inputs. */
function shiftedOp(op: AnyOp, operands: readonly RefTensor[], sample: Sample, skip: number): Graph {
  const b = new Builder(op.name);
  const ids = operands.map(({ shape, dtype }, i) => {
    const n = elementCount(shape);
    const all = input(b, { name: `${i}`, kind: "input", shape: [n + skip], dtype });
    return reshape(b, slice(b, all, [skip], [n + skip]), shape);
  });
  const id = b.emit(op, ids, sample.attrs);
  b.node(id).types.forEach((_, i) => {
    b.output(`${i}`, get(b, id, i));
  });
  return b.finish();
}

function shifted({ shape, dtype, data }: RefTensor, skip: number): RefTensor {
  const out = refTensor([elementCount(shape) + skip], dtype);
  out.data.set(data, skip);
  return out;
}

function check(name: string, sample: Sample): void {
  const op = opOf(name);
  const operands = sampleTensors(op, sample);
  for (const skip of [0, 1]) {
    const graph = shiftedOp(op, operands, sample, skip);
    const inputs = named(operands.map((operand) => shifted(operand, skip)));
    const { values } = runNative(device, compile(graph, targetOf(device)), inputs);
    expectResults(op, sample, operands, values);
  }
}

type Storage = "f32" | "bf16";
const full = (shape: readonly number[], dtype: Storage = "f32"): SampleInput => ({ shape, dtype });
const positive = (shape: readonly number[]): SampleInput => ({ ...full(shape), fill: "positive" });

/** Rows and columns on both sides of every limit of cuda/norm.h, cuda/norm_grad.h and cuda/logits.h. */
const ROWS: [number, number, Storage][] = [
  [9, 4, "f32"],
  [9, 6, "bf16"],
  [34, 256, "bf16"],
  [3, 260, "f32"],
  [34, 772, "bf16"],
  [2, 768, "f32"],
  [2, 1028, "bf16"],
  [1, 2052, "f32"],
  [1, 8192, "bf16"],
  [1, 8196, "f32"],
];

describe.each(ROWS)("%d rows of %d, %s", (m, c, dtype) => {
  // Means that are not differences of large numbers.
  const x: SampleInput = { shape: [m, c], dtype, fill: "positive" };
  const vector = full([c]);
  const row = full([m]);

  test("layer_norm", () => {
    check("layer_norm", { name: "", inputs: [x, vector, vector], attrs: { eps: 1e-5 } });
    check("layer_norm", { name: "", inputs: [x, vector], attrs: { eps: 1e-5, out: "bf16" } });
  });

  test("rms_norm", () => {
    check("rms_norm", { name: "", inputs: [x, vector], attrs: { eps: 1e-6 } });
  });

  test("softmax and its gradient", () => {
    check("softmax", { name: "", inputs: [x], attrs: {} });
    check("softmax_grad", { name: "", inputs: [x, full([m, c])], attrs: {} });
  });

  test("cross_entropy and its gradient", () => {
    const targets: SampleInput = { shape: [m], dtype: "u32", fill: "ids", max: c };
    check("cross_entropy", { name: "", inputs: [x, targets], attrs: {} });
    const inputs = [x, targets, { ...row, fill: "positive" as const }, row];
    check("cross_entropy_grad", { name: "", inputs, attrs: {} });
  });

  test("layer_norm_grad", () => {
    const inputs = [x, vector, row, positive([m]), full([m, c]), full([m, c])];
    check("layer_norm_grad", { name: "", inputs, attrs: { hasBias: true } });
    check("layer_norm_grad", { name: "", inputs: inputs.slice(0, 5), attrs: { hasBias: false } });
  });

  test("rms_norm_grad", () => {
    const inputs = [x, vector, positive([m]), full([m, c])];
    check("rms_norm_grad", { name: "", inputs, attrs: {} });
    check("rms_norm_grad", { name: "", inputs: [...inputs, full([m, c])], attrs: {} });
  });
});

/** Graphs of primitives: what the passes make of them, against the reference of the same graph. */
function checkGraph(name: string, shapes: readonly SampleInput[], build: Build): void {
  const b = new Builder(name);
  const tensors = shapes.map((shape, i) => sampleTensor(shape, `${name} ${i}`));
  const ids = shapes.map(({ shape, dtype }, i) =>
    input(b, { name: `${i}`, kind: "input", shape, dtype }),
  );
  build(b, ids).forEach((id, i) => {
    b.output(`${i}`, id);
  });
  const graph = b.finish();
  const expected = interpret(graph, named(tensors));
  const { values } = runNative(device, compile(graph, targetOf(device)), named(tensors));
  for (const [key, { data, dtype }] of expected) {
    const limit = dtype === "bf16" ? 2 ** -7 : 1e-4;
    const got = values.get(key)?.data ?? new Float64Array(0);
    expect(got.length).toBe(data.length);
    const far = data.findIndex((x, i) => !(Math.abs(at(got, i) - x) <= limit * (1 + Math.abs(x))));
    expect(far, `${name}, output ${key}`).toBe(-1);
  }
}
type Build = (b: Builder, ids: readonly Id[]) => readonly Id[];

describe("embedding_grad", () => {
  const tables: [number, number, number][] = [
    [300, 5, 132],
    [200, 90, 8],
    [40, 3, 6],
  ];
  test.each(tables)("%d ids into %d rows of %d", (n, rows, columns) => {
    const ids: SampleInput = { shape: [n], dtype: "u32", fill: "ids", max: rows };
    const table = full([rows, columns]);
    const attrs = { rows };
    check("embedding_grad", { name: "", inputs: [ids, full([n, columns]), table], attrs });
    check("embedding_grad", { name: "", inputs: [ids, full([n, columns])], attrs });
  });
});

describe("map", () => {
  const sizes: [number, number][] = [
    [1, 1],
    [3, 5],
    [7, 8],
    [5, 1026],
    [4, 1024],
  ];
  test.each(sizes)("dtypes and broadcasts, %d x %d", (rows, columns) => {
    const shape = [rows, columns];
    const inputs: SampleInput[] = [
      full(shape),
      full(shape, "bf16"),
      { shape, dtype: "bool" },
      { shape, dtype: "i32" },
      full([columns]),
      full([rows]),
      full([]),
      full([columns, rows]),
    ];
    checkGraph(`map ${rows} ${columns}`, inputs, (b, ids) => {
      const [x = 0, half = 0, flag = 0, whole = 0, row = 0, column = 0, one = 0, turned = 0] = ids;
      const wide = (id: Id, dims: number[]) => broadcast(b, id, shape, dims);
      const sum = add(b, add(b, x, cast(b, half, "f32")), wide(row, [1]));
      const scaled = mul(b, mul(b, sum, wide(column, [0])), wide(one, []));
      const all = add(b, scaled, transpose(b, turned, [1, 0]));
      const some = select(b, flag, all, cast(b, whole, "f32"));
      return [some, cast(b, all, "bf16"), compare(b, some, x, "le")];
    });
  });

  test("more values at a time than four elements have room for", () => {
    checkGraph("map of many values", [full([3, 33]), full([3, 33])], (b, [x = 0, y = 0]) => {
      const values = [x];
      for (let i = 0; i < 14; i++) values.push(add(b, mul(b, at(values, i), y), x));
      return [values.reduceRight((sum, value) => mul(b, sub(b, sum, value), y))];
    });
  });
});

describe("map_reduce", () => {
  const matrices: [number, number][] = [
    [1, 4],
    [5, 6],
    [70, 128],
    [1030, 12],
    [300, 260],
    [3, 2052],
    [2, 16_401],
  ];
  test.each(matrices)("columns and rows of %d x %d", (rows, columns) => {
    const inputs: SampleInput[] = [
      { shape: [rows, columns], dtype: "f32", fill: "positive" },
      { shape: [rows, columns], dtype: "bf16", fill: "positive" },
      { shape: [columns], dtype: "f32", fill: "positive" },
      { shape: [rows, columns], dtype: "i32" },
    ];
    checkGraph(`reduce ${rows} ${columns}`, inputs, (b, [x = 0, half = 0, row = 0, whole = 0]) => {
      const product = mul(b, x, broadcast(b, row, [rows, columns], [1]));
      return [0, 1].flatMap((dim) => [
        reduce(b, x, "sum", [dim]),
        reduce(b, mul(b, product, cast(b, half, "f32")), "sum", [dim]),
        reduce(b, product, "max", [dim]),
        reduce(b, whole, "sum", [dim]),
        reduce(b, whole, "max", [dim]),
      ]);
    });
  });

  const sums: [shape: number[], dims: number[], slices: number][] = [
    [[1024, 768], [0], 16],
    [[65_536, 768], [0], 88],
    [[65_536, 2304], [0], 29],
    [[64, 1024, 3072], [0, 1], 22],
    [[65_536], [0], 4],
    [[100, 768], [0], 0],
    [[768, 65_536], [1], 0],
    [[40, 65_536], [1], 4],
  ];
  test.each(sums)("a sum of %j over %j is cut into slices", (shape, dims, slices) => {
    const b = new Builder("sum");
    const x = input(b, { name: "x", kind: "input", shape, dtype: "bf16" });
    b.output("sum", reduce(b, cast(b, x, "f32"), "sum", dims));
    const { program } = compile(b.finish(), { kind: "cuda", level: "sm_90", threads: 1 });
    const [instruction] = program.instructions;
    const left = instruction?.hasWorkspace === true ? instruction.operands.at(-1) : undefined;
    const results = elementCount(shape.filter((_, dim) => !dims.includes(dim)));
    expect(elementCount(left?.shape ?? [0]) / 2 / results).toBe(slices);
  });

  test.if(isVirtual)("slices are joined by a second launch", () => {
    const launches = (rows: number): number => {
      const b = new Builder("sum");
      const x = input(b, { name: "0", kind: "input", shape: [rows, 12], dtype: "f32" });
      b.output("sum", reduce(b, x, "sum", [0]));
      const inputs = new Map([["0", sampleTensor(b.type(x), "x")]]);
      const before = new StandIn().asked().launches;
      runNative(device, compile(b.finish(), targetOf(device)), inputs);
      return new StandIn().asked().launches - before;
    };
    expect(launches(1030)).toBe(2 * launches(64));
  });

  test("all elements, and a dim in the middle", () => {
    const inputs = [full([37_000]), full([6, 50, 8])];
    checkGraph("reduce all", inputs, (b, [x = 0, y = 0]) => [
      reduce(b, mul(b, x, x), "sum", [0]),
      reduce(b, y, "sum", [1]),
      reduce(b, y, "max", [0, 2]),
    ]);
  });
});

describe("copy", () => {
  const shapes: [number[], number[]][] = [
    [
      [3, 40, 70],
      [0, 2, 1],
    ],
    [
      [5, 8, 3, 12],
      [0, 2, 1, 3],
    ],
    [
      [33, 65],
      [1, 0],
    ],
    [
      [4, 6, 5],
      [2, 1, 0],
    ],
    [
      [7, 3, 6],
      [1, 0, 2],
    ],
  ];
  test.each(shapes)("%j turned by %j", (shape, perm) => {
    for (const dtype of ["f32", "bf16", "bool"] as const) {
      checkGraph(`copy ${shape} ${dtype}`, [{ shape, dtype }], (b, [x = 0]) => [
        transpose(b, x, perm),
      ]);
    }
  });
});

test.each([
  [[2, 9, 3, 64], 64],
  [[1, 5, 2, 22], 10],
  [[1, 3, 1, 1040], 1040],
])("rope of %j, %d dims", (shape, rotaryDims) => {
  const [rows = 1, steps = 1] = shape;
  const positions: SampleInput = { shape: [rows, steps], dtype: "u32", fill: "ids", max: 50 };
  for (const dtype of ["f32", "bf16"] as const) {
    const attrs = { theta: 10_000, rotaryDims, inverse: false };
    check("rope", { name: "", inputs: [full(shape, dtype), positions], attrs, tolerance: 1e-2 });
  }
});

test.each([
  [9, 8, 5],
  [3, 130, 40],
])("gather of rows: %d of %d, %d ids", (rows, columns, n) => {
  const ids: SampleInput = { shape: [n], dtype: "u32", fill: "ids", max: rows };
  check("embedding", { name: "", inputs: [ids, full([rows, columns])], attrs: { out: "bf16" } });
  check("gather", { name: "", inputs: [full([rows, columns], "bf16"), ids], attrs: {} });
});
