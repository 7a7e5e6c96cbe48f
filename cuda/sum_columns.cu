/// sum_columns: `map_reduce` where rows of floats are added up as they are, four elements at a time, as for the gradient of a bias.
/// The same sums in the same order as map_reduce_columns makes them, f64 and all, but nothing is decided at an element, so that
/// a thread has four loads under way and a multiprocessor four blocks. Operands and words are those of map_reduce.
#pragma once
#include "map_reduce.cu"

#define SUM_LOADS 4

KERNEL_OF(sum_columns, THREADS, 4) {
    SHARED(double, shared);
    Reduction r = reduction_of(task);
    Floats x = floats_of(*task.operands);
    u64 rows = task.operands->dims[0], columns = task.operands->dims[1], apart = task.operands->strides[0];
    u64 column = ((u64)blockIdx.x * 32 + lane()) * QUAD;
    double sums[QUAD] = {};
    Span span = slice_of(rows, r.slices, 1);
    if (column < columns)
        for (u64 row = span.begin + threadIdx.x / 32; row < span.end; row += WARPS * SUM_LOADS) {
            Raw raw[SUM_LOADS];
#pragma unroll
            for (u32 k = 0; k < SUM_LOADS; k++)
                if (row + k * WARPS < span.end) raw[k] = fetch(x, (row + k * WARPS) * apart + column);
#pragma unroll
            for (u32 k = 0; k < SUM_LOADS; k++) {
                if (row + k * WARPS >= span.end) continue;
                float quad[QUAD];
                unpack4(x, raw[k], quad);
#pragma unroll
                for (int j = 0; j < QUAD; j++) sums[j] += (double)quad[j];
            }
        }
    for (int j = 0; j < QUAD; j++) shared[threadIdx.x * QUAD + j] = sums[j];
    __syncthreads();
    u32 own = threadIdx.x;
    column = (u64)blockIdx.x * 32 * QUAD + own;
    if (own >= 32 * QUAD || column >= columns) return;
    double sum = shared[own];
    for (u32 warp = 1; warp < WARPS; warp++) sum += shared[warp * 32 * QUAD + own];
    if (r.slices > 1) r.slices_at[blockIdx.y * columns + column] = bits_of_double(sum);
    else store_result(r, column, bits_of_double(sum));
}
