/** @file The program of a small perceptron with its gradients, as text: a change here changes what runs. */
import { expect, test } from "bun:test";
import { grad } from "../../src/autodiff/grad.ts";
import { Builder } from "../../src/ops/builder.ts";
import { gelu } from "../../src/ops/fused/gelu.ts";
import { add } from "../../src/ops/prim/add.ts";
import { broadcast } from "../../src/ops/prim/broadcast.ts";
import { cast } from "../../src/ops/prim/cast.ts";
import { dot } from "../../src/ops/prim/dot.ts";
import { input } from "../../src/ops/prim/input.ts";
import { mul } from "../../src/ops/prim/mul.ts";
import { reduce } from "../../src/ops/prim/reduce.ts";
import { compile } from "../../src/passes/compile.ts";
import { programText } from "../../src/program/text.ts";

test("perceptron", () => {
  const b = new Builder("perceptron");
  const state = (name: string, shape: number[]) =>
    input(b, { name, kind: "state", shape, dtype: "f32" });
  const x = input(b, { name: "x", kind: "input", shape: [2, 8, 16], dtype: "f32" });
  const weights = { up: [16, 32], bias: [32], down: [32, 4] };
  const [up = 0, bias = 0, down = 0] = Object.entries(weights).map(([name, shape]) =>
    state(`param/${name}`, shape),
  );
  const linear = (left: number, right: number) => {
    const pairs = { batch: [], contract: [[2, 0] as const] };
    return dot(b, cast(b, left, "bf16"), cast(b, right, "bf16"), pairs);
  };
  const hidden = add(b, linear(x, up), broadcast(b, bias, [2, 8, 32], [2]));
  const y = linear(gelu(b, hidden, "tanh"), down);
  const loss = reduce(b, mul(b, y, y), "sum", [0, 1, 2]);
  const grads = grad(b, loss, [up, bias, down]);
  b.phase = "backward";
  Object.entries(weights).forEach(([name, shape], i) => {
    const sum = add(b, state(`grad/${name}`, shape), grads[i] ?? 0);
    b.output(`grad/${name}`, sum, `grad/${name}`);
  });
  b.output("loss", loss);
  const { program } = compile(b.finish(), { kind: "cpu", level: "v3", threads: 1 });
  expect(programText(program)).toMatchSnapshot();
});
