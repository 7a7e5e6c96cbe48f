/**
 * @file One tracing of a model into a graph: the builder, the precision policy, and where random numbers come from.
 * Modules are declarations; a trace is what turns their parameters into state inputs of a program.
 */
import type { Id } from "../ir/graph.ts";
import type { Builder } from "../ops/builder.ts";
import { input } from "../ops/prim/input.ts";
import type { DType } from "../util/dtype.ts";
import { type Axis, sizesOf } from "./axis.ts";
import type { Param } from "./param.ts";
import { Tensor } from "./tensor.ts";

/**
 * f32: everything. mixed: matrix products read bf16 operands and accumulate in f32, all else is f32. bf16: the same trace as mixed;
 * compiling for a GPU then stores activations as bf16 too.
 */
export type Precision = "f32" | "mixed" | "bf16";

/** What a random number belongs to besides its place in the model: the step and the global sample index. */
export interface RandomSource {
  readonly seed: number;
  /** u32 []. */
  readonly step: Id;
  /** u32 [batch]. */
  readonly sample: Id;
}

export class Trace {
  readonly b: Builder;
  readonly precision: Precision;
  /** Absent outside training: dropout does nothing then. */
  readonly random: RandomSource | undefined;
  /** Under `mixed` and `bf16`: matrices are read from copies in bf16, as state `bf16/PATH`, which halves what decoding reads. */
  private readonly rounded: boolean;
  private readonly read = new Map<Param, Id>();
  private readonly readRounded = new Map<Param, Id>();

  constructor(b: Builder, precision: Precision, random?: RandomSource, rounded = false) {
    this.b = b;
    this.precision = precision;
    this.random = random;
    this.rounded = rounded;
  }

  get compute(): "f32" | "bf16" {
    return this.precision === "f32" ? "f32" : "bf16";
  }

  input(name: string, axes: readonly Axis[], dtype: DType): Tensor {
    const id = input(this.b, { name, kind: "input", shape: sizesOf(axes), dtype });
    return new Tensor(this, id, axes);
  }

  /** The parameter's current value; one node however often it is used. */
  param(param: Param): Tensor {
    return this.state(param, "f32", this.read);
  }

  /** The parameter as an operand of matrix products: rounded to bf16, except under `f32`. */
  matrix(param: Param): Tensor {
    if (this.precision === "f32") return this.param(param);
    return this.rounded
      ? this.state(param, "bf16", this.readRounded)
      : this.param(param).cast("bf16");
  }

  private state(param: Param, dtype: "f32" | "bf16", read: Map<Param, Id>): Tensor {
    const known = read.get(param);
    if (known !== undefined) return new Tensor(this, known, param.axes);
    const name = `${dtype === "f32" ? "param" : "bf16"}/${param.path}`;
    const id = this.b.as({ scope: param.path, phase: this.b.phase }, () =>
      input(this.b, { name, kind: "state", shape: sizesOf(param.axes), dtype }),
    );
    read.set(param, id);
    return new Tensor(this, id, param.axes);
  }
}
