/// rope: rotary positions on half-split pairs (i, i + d/2); angles are f64. Words: theta, inverse, rotary dims d, and
/// optionally magnitude and d/2 frequency factors f64. A block takes a few tokens at a time: it puts their cosines and
/// sines into shared memory, then turns all heads with them. A thread has both elements of a pair, so y may be x.
#pragma once
#include "vector.h"

/// Pairs of cosine and sine that a block has in shared memory, after as many frequencies.
#define ROPE_ANGLES 256

struct Rope {
    const Operand *x, *positions, *y;
    const u32* words;
    u32 half, heads, size, steps;
    u64 tokens;
    bool inverse, scaled, aligned;
    double theta;
    float magnitude;
};

DEV double rope_frequency(const Rope& r, u32 i) {
    double frequency = pow(r.theta, -(double)i / (double)r.half);
    return r.scaled ? frequency * double_of(r.words[4 + 2 * i], r.words[5 + 2 * i]) : frequency;
}

/// Cosine and sine of a pair of a token.
DEV void rope_angle(const Rope& r, u64 token, double frequency, float* to) {
    u64 batch = divide(token, r.steps), step = token - batch * r.steps;
    const u64* strides = r.positions->strides;
    i64 position = load_index(*r.positions, batch * strides[0] + step * strides[1]);
    double angle = (double)position * frequency;
    to[0] = (float)cos(angle) * r.magnitude;
    to[1] = (float)sin(angle) * (r.inverse ? -r.magnitude : r.magnitude);
}

DEV u64 rope_place(const Operand& o, const Rope& r, u64 token, u32 head) {
    u64 batch = divide(token, r.steps), step = token - batch * r.steps;
    return batch * o.strides[0] + step * o.strides[1] + head * o.strides[2];
}

/// N pairs from i on of one head, with the cosines and sines of these; beyond the pairs, what passes through.
template <int N> DEV void rope_turn(const Rope& r, u64 token, u32 head, u32 i, const float* angles) {
    Floats x = floats_of(*r.x), y = floats_of(*r.y);
    u64 from = rope_place(*r.x, r, token, head), to = rope_place(*r.y, r, token, head);
    float a[QUAD], b[QUAD];
    if (i >= r.half) {
        // The first of those that pass lies behind both halves.
        u32 at = i + r.half;
        if (N == QUAD) load4(x, from + at, a), store4(y, to + at, a);
        else store1(y, to + at, load1(x, from + at));
        return;
    }
    if (N == QUAD) load4(x, from + i, a), load4(x, from + i + r.half, b);
    else a[0] = load1(x, from + i), b[0] = load1(x, from + i + r.half);
#pragma unroll
    for (int j = 0; j < N; j++) {
        float cosine = angles[2 * j], sine = angles[2 * j + 1], first = a[j];
        a[j] = first * cosine - b[j] * sine;
        b[j] = b[j] * cosine + first * sine;
    }
    if (N == QUAD) store4(y, to + i, a), store4(y, to + i + r.half, b);
    else store1(y, to + i, a[0]), store1(y, to + i + r.half, b[0]);
}

template <int N> DEV void rope_tokens(const Rope& r, u64 first, u32 count, const float* angles) {
    u32 each = (r.size - r.half) / N, per_token = each * r.heads;
    for (u32 index = threadIdx.x; index < count * per_token; index += THREADS) {
        u32 token = index / per_token, rest = index - token * per_token, head = rest / each;
        u32 i = (rest - head * each) * N;
        rope_turn<N>(r, first + token, head, i, angles + (token * r.half + i) * 2);
    }
}

DEV bool rope_aligned(const Operand& o) {
    bool strides = o.strides[0] % QUAD == 0 && o.strides[1] % QUAD == 0 && o.strides[2] % QUAD == 0;
    return strides && is_aligned(o);
}

DEV Rope rope_of(const Task& task) {
    Rope r;
    r.x = task.operands;
    r.positions = task.operands + 1;
    r.y = task.operands + 2;
    r.words = task.words;
    r.half = task.words[2] / 2;
    r.inverse = task.words[1] == 1;
    r.scaled = task.word_count > 3;
    r.theta = (double)float_of(task.words[0]);
    r.magnitude = r.scaled ? float_of(task.words[3]) : 1.0f;
    r.steps = r.x->dims[1];
    r.heads = r.x->dims[2];
    r.size = r.x->dims[3];
    r.tokens = (u64)r.x->dims[0] * r.steps;
    r.aligned = r.half % QUAD == 0 && r.size % QUAD == 0 && rope_aligned(*r.x) && rope_aligned(*r.y);
    return r;
}

/// More pairs than there is shared memory for: each thread has its own angle.
DEV void rope_any(const Rope& r) {
    u64 each = r.size - r.half, per_token = each * r.heads;
    for (u64 index = thread_index(); index < r.tokens * per_token; index += thread_count()) {
        u64 token = index / per_token, rest = index % per_token;
        u32 i = (u32)(rest % each);
        float angle[2] = {};
        if (i < r.half) rope_angle(r, token, rope_frequency(r, i), angle);
        rope_turn<1>(r, token, (u32)(rest / each), i, angle);
    }
}

KERNEL(rope) {
    SHARED(double, frequencies);
    Rope r = rope_of(task);
    if (r.half > ROPE_ANGLES) return rope_any(r);
    float* angles = (float*)(frequencies + ROPE_ANGLES);
    if (threadIdx.x < r.half) frequencies[threadIdx.x] = rope_frequency(r, threadIdx.x);
    __syncthreads();
    u32 at_once = ROPE_ANGLES / r.half;
    for (u64 first = (u64)blockIdx.x * at_once; first < r.tokens; first += (u64)gridDim.x * at_once) {
        u32 count = r.tokens - first < at_once ? (u32)(r.tokens - first) : at_once;
        for (u32 index = threadIdx.x; index < count * r.half; index += THREADS)
            rope_angle(r, first + index / r.half, frequencies[index % r.half], angles + 2 * index);
        __syncthreads();
        if (r.aligned) rope_tokens<QUAD>(r, first, count, angles);
        else rope_tokens<1>(r, first, count, angles);
        __syncthreads();
    }
}
