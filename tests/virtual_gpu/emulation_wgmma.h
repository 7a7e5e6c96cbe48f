/// Kernels with wgmma, right ones and faulty ones, for emulation.cpp, which includes this file: a warpgroup multiplies A[64, 64] by
/// B[64, 8 N], brought to shared memory by cp.async.
#pragma once
#include "../../cuda/flash_tile.h"
#include "../../cuda/wgmma.h"

const u32 wgmma_threads = 128, summed = 64, wgmma_shared = 40 << 10;
/// "Device memory": A by rows; B as [column][k] and as [k][column].
static u16 wide_a[64 * summed] __attribute__((aligned(16)));
static u16 wide_columns[128 * summed] __attribute__((aligned(16))), wide_rows[128 * summed] __attribute__((aligned(16)));
static float wide_product[64 * 128];

/// What a kernel leaves out or does wrong; one each.
enum Mistake {
    NONE, NO_WAIT, NO_COMMIT, NO_FENCE, NO_PUBLISH, EARLY_PUBLISH, NO_SETTLE, NO_LANDING, NO_BARRIER, READS_EARLY, WRITES_SUMS,
    WRITES_A, COPIES_EARLY, ENDS_EARLY, WRONG_STRIDE, WRONG_LEADING, WRONG_SWIZZLE, WRONG_BITS, BASE_OFFSET, NOT_ALIGNED,
    THREE_WARPS, OTHER_PRODUCT, OTHER_SHAPE,
};

/// Rows of 64 elements, swizzled, one tile after the other.
static void bring_tile(SharedAddress to, const u16* from, u32 rows, u32 stride, u32 at) {
    for (u32 i = threadIdx.x; i < rows * 8; i += wgmma_threads)
        copy_async16(to + tile_offset<64>(i / 8, i % 8), from + i / 8 * stride + at + i % 8 * 8, true);
}

static u64 spoiled(u64 matrix, Mistake mistake) {
    switch (mistake) {
        case WRONG_STRIDE: return matrix ^ 1ull << 37;
        case WRONG_LEADING: return matrix ^ 1ull << 25;
        case WRONG_SWIZZLE: return matrix ^ 3ull << 62;
        case WRONG_BITS: return matrix | 1ull << 46;
        case BASE_OFFSET: return matrix | 1ull << 49;
        default: return matrix;
    }
}

/// N: eighths of B's columns; A in registers or in shared memory; B by columns or by rows.
template <int N, bool REGISTERS, int SUMMED> static void wide(Mistake mistake) {
    SHARED(u8, shared);
    SharedAddress a = shared_address(shared), b = a + 8192 + (mistake == NOT_ALIGNED ? 512 : 0);
    bring_tile(a, wide_a, 64, summed, 0);
    if (SUMMED == DIMS) bring_tile(b, wide_columns, 8 * N, summed, 0);
    else for (u32 half = 0; half < N / 8; half++) bring_tile(b + half * 8192, wide_rows, summed, 128, half * 64);
    copy_commit();
    if (mistake == EARLY_PUBLISH) wgmma_publish();
    if (mistake != NO_LANDING) copy_wait<0>();
    if (mistake != NO_PUBLISH && mistake != EARLY_PUBLISH) wgmma_publish();
    if (mistake != NO_BARRIER) __syncthreads();
    u32 fragments[4][4];
    for (u32 k = 0; k < 4 && REGISTERS; k++)
        load_left<64>(fragments[k], a + threadIdx.x / 32 * 16 * 128 + lane_by_rows<64>(), k);
    float c[N][4];
    for (u32 n = 0; n < N; n++)
        for (u32 i = 0; i < 4; i++) c[n][i] = 1.0f;
    if (mistake == THREE_WARPS && threadIdx.x >= 96) return copy_wait<0>();
    if (mistake != NO_SETTLE) wgmma_settle(c);
    if (REGISTERS) wgmma_settle(fragments);
    if (mistake != NO_FENCE) wgmma_fence();
    for (u32 k = 0; k < summed / 16; k++) {
        u64 right = SUMMED == DIMS ? wgmma_matrix(b + k * 32, 16, 1024) : wgmma_matrix(b + k * 2048, 8192, 1024);
        right = spoiled(right, mistake);
        u64 left = wgmma_matrix(a + (mistake == OTHER_PRODUCT && threadIdx.x < 32 ? 0 : k * 32), 16, 1024);
        if constexpr (REGISTERS) wgmma<SUMMED>(c, fragments[k], right, true);
        else wgmma<SUMMED>(c, left, right, true);
        if (mistake == OTHER_SHAPE && N == 16)
            wgmma<SUMMED>(reinterpret_cast<float(&)[8][4]>(c), left, right, true);
    }
    if (mistake != NO_COMMIT) wgmma_commit();
    if (mistake == WRITES_SUMS) c[0][0] = 0;
    if (mistake == WRITES_A) fragments[0][0] ^= 1;
    if (mistake == COPIES_EARLY) bring_tile(b, wide_a, 64, summed, 0);
    copy_commit();
    if (mistake == ENDS_EARLY) return copy_wait<0>();
    float early = c[1][1];
    if (mistake != NO_WAIT) wgmma_wait<0>();
    wgmma_settle(c);
    if (mistake == READS_EARLY) c[1][1] = early;
    for (u32 n = 0; n < N; n++)
        for (u32 i = 0; i < 4; i++) {
            u32 row = threadIdx.x / 32 * 16 + lane() / 4 + i / 2 * 8, column = n * 8 + lane() % 4 * 2 + i % 2;
            wide_product[row * 128 + column] = c[n][i];
        }
    // So that only what the kernel has read is wrong, not how it ends.
    if (mistake == NO_WAIT || mistake == NO_COMMIT) {
        wgmma_commit();
        wgmma_wait<0>();
    }
    copy_wait<0>();
}

#define WIDE(name, columns, registers, summed, mistake) \
    KERNEL_OF(name, wgmma_threads, 1) { wide<columns / 8, registers, summed>(mistake); }
WIDE(wgmma_64_of_shared_by_columns, 64, false, DIMS, NONE)
WIDE(wgmma_64_of_registers_by_columns, 64, true, DIMS, NONE)
WIDE(wgmma_64_of_shared_by_rows, 64, false, ROWS, NONE)
WIDE(wgmma_64_of_registers_by_rows, 64, true, ROWS, NONE)
WIDE(wgmma_128_of_shared_by_columns, 128, false, DIMS, NONE)
WIDE(wgmma_128_of_registers_by_columns, 128, true, DIMS, NONE)
WIDE(wgmma_128_of_shared_by_rows, 128, false, ROWS, NONE)
WIDE(wgmma_128_of_registers_by_rows, 128, true, ROWS, NONE)
WIDE(wgmma_by_rows_no_wait, 128, true, ROWS, NO_WAIT)
WIDE(wgmma_by_rows_no_commit, 128, true, ROWS, NO_COMMIT)
WIDE(wgmma_by_rows_no_fence, 128, true, ROWS, NO_FENCE)
WIDE(wgmma_by_rows_no_publish, 128, true, ROWS, NO_PUBLISH)
WIDE(wgmma_by_rows_early_publish, 128, true, ROWS, EARLY_PUBLISH)
WIDE(wgmma_by_rows_no_settle, 128, true, ROWS, NO_SETTLE)
WIDE(wgmma_by_rows_no_landing, 128, true, ROWS, NO_LANDING)
WIDE(wgmma_by_rows_no_barrier, 128, true, ROWS, NO_BARRIER)
WIDE(wgmma_by_rows_reads_early, 128, true, ROWS, READS_EARLY)
WIDE(wgmma_by_rows_writes_sums, 128, true, ROWS, WRITES_SUMS)
WIDE(wgmma_by_rows_writes_a, 128, true, ROWS, WRITES_A)
WIDE(wgmma_by_rows_copies_early, 128, true, ROWS, COPIES_EARLY)
WIDE(wgmma_by_rows_ends_early, 128, true, ROWS, ENDS_EARLY)
WIDE(wgmma_by_rows_wrong_stride, 128, true, ROWS, WRONG_STRIDE)
WIDE(wgmma_by_rows_wrong_leading, 128, true, ROWS, WRONG_LEADING)
WIDE(wgmma_by_rows_wrong_swizzle, 128, true, ROWS, WRONG_SWIZZLE)
WIDE(wgmma_by_rows_not_aligned, 128, true, ROWS, NOT_ALIGNED)
WIDE(wgmma_64_by_columns_wrong_stride, 64, false, DIMS, WRONG_STRIDE)
WIDE(wgmma_64_by_columns_wrong_leading, 64, false, DIMS, WRONG_LEADING)
WIDE(wgmma_64_by_columns_wrong_swizzle, 64, false, DIMS, WRONG_SWIZZLE)
WIDE(wgmma_64_by_columns_wrong_bits, 64, false, DIMS, WRONG_BITS)
WIDE(wgmma_by_columns_base_offset, 64, false, DIMS, BASE_OFFSET)
WIDE(wgmma_by_columns_three_warps, 64, false, DIMS, THREE_WARPS)
WIDE(wgmma_by_columns_other_product, 64, false, DIMS, OTHER_PRODUCT)
WIDE(wgmma_by_columns_other_shape, 128, false, DIMS, OTHER_SHAPE)
KERNEL_OF(wgmma_by_columns_half_a_group, 64, 1) {
    float c[8][4] = {};
    wgmma_fence();
    wgmma<DIMS>(c, wgmma_matrix(0, 16, 1024), wgmma_matrix(8192, 16, 1024), false);
}

/// Small integers: their products are exact in any order.
static void fill_wide() {
    for (u32 i = 0; i < 64 * summed; i++) wide_a[i] = bf16_of((float)((int)(i * 7 % 13) - 6));
    for (u32 n = 0; n < 128; n++)
        for (u32 k = 0; k < summed; k++) {
            u16 value = bf16_of((float)((int)((n * 37 + k * 5) % 11) - 5));
            wide_columns[n * summed + k] = wide_rows[k * 128 + n] = value;
        }
    memset(wide_product, 0xff, sizeof wide_product);
}

static bool is_wide_right(u32 columns) {
    for (u32 m = 0; m < 64; m++)
        for (u32 n = 0; n < columns; n++) {
            float sum = 1;
            for (u32 k = 0; k < summed; k++)
                sum += low_bf16(wide_a[m * summed + k]) * low_bf16(wide_columns[n * summed + k]);
            if (wide_product[m * 128 + n] != sum) return false;
        }
    return true;
}
