/// Sums over the rows of a matrix: a block takes 32 columns, 8 threads share a column and are joined in order.
#pragma once
#include "theseus.h"

#define COLUMNS 32
#define COLUMN_THREADS (THREADS / COLUMNS)

/// Sums of the 8 threads of a column; the result is right in the threads with threadIdx.x < COLUMNS.
DEV float column_sum(float value, float* shared) {
    shared[threadIdx.x] = value;
    __syncthreads();
    float sum = 0.0f;
    if (threadIdx.x < COLUMNS)
        for (u32 i = 0; i < COLUMN_THREADS; i++) sum += shared[i * COLUMNS + threadIdx.x];
    __syncthreads();
    return sum;
}
