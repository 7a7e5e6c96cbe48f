/// cache_write: rows of new keys or values put into their places of a cache [R, G, S, D], after `copy` has brought the
/// cache to the result. A block a token. A slot below 0 writes nothing.
#pragma once
#include "theseus.h"

KERNEL(cache_write) {
    const Operand *cache = task.operands, *x = cache + 1, *out = cache + 4;
    u64 steps = x->dims[1], groups = x->dims[2], size = x->dims[3], tokens = x->dims[0] * steps;
    for (u64 token = blockIdx.x; token < tokens; token += gridDim.x) {
        i64 slot = load_index(cache[3], token), row = load_index(cache[2], token / steps);
        if (slot < 0) continue;
        if (row < 0 || row >= (i64)cache->dims[0]) {
            fail(task, fault, token / steps, row);
            continue;
        }
        if (slot >= (i64)cache->dims[2]) {
            fail(task, fault, token, slot);
            continue;
        }
        for (u64 i = threadIdx.x; i < groups * size; i += THREADS) {
            u64 group = i / size, d = i % size;
            u64 from = token / steps * x->strides[0] + token % steps * x->strides[1] + group * x->strides[2] + d;
            u64 to = (u64)row * out->strides[0] + group * out->strides[1] + (u64)slot * out->strides[2] + d;
            store_float(*out, to, load_float(*x, from));
        }
    }
}
