/** @file Every op on the virtual GPU equals the f64 reference, on the samples that the CPU's kernels are tested with. */
import { afterAll, expect, test } from "bun:test";
import { compile } from "../../src/passes/compile.ts";
import { openGpu } from "../../src/runtime/index.ts";
import { targetOf } from "../../src/train/target.ts";
import { cases, expectResults } from "../ops/kernel_cases.ts";
import { runNative } from "../ops/native.ts";
import { named, oneOp } from "../ops/one_op.ts";
import { sampleTensors } from "../ops/values.ts";
import { buildVirtualGpu, DRIVER } from "./virtual_gpu.ts";

buildVirtualGpu();
const device = openGpu(0, { driver: DRIVER });
afterAll(() => {
  device.close();
});

test("the device says what it is", () => {
  const { gpu, level } = device.info;
  expect(gpu).toMatchObject({ ordinal: 0, name: "virtual GPU", capability: 90, virtual: true });
  expect(level).toBe("sm_90");
});

test.each(cases)("%s", (_, op, sample) => {
  const operands = sampleTensors(op, sample);
  const compiled = compile(oneOp(op, operands, sample.attrs), targetOf(device));
  const { values } = runNative(device, compiled, named(operands));
  expectResults(op, sample, operands, values);
});
