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
  expect(programText(program)).toMatchInlineSnapshot(`
    "program perceptron, 33216 bytes of scratch per thread
      b0 arena, 5376 bytes
      b1 input, 1024 bytes
      b2 output, 64 bytes
      b3 state param/up, 2048 bytes
      b4 state param/bias, 128 bytes
      b5 state param/down, 512 bytes
      b6 state grad/down, 512 bytes
      b7 state grad/bias, 128 bytes
      b8 state grad/up, 2048 bytes
      in x +0 f32[2,8,16]
      out loss +0 f32[]
      0 matmul(b1+0 f32[1,16,16], b3+0 f32[1,16,32], b4+0 f32[32]) -> b0+2048 bf16[1,16,32], b0+0 f32[1,16,32]  words 13 1 1 0x3f800000  workspace b0+3072 u32[256]  # %6
      1 matmul(b0+2048 bf16[1,16,32], b5+0 f32[1,32,4]) -> b0+5120 f32[1,16,4]  words 0 1 0 0x3f800000  workspace b0+3072 u32[512]  # %10
      2 map_reduce(b0+5120 f32[64]) -> b2+0 f32[]  words 0 1 1 1 0 1 2 64  # %12
      3 map(b0+5120 f32[64]) -> b0+4096 bf16[64]  words 1 1 0 1 0 64  # %13
      4 matmul(b0+2048 bf16[1,32,16](0,1,32), b0+4096 bf16[1,16,4], b6+0 f32[1,32,4]) -> b6+0 f32[1,32,4]  words 2 1 0 0x3f800000  workspace b0+3072 u32[256]  # %19
      5 matmul(b0+4096 bf16[1,16,4], b5+0 f32[1,4,32](0,1,4), b0+0 f32[1,16,32]) -> b0+2048 f32[1,16,32]  words 16 1 1 0x3f800000  workspace b0+4224 u32[64]  # %26
      6 map_reduce(b0+2048 f32[16,32]) -> b0+0 f32[32]  words 0 1 1 1 0 0 0  # %28
      7 map(b7+0 f32[32], b0+0 f32[32]) -> b7+0 f32[32]  words 2 1 0 1 0x00010000 64  # %30
      8 matmul(b1+0 f32[1,16,16](0,1,16), b0+2048 f32[1,16,32], b8+0 f32[1,16,32]) -> b8+0 f32[1,16,32]  words 2 1 0 0x3f800000  workspace b0+0 u32[256]  # %36
    "
  `);
});
