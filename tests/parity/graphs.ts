/** @file The graphs that the parity tests run: one with all activations and logits; the programs are those of training. */
import type { Graph } from "../../src/ir/graph.ts";
import type { Gpt } from "../../src/models/gpt/gpt.ts";
import { axis } from "../../src/nn/axis.ts";
import type { Sequence } from "../../src/nn/sequence.ts";
import type { Tensor } from "../../src/nn/tensor.ts";
import { type Precision, Trace } from "../../src/nn/trace.ts";
import { Builder } from "../../src/ops/builder.ts";

/** Outputs named as in the fixture: `blocks.N`, `norm`, `logits`. */
export function activationGraph(
  model: Gpt,
  batch: { rows: number; length: number },
  precision: Precision,
): Graph {
  const b = new Builder("activations");
  const trace = new Trace(b, precision);
  const ids = trace.input("tokens", [axis("batch", batch.rows), axis("seq", batch.length)], "i32");
  for (const block of model.blocks) {
    const forward = block.forward.bind(block);
    block.forward = (x: Tensor, sequence: Sequence): Tensor => {
      const y = forward(x, sequence);
      b.output(block.path, y.id);
      return y;
    };
  }
  const hidden = model.forward(ids);
  b.output("norm", hidden.id);
  b.output("logits", model.logits(hidden).id);
  return b.finish();
}
