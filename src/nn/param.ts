/** @file A declared parameter. It holds no values: they are program state, named after the module's path. */
import type { Axis } from "./axis.ts";
import type { Init } from "./init.ts";

export class Param {
  /** Module path and local name: `blocks.0.attn.qkv.weight`. */
  readonly path: string;
  readonly axes: readonly Axis[];
  readonly init: Init;
  /** False: it keeps its value, and has neither gradient nor optimizer state. */
  trainable = true;

  constructor(path: string, axes: readonly Axis[], init: Init) {
    this.path = path;
    this.axes = axes;
    this.init = init;
  }

  get count(): number {
    return this.axes.reduce((n, a) => n * a.size, 1);
  }

  /** Matrices and embeddings; gains and biases are exempt from weight decay. */
  get isMatrix(): boolean {
    return this.axes.length >= 2;
  }
}
