/** @file A job whose loss or gradient is infinite (or fifty times too large: a spike) wherever the text holds a tilde, and a short text with one. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gptPretrain } from "../../src/jobs/gpt_pretrain.ts";
import { Gpt } from "../../src/models/gpt/gpt.ts";
import { optionsOf } from "../../src/models/gpt/options.ts";
import type { Tensor } from "../../src/nn/tensor.ts";
import type { TokenLoss } from "../../src/nn/token_loss.ts";
import { add } from "../../src/ops/prim/add.ts";
import { cast } from "../../src/ops/prim/cast.ts";
import { constant } from "../../src/ops/prim/const.ts";
import { exp } from "../../src/ops/prim/exp.ts";
import { min } from "../../src/ops/prim/min.ts";
import { mul } from "../../src/ops/prim/mul.ts";
import { reduce } from "../../src/ops/prim/reduce.ts";
import { sub } from "../../src/ops/prim/sub.ts";

/** 0 without a tilde (byte 126, the others end at 122), else infinite. */
function poison(ids: Tensor) {
  const { b } = ids.trace;
  const { shape } = b.type(ids.id);
  const value = (x: number) => constant(b, x, shape, "f32");
  const beyond = mul(b, sub(b, cast(b, ids.id, "f32"), value(124)), value(100));
  return reduce(b, exp(b, beyond), "sum", [0, 1]);
}

type Poison = "loss" | "gradient" | "spike";

class PoisonedGpt extends Gpt {
  where: Poison = "loss";

  override loss(ids: Tensor, targets: Tensor): TokenLoss {
    const { b } = ids.trace;
    const { sum, count } = super.loss(ids, targets);
    const infinite = poison(ids);
    if (this.where === "spike") {
      const more = min(b, infinite, constant(b, 49, [], "f32"));
      return { sum: mul(b, sum, add(b, more, constant(b, 1, [], "f32"))), count };
    }
    if (this.where === "loss") return { sum: add(b, sum, infinite), count };
    return { sum: mul(b, sum, add(b, infinite, constant(b, 1, [], "f32"))), count };
  }
}

export const poisonedJob = (where: Poison): typeof gptPretrain => ({
  ...gptPretrain,
  model(config) {
    const model = new PoisonedGpt(optionsOf(config));
    model.where = where;
    return model;
  },
});

/** Writes the text into a folder; returns its path and where the tilde is. */
export function poisonedText(folder: string): { readonly path: string; readonly at: number } {
  const lines = Array.from({ length: 70 }, (_, i) => `line ${i} and ${(i * 7) % 13} more\n`);
  lines[30] = "line ~ and more\n";
  const text = lines.join("");
  const path = join(folder, "poisoned.txt");
  writeFileSync(path, text);
  return { path, at: text.indexOf("~") };
}
