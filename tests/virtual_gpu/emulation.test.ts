/**
 * @file The virtual GPU computes what a GPU's tensor cores and asynchronous copies do, and kernels that misuse them are seen:
 * as wrong results under some schedule of threads, or as the end of the process. The kernels are in emulation.cpp.
 */
import { expect, test } from "bun:test";
import { DRIVER, EMULATION, useVirtualGpu } from "./virtual_gpu.ts";

useVirtualGpu();

function emulate(...args: string[]) {
  const { stdout, stderr, exitCode, signalCode } = Bun.spawnSync([EMULATION, ...args]);
  return { out: stdout.toString().trim(), problem: stderr.toString(), exitCode, signalCode };
}

/** Schedules of the 16 that gave the right result. */
const rightOnes = (kernel: string): number => {
  const { out } = emulate(kernel);
  expect(out).toMatch(/^\d+ of 16$/);
  return Number.parseInt(out, 10);
};

test.each(["product_by_columns", "product_by_rows", "exchange_right"])(
  "%s is right under every schedule",
  (kernel) => {
    expect(rightOnes(kernel)).toBe(16);
  },
);

test.each(["without_wait", "without_first_barrier", "without_second_barrier"])(
  "an exchange %s is wrong under some schedule",
  (mistake) => {
    expect(rightOnes(`exchange_${mistake}`)).toBeLessThan(16);
  },
);

test.each([
  ["never_waits", /ends before it has waited for its cp.async/],
  ["unaligned_matrix", /not aligned/],
  ["unaligned_copy", /not aligned/],
  ["unaligned_load", /not aligned/],
  ["unaligned_store", /not aligned/],
  ["matrix_outside", /outside shared memory/],
  ["half_a_warp", /deadlock, 16 of 32 threads/],
  ["split_warp", /lanes of a warp are at different instructions/],
])("%s ends the process", (kernel, message) => {
  const { problem, exitCode, out } = emulate(kernel);
  expect(problem).toMatch(message);
  expect(out).toBe("");
  expect(exitCode).not.toBe(0);
});

test("shared memory ends at an inaccessible page", () => {
  expect(emulate("write_outside").signalCode).toBe("SIGSEGV");
});

test("a launch has no more threads than the kernel, and no more shared memory than was asked for", () => {
  // 48 KiB, 49 KiB, 32 threads too many; then asking for 228 KiB and for 99 KiB, and using these.
  expect(emulate("limits", DRIVER).out).toBe("0 1 701 1 0 0");
});
