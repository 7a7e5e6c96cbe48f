/**
 * @file GPUs of the compute capabilities that run the fat binary's code for 8.0 or its PTX: those of 8.6, 8.9 and 12 have 99 KiB of
 * shared memory a block where others have 163 or 227, and every kernel of attention must fit.
 */
import { afterAll, expect, test } from "bun:test";
import { Builder } from "../../src/ops/builder.ts";
import { attentionOp } from "../../src/ops/fused/attention.ts";
import { attentionGradOp } from "../../src/ops/fused/attention_grad.ts";
import { get } from "../../src/ops/prim/get.ts";
import { input } from "../../src/ops/prim/input.ts";
import { compile } from "../../src/passes/compile.ts";
import { openGpu } from "../../src/runtime/index.ts";
import { targetOf } from "../../src/train/target.ts";
import { runNative } from "../ops/native.ts";
import { sampleTensor } from "../ops/values.ts";
import { StandIn } from "./stand_in.ts";
import { DRIVER } from "./virtual_gpu.ts";

const standIn = new StandIn();
afterAll(() => standIn.set("CAPABILITY", 90));

const dims = [32, 64, 96, 128];

/** Attention and its gradient on 130 positions of one head; all results. */
function attend(capability: number, dim: number): number[] {
  standIn.set("CAPABILITY", capability);
  const device = openGpu(0, { driver: DRIVER });
  try {
    const shape = [1, 130, 1, dim];
    const b = new Builder("attention");
    const of = (name: string) => input(b, { name, kind: "input", shape, dtype: "bf16" });
    const [q, k, v, dout] = [of("q"), of("k"), of("v"), of("dout")];
    const attrs = { causal: true, window: 0, scale: 1 / Math.sqrt(dim), compute: "bf16" } as const;
    const out = b.emit(attentionOp, [q, k, v], { ...attrs, out: "bf16" });
    const results = { dq: "bf16", dk: "bf16", dv: "bf16" } as const;
    const inputs = [q, k, v, out, get(b, out, 1), dout];
    const dq = b.emit(attentionGradOp, inputs, { ...attrs, ...results });
    for (const [i, name] of ["dq", "dk", "dv"].entries()) b.output(name, get(b, dq, i));
    const names = ["q", "k", "v", "dout"];
    const values = new Map(
      names.map((name) => [name, sampleTensor({ shape, dtype: "bf16" }, name)]),
    );
    const run = runNative(device, compile(b.finish(), targetOf(device)), values);
    expect(device.info.gpu?.capability).toBe(capability);
    return ["dq", "dk", "dv"].flatMap((name) => Array.from(run.values.get(name)?.data ?? []));
  } finally {
    device.close();
  }
}

test.each([80, 86, 89, 100, 120])("attention runs on capability %d, with the bits of 8.0", (it) => {
  for (const dim of dims) {
    const results = attend(it, dim);
    expect(results.length).toBe(3 * 130 * dim);
    expect(results).toEqual(attend(80, dim));
  }
});
