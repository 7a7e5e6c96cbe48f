/** @file Sharding rules are checked although one device runs: names nobody uses and sizes that do not divide. */
import { expect, test } from "bun:test";
import { axis } from "../../src/nn/axis.ts";
import { init } from "../../src/nn/init.ts";
import { Module } from "../../src/nn/module.ts";
import { checkSharding } from "../../src/nn/sharding.ts";
import { tinyGpt } from "./models_for_tests.ts";

class Misspelt extends Module {
  static readonly sharding = { n_embd_f: "tensor" };
  readonly up = this.param("up", [axis("n_embd", 4), axis("n_embd_ff", 16)], init.zeros);
  override forward(): void {}
}

class Holder extends Module {
  readonly mlp = this.child("mlp", () => new Misspelt());
  override forward(): void {}
}

test("the rules on the modules' classes hold for a GPT", () => {
  expect(() => checkSharding(tinyGpt())).not.toThrow();
  expect(() => checkSharding(tinyGpt(), { tensor: 2 }, { vocab: "data" })).not.toThrow();
});

test("an axis that no parameter has", () => {
  expect(() => checkSharding(new Holder())).toThrow(
    '[sharding] mlp: no parameter has an axis "n_embd_f" (there are ' +
      'mlp.up [n_embd=4, n_embd_ff=16]). Did you mean "n_embd_ff"?',
  );
  expect(() => checkSharding(tinyGpt(), {}, { n_embed: "data" })).toThrow(
    '[sharding] sharding: no parameter has an axis "n_embed" (there are ' +
      "wte.weight [vocab=11, n_embd=16], wpe.weight [position=8, n_embd=16], ",
  );
});

test("a mesh axis that does not divide a dimension", () => {
  expect(() => checkSharding(tinyGpt(), { tensor: 3 })).toThrowErrorMatchingInlineSnapshot(
    `"[sharding] blocks.0.attn.proj.weight: axis n_attn of size 16 is not divided by tensor=3"`,
  );
});
