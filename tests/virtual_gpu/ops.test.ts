/**
 * @file Every op on a GPU, in CI the virtual one, equals the f64 reference, on the samples that the CPU's kernels are
 * tested with.
 */
import { afterAll, expect, test } from "bun:test";
import { targetOf } from "../../src/train/target.ts";
import { cases, expectResults } from "../ops/kernel_cases.ts";
import { runNative } from "../ops/native.ts";
import { compileOne, named } from "../ops/one_op.ts";
import { sampleTensors } from "../ops/values.ts";
import { openTestGpu } from "./virtual_gpu.ts";

const device = openTestGpu();
afterAll(() => {
  device.close();
});

test("the device says what it is", () => {
  const { gpu, level } = device.info;
  expect(gpu).toMatchObject({ ordinal: 0, virtual: process.env.THESEUS_TEST_GPU !== "1" });
  expect(level).toBe(`sm_${gpu?.capability ?? 0}`);
});

test.each(cases)("%s", (_, op, sample) => {
  const operands = sampleTensors(op, sample);
  const compiled = compileOne(op, operands, sample.attrs, targetOf(device));
  const { values } = runNative(device, compiled, named(operands));
  expectResults(op, sample, operands, values);
});
