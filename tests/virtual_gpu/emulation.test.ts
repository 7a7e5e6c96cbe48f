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

test.each(["product_by_columns", "product_by_rows", "exchange_right", "blocks_apart"])(
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

test("blocks that need others before them are wrong under some schedule", () => {
  expect(rightOnes("blocks_in_order")).toBeLessThan(16);
});

test.each([
  ["never_waits", /ends before it has waited for its cp.async/],
  ["unaligned_matrix", /not aligned/],
  ["unaligned_copy", /not aligned/],
  ["unaligned_load", /not aligned/],
  ["unaligned_store", /not aligned/],
  ["matrix_outside", /outside shared memory/],
  ["half_a_warp", /deadlock, 16 of 32 threads/],
  ["split_warp", /lanes of a warp are at different instructions/],
  ["some_lanes", /some lanes of a warp alone/],
  ["unaligned_scalar", /not aligned or outside an array/],
  ["outside_array", /not aligned or outside an array/],
  ["wide_shift", /a shift, division or conversion out of range/],
  ["wide_conversion", /a shift, division or conversion out of range/],
])("%s ends the process", (kernel, message) => {
  const { problem, exitCode, out } = emulate(kernel);
  expect(problem).toMatch(message);
  expect(out).toBe("");
  expect(exitCode).not.toBe(0);
});

const WGMMA = ["64", "128"].flatMap((columns) =>
  ["shared", "registers"].flatMap((left) =>
    ["columns", "rows"].map((right) => `wgmma_${columns}_of_${left}_by_${right}`),
  ),
);

// Where a row holds what is summed over, the leading offset means nothing.
const leading = "wgmma_64_by_columns_wrong_leading";

test.each([...WGMMA, leading])("%s is right under every schedule", (kernel) => {
  expect(rightOnes(kernel)).toBe(16);
});

test.each([
  // Results are read that are not there, or operands that wgmma does not see yet.
  ...["by_rows_reads_early", "by_rows_no_wait", "by_rows_no_commit", "by_rows_no_publish"],
  ...["by_rows_early_publish", "by_rows_no_landing"],
  // Descriptors that say other than what was copied.
  ...[
    "by_rows_wrong_stride",
    "by_rows_wrong_leading",
    "by_rows_wrong_swizzle",
    "by_rows_not_aligned",
  ],
  ...["64_by_columns_wrong_stride", "64_by_columns_wrong_swizzle"],
])("wgmma %s is never right", (mistake) => {
  expect(rightOnes(`wgmma_${mistake}`)).toBe(0);
});

test.each([
  ["by_rows_no_fence", /without wgmma.fence/],
  ["by_rows_no_settle", /not settled and fenced/],
  ["by_rows_no_barrier", /find other operands/],
  ["by_rows_writes_sums", /accumulators were written while/],
  ["by_rows_writes_a", /registers of A were written while/],
  ["by_rows_copies_early", /shared memory was written while/],
  ["by_rows_ends_early", /ends before it has waited for its wgmma/],
  ["64_by_columns_wrong_bits", /bits that mean nothing/],
  ["by_columns_base_offset", /base offset/],
  ["by_columns_three_warps", /deadlock, 96 of 128/],
  ["by_columns_other_product", /other operands of a wgmma|different wgmma/],
  ["by_columns_other_shape", /accumulators of another shape/],
  ["by_columns_half_a_group", /less than a warpgroup/],
])("wgmma %s ends the process", (mistake, message) => {
  const { problem, exitCode, out } = emulate(`wgmma_${mistake}`);
  expect(problem).toMatch(message);
  expect(out).toBe("");
  expect(exitCode).not.toBe(0);
});

test("shared memory ends at an inaccessible page", () => {
  expect(emulate("write_outside").signalCode).toBe("SIGSEGV");
});

test("a launch has no more threads than the kernel, no more shared memory than was asked for, and no grid that is too large", () => {
  // Grids: no block, 2^31 blocks, 65 536 in y, 65 536 in z; then the largest ones.
  // 48 KiB, 49 KiB, 32 threads too many; then asking for 228 KiB and for 99 KiB, and using these.
  expect(emulate("limits", DRIVER).out).toBe("1 1 1 1 0 0\n0 1 701 1 0 0");
});
