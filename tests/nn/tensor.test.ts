/** @file Tensors meet by axis name; what does not fit is said with names. */
import { expect, test } from "bun:test";
import { axis } from "../../src/nn/axis.ts";
import { init } from "../../src/nn/init.ts";
import { Linear } from "../../src/nn/linear.ts";
import { Module } from "../../src/nn/module.ts";
import type { Tensor } from "../../src/nn/tensor.ts";
import { type Precision, Trace } from "../../src/nn/trace.ts";
import { Builder } from "../../src/ops/builder.ts";

const batch = axis("batch", 2);
const seq = axis("seq", 3);
const embed = axis("embed", 4);
const ff = axis("ff", 5);

const newTrace = (precision: Precision = "f32") => new Trace(new Builder("test"), precision);
const names = (t: Tensor) => t.axes.map((a) => a.name);
const opsOf = (t: Tensor) => t.trace.b.nodes.map((node) => node.op);

test("a binary op broadcasts what one side lacks, in the other's order", () => {
  const trace = newTrace();
  const x = trace.input("x", [batch, seq, embed], "f32");
  const bias = trace.input("bias", [embed], "f32");
  const swapped = trace.input("swapped", [embed, batch], "f32");
  expect(names(x.add(bias))).toEqual(["batch", "seq", "embed"]);
  expect(names(bias.mul(x))).toEqual(["batch", "seq", "embed"]);
  expect(names(x.sub(swapped))).toEqual(["batch", "seq", "embed"]);
  expect(opsOf(x)).toContain("transpose");
  expect(trace.b.nodes.at(-1)?.op).toBe("sub");
});

test("dot contracts by name; shared axes are batch axes", () => {
  const trace = newTrace();
  const x = trace.input("x", [batch, seq, embed], "f32");
  const w = trace.input("w", [ff, embed], "f32");
  expect(names(x.dot(w, "embed"))).toEqual(["batch", "seq", "ff"]);
  const y = trace.input("y", [batch, ff, embed], "f32");
  expect(names(x.dot(y, "embed"))).toEqual(["batch", "seq", "ff"]);
  expect(names(y.dot(x, "embed", "batch"))).toEqual(["ff", "seq"]);
});

test("mixed precision rounds the operands of dot and nothing else", () => {
  const trace = newTrace("mixed");
  const x = trace.input("x", [seq, embed], "f32");
  const w = trace.input("w", [embed, ff], "f32");
  const y = x.add(x).dot(w, "embed");
  expect(y.dtype).toBe("f32");
  const casts = trace.b.nodes.filter((node) => node.op === "cast");
  expect(casts.map((node) => node.attrs.dtype)).toEqual(["bf16", "bf16"]);
});

test("split, merge, slice and order keep track of axes", () => {
  const trace = newTrace();
  const x = trace.input("x", [batch, seq, embed], "f32");
  const heads = [axis("head", 2), axis("dim", 2)];
  const split = x.split("embed", heads);
  expect(trace.b.type(split.id).shape).toEqual([2, 3, 2, 2]);
  const merged = split.merge(["head", "dim"], "joined");
  expect(merged.axis("joined").size).toBe(4);
  expect(trace.b.type(x.slice("seq", 1, axis("tail", 2)).id).shape).toEqual([2, 2, 4]);
  expect(trace.b.type(x.order("embed", "batch", "seq").id).shape).toEqual([4, 2, 3]);
  expect(names(x.sum("seq"))).toEqual(["batch", "embed"]);
});

class Broken extends Module {
  readonly inner = this.child(
    "inner",
    () => new Linear(embed, ff, { bias: true, init: init.zeros }),
  );
  override forward(x: Tensor): Tensor {
    return this.inner.call(x).add(x);
  }
}

class Outer extends Module {
  readonly layers = this.childList("layers", 2, () => new Broken());
  override forward(x: Tensor): Tensor {
    return this.layers.reduce((y, layer) => layer.call(y), x);
  }
}

test("errors name the op, the module's path and the axes", () => {
  const trace = newTrace();
  const x = trace.input("x", [batch, seq, embed], "f32");
  const wide = trace.input("wide", [axis("embed", 8)], "f32");
  expect(() => new Outer().call(x)).toThrowErrorMatchingInlineSnapshot(
    `"[add] layers.0: neither [batch=2, seq=3, ff=5] nor [batch=2, seq=3, embed=4] has all axes"`,
  );
  expect(() => x.add(wide)).toThrowErrorMatchingInlineSnapshot(
    `"[add] axis embed has size 4 on one side, 8 on the other"`,
  );
  expect(() => new Outer().call(wide)).toThrowErrorMatchingInlineSnapshot(
    `"[dot] layers.0.inner: axis embed has size 8 on one side, 4 on the other"`,
  );
  expect(() => x.dot(wide, "ff")).toThrowErrorMatchingInlineSnapshot(
    `"[dot] expected an axis ff, got [batch=2, seq=3, embed=4]"`,
  );
  expect(() =>
    x.split("embed", [axis("head", 3), axis("dim", 2)]),
  ).toThrowErrorMatchingInlineSnapshot(
    `"[split] cannot split [batch=2, seq=3, embed=4]: embed into [head=3, dim=2]"`,
  );
  expect(() => x.merge(["batch", "embed"], "y")).toThrowErrorMatchingInlineSnapshot(
    `"[merge] expected neighbours batch, embed, got [batch=2, seq=3, embed=4]"`,
  );
  expect(() => x.slice("seq", 2, axis("tail", 2))).toThrowErrorMatchingInlineSnapshot(
    `"[slice] expected seq >= 4, got [batch=2, seq=3, embed=4]"`,
  );
  expect(() => x.order("seq", "batch")).toThrowErrorMatchingInlineSnapshot(
    `"[order] expected all of [batch=2, seq=3, embed=4], got seq, batch"`,
  );
  expect(() => x.softmax("seq")).toThrowErrorMatchingInlineSnapshot(
    `"[softmax] expected seq to be the last of [batch=2, seq=3, embed=4]"`,
  );
});

test("parameters are named by path and become one state input each", () => {
  const module = new Outer();
  expect(module.parameters().map((p) => p.path)).toEqual([
    "layers.0.inner.weight",
    "layers.0.inner.bias",
    "layers.1.inner.weight",
    "layers.1.inner.bias",
  ]);
  const trace = newTrace();
  const [param] = module.parameters();
  if (param === undefined) throw new Error("no parameter");
  expect(trace.param(param).id).toBe(trace.param(param).id);
  expect(trace.b.nodes).toHaveLength(1);
  expect(trace.b.nodes[0]?.attrs.name).toBe("param/layers.0.inner.weight");
  expect(trace.b.nodes[0]?.scope).toBe("layers.0.inner.weight");
});
