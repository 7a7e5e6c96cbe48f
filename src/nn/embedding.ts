/** @file A table of vectors, looked up by id. */
import { embedding } from "../ops/fused/embedding.ts";
import type { Axis } from "./axis.ts";
import type { Init } from "./init.ts";
import { Module } from "./module.ts";
import type { Param } from "./param.ts";
import { Tensor } from "./tensor.ts";

export class Embedding extends Module {
  readonly weight: Param;
  private readonly width: Axis;

  constructor(entries: Axis, width: Axis, initial: Init) {
    super();
    this.width = width;
    this.weight = this.param("weight", [entries, width], initial);
  }

  /** Adds the table's width as last axis. An id outside the table fails the program. */
  override forward(ids: Tensor): Tensor {
    const { trace } = ids;
    const id = embedding(trace.b, ids.id, trace.param(this.weight).id);
    return new Tensor(trace, id, [...ids.axes, this.width]);
  }
}
