/**
 * @file A value under trace with named axes. Operands meet by axis name: missing axes are broadcast explicitly, a wrong size
 * is an error that names the axis and the module. Graph ops themselves know only positions.
 */
import type { Id } from "../ir/graph.ts";
import { gelu } from "../ops/fused/gelu.ts";
import { glu } from "../ops/fused/glu.ts";
import { sigmoid } from "../ops/fused/sigmoid.ts";
import { silu } from "../ops/fused/silu.ts";
import { softmax } from "../ops/fused/softmax.ts";
import { add } from "../ops/prim/add.ts";
import { broadcast } from "../ops/prim/broadcast.ts";
import { cast } from "../ops/prim/cast.ts";
import { constant } from "../ops/prim/const.ts";
import { div } from "../ops/prim/div.ts";
import { dot } from "../ops/prim/dot.ts";
import { mul } from "../ops/prim/mul.ts";
import { reduce } from "../ops/prim/reduce.ts";
import { reshape } from "../ops/prim/reshape.ts";
import { slice } from "../ops/prim/slice.ts";
import { stopGradient } from "../ops/prim/stop_gradient.ts";
import { sub } from "../ops/prim/sub.ts";
import { transpose } from "../ops/prim/transpose.ts";
import type { DType } from "../util/dtype.ts";
import { UserError } from "../util/errors.ts";
import { sameShape } from "../util/shapes.ts";
import { type Axis, axesText, sizesOf } from "./axis.ts";
import { Param } from "./param.ts";
import type { Trace } from "./trace.ts";

export type Operand = Tensor | Param;
type BinaryOp = (b: Trace["b"], x: Id, y: Id) => Id;

export class Tensor {
  readonly trace: Trace;
  readonly id: Id;
  readonly axes: readonly Axis[];

  constructor(trace: Trace, id: Id, axes: readonly Axis[]) {
    this.trace = trace;
    this.id = id;
    this.axes = axes;
    const { shape } = trace.b.type(id);
    if (!sameShape(shape, sizesOf(axes)))
      throw new Error(
        `internal: axes ${axesText(axes)} do not fit the shape [${shape.join(", ")}]`,
      );
  }

  get dtype(): DType {
    return this.trace.b.type(this.id).dtype;
  }

  /** Position of an axis, by name. */
  dim(op: string, name: string): number {
    const index = this.axes.findIndex((a) => a.name === name);
    if (index === -1) this.fail(op, `expected an axis ${name}, got ${axesText(this.axes)}`);
    return index;
  }

  axis(name: string): Axis {
    return this.axes[this.dim("axis", name)] as Axis;
  }

  add(other: Operand): Tensor {
    return this.binary("add", add, other);
  }
  sub(other: Operand): Tensor {
    return this.binary("sub", sub, other);
  }
  mul(other: Operand): Tensor {
    return this.binary("mul", mul, other);
  }
  div(other: Operand): Tensor {
    return this.binary("div", div, other);
  }
  scale(factor: number): Tensor {
    const { b } = this.trace;
    const { shape, dtype } = b.type(this.id);
    return this.like(mul(b, this.id, constant(b, factor, shape, dtype)));
  }

  gelu(form: "tanh" | "erf" = "tanh"): Tensor {
    return this.like(gelu(this.trace.b, this.id, form));
  }
  silu(): Tensor {
    return this.like(silu(this.trace.b, this.id));
  }
  sigmoid(): Tensor {
    return this.like(sigmoid(this.trace.b, this.id));
  }
  /** act(this) * up. */
  glu(up: Operand, form: "silu" | "gelu_tanh" | "gelu_erf"): Tensor {
    const other = this.aligned("glu", this.operand(up), this.axes);
    return this.like(glu(this.trace.b, this.id, other, form));
  }
  /** Over one axis, which must be the last. */
  softmax(name: string): Tensor {
    if (this.dim("softmax", name) !== this.axes.length - 1)
      this.fail("softmax", `expected ${name} to be the last of ${axesText(this.axes)}`);
    return this.like(softmax(this.trace.b, this.id));
  }
  cast(dtype: DType): Tensor {
    return dtype === this.dtype ? this : this.like(cast(this.trace.b, this.id, dtype));
  }
  stopGradient(): Tensor {
    return this.like(stopGradient(this.trace.b, this.id));
  }

  /**
   * Contracts the named axes; other axes that both have are batch axes. Result: batch, own free, the other's free axes.
   * Except under `f32` the operands are rounded to bf16; the result is f32 in any case.
   */
  dot(other: Operand, ...names: readonly string[]): Tensor {
    const left = this.matrixOperand();
    const right = other instanceof Param ? this.trace.matrix(other) : other.matrixOperand();
    const contract = names.map((name) => [left.dim("dot", name), right.dim("dot", name)] as const);
    const batch: (readonly [number, number])[] = [];
    left.axes.forEach((a, l) => {
      const r = right.axes.findIndex((other) => other.name === a.name);
      if (r === -1) return;
      left.sameSize("dot", a, right.axes[r] as Axis);
      if (!names.includes(a.name)) batch.push([l, r]);
    });
    const taken = new Set([...names, ...batch.map(([l]) => left.axes[l]?.name)]);
    const free = (t: Tensor) => t.axes.filter((a) => !taken.has(a.name));
    const axes = [...batch.map(([l]) => left.axes[l] as Axis), ...free(left), ...free(right)];
    const id = dot(this.trace.b, left.id, right.id, { batch, contract });
    return new Tensor(this.trace, id, axes);
  }

  sum(...names: readonly string[]): Tensor {
    const dims = names.map((name) => this.dim("sum", name));
    const axes = this.axes.filter((_, i) => !dims.includes(i));
    return new Tensor(this.trace, reduce(this.trace.b, this.id, "sum", dims), axes);
  }

  /** Elements start .. start + to.size of an axis, under the new axis. */
  slice(name: string, start: number, to: Axis): Tensor {
    const at = this.dim("slice", name);
    const size = this.axes[at]?.size ?? 0;
    if (start + to.size > size)
      this.fail("slice", `expected ${name} >= ${start + to.size}, got ${axesText(this.axes)}`);
    const axes = this.axes.map((a, i) => (i === at ? to : a));
    if (start === 0 && to.size === size) return new Tensor(this.trace, this.id, axes);
    const starts = this.axes.map((_, i) => (i === at ? start : 0));
    const limits = this.axes.map((a, i) => (i === at ? start + to.size : a.size));
    return new Tensor(this.trace, slice(this.trace.b, this.id, starts, limits), axes);
  }

  /** One axis as several, first slowest. */
  split(name: string, into: readonly Axis[]): Tensor {
    const at = this.dim("split", name);
    const product = into.reduce((n, a) => n * a.size, 1);
    if (product !== this.axes[at]?.size)
      this.fail("split", `cannot split ${axesText(this.axes)}: ${name} into ${axesText(into)}`);
    return this.reshaped([...this.axes.slice(0, at), ...into, ...this.axes.slice(at + 1)]);
  }

  /** Neighbouring axes as one. */
  merge(names: readonly string[], into: string): Tensor {
    const at = this.dim("merge", names[0] ?? "");
    const run = this.axes.slice(at, at + names.length);
    if (run.some((a, i) => a.name !== names[i]))
      this.fail("merge", `expected neighbours ${names.join(", ")}, got ${axesText(this.axes)}`);
    const merged = { name: into, size: run.reduce((n, a) => n * a.size, 1) };
    return this.reshaped([
      ...this.axes.slice(0, at),
      merged,
      ...this.axes.slice(at + names.length),
    ]);
  }

  /** The same value with an axis under another name, so that it does not meet its like. */
  rename(name: string, into: string): Tensor {
    const at = this.dim("rename", name);
    const axes = this.axes.map((a, i) => (i === at ? { name: into, size: a.size } : a));
    return new Tensor(this.trace, this.id, axes);
  }

  /** The same axes in another order. */
  order(...names: readonly string[]): Tensor {
    const perm = names.map((name) => this.dim("order", name));
    if (perm.length !== this.axes.length)
      this.fail("order", `expected all of ${axesText(this.axes)}, got ${names.join(", ")}`);
    if (perm.every((p, i) => p === i)) return this;
    const axes = perm.map((p) => this.axes[p] as Axis);
    return new Tensor(this.trace, transpose(this.trace.b, this.id, perm), axes);
  }

  /** The same value with another id, for ops that keep the axes. */
  like(id: Id): Tensor {
    return new Tensor(this.trace, id, this.axes);
  }

  operand(other: Operand): Tensor {
    return other instanceof Param ? this.trace.param(other) : other;
  }

  private matrixOperand(): Tensor {
    return this.trace.precision === "f32" ? this : this.cast("bf16");
  }

  private reshaped(axes: readonly Axis[]): Tensor {
    return new Tensor(this.trace, reshape(this.trace.b, this.id, sizesOf(axes)), axes);
  }

  private binary(op: string, emit: BinaryOp, operand: Operand): Tensor {
    const other = this.operand(operand);
    const { b } = this.trace;
    const has = (t: Tensor, name: string) => t.axes.some((a) => a.name === name);
    const leftHasAll = other.axes.every((a) => has(this, a.name));
    if (!leftHasAll && !this.axes.every((a) => has(other, a.name)))
      this.fail(op, `neither ${axesText(this.axes)} nor ${axesText(other.axes)} has all axes`);
    const axes = leftHasAll ? this.axes : other.axes;
    const left = this.aligned(op, this, axes);
    const right = this.aligned(op, other, axes);
    return new Tensor(this.trace, emit(b, left, right), axes);
  }

  /** `tensor` with the dimensions of `axes`, broadcast where it lacks one. */
  private aligned(op: string, tensor: Tensor, axes: readonly Axis[]): Id {
    const own = axes.filter((a) => tensor.axes.some((t) => t.name === a.name));
    for (const a of own) this.sameSize(op, a, tensor.axis(a.name));
    const ordered = tensor.order(...own.map((a) => a.name));
    if (own.length === axes.length) return ordered.id;
    const dims = own.map((a) => axes.findIndex((each) => each.name === a.name));
    return broadcast(this.trace.b, ordered.id, sizesOf(axes), dims);
  }

  private sameSize(op: string, left: Axis, right: Axis): void {
    if (left.size !== right.size)
      this.fail(
        op,
        `axis ${left.name} has size ${left.size} on one side, ${right.size} on the other`,
      );
  }

  private fail(op: string, message: string): never {
    const { scope } = this.trace.b;
    throw new UserError(`[${op}] ${scope === "" ? "" : `${scope}: `}${message}`, {
      code: "config",
    });
  }
}
