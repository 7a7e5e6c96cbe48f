/// Tiles of bf16 rows in shared memory for flash attention: how they lie there, how they come in, and how fragments of them
/// go to tensor cores. A row of D elements is D / 8 chunks of 16 bytes; chunk c of a row lies at place c ^ (a number made of
/// the row), so that both the chunks of a row and one chunk of eight rows in turn touch every bank once.
#pragma once
#include "attention_problem.h"
#include "tensor_core.h"

#define LOG2E 1.4426950408889634f
/// All heads of the kernels here hold chunks of 16 bytes.
#define FLASH_CHUNK 8

/// Bytes from the start of a tile.
template <int D> DEV u32 tile_offset(u32 row, u32 chunk) {
    u32 turn = D % 64 == 0 ? row & 7 : row >> 1 & 3;
    return row * (D * 2) + (chunk ^ turn) * 16;
}

/// One head of [B, T, H, D]: rows of bf16 (or f32, where it is a result), less than 4 MiB apart.
struct HeadRows {
    u8* data;
    u32 stride_bytes, rows, size, dtype;
};

DEV HeadRows head_rows(const Operand& o, u64 batch, u64 head) {
    u32 bytes = o.dtype == BF16 ? 2 : 4;
    HeadRows rows = {o.data + (batch * o.strides[0] + head * o.strides[2]) * bytes};
    rows.stride_bytes = (u32)o.strides[1] * bytes;
    rows.rows = o.dims[1];
    rows.size = o.dims[3];
    rows.dtype = o.dtype;
    return rows;
}

/// Starts the copy of rows [first, first + ROWS) by a block of WIDTH threads; zeros outside of the head. A thread keeps to its
/// places in a row, and its rows are whole multiples of 8 apart: all its addresses in the tile are one plus constants.
template <int D, int ROWS, int WIDTH> DEV void copy_rows(SharedAddress tile, const HeadRows& from, u32 first) {
    const u32 side = D % 64 == 0 ? 8 : 4, down = WIDTH / side;
    static_assert(ROWS % down == 0 && down % 8 == 0, "every thread copies as much as the others");
    u32 row = threadIdx.x / side, chunk = threadIdx.x % side;
    u32 stride = not_hoisted(from.stride_bytes);
    const u8* base = from.data + (u64)first * stride + chunk * 16;
    tile += tile_offset<D>(row, chunk);
UNROLL
    for (u32 i = 0; i < ROWS / down; i++) {
        const u8* source = base + (row + i * down) * stride;
UNROLL
        for (u32 j = 0; j < D / FLASH_CHUNK / side; j++) {
            bool inside = first + row + i * down < from.rows && (chunk + j * side) * FLASH_CHUNK < from.size;
            copy_async16(tile + i * down * (D * 2) + j * side * 16, source + j * side * 16, inside);
        }
    }
}

/// Where a lane's row of a fragment begins, for A of [16, 16] and for B whose tile has what is summed over in its rows.
template <int D> DEV u32 lane_by_rows() { return tile_offset<D>(lane() % 16, lane() / 16); }
/// For B whose tile has what is summed over in its dims.
template <int D> DEV u32 lane_by_dims() { return tile_offset<D>(lane() % 8 + lane() / 16 * 8, lane() / 8 % 2); }

/// The same 16 dims times `k` further on. Tiles begin at multiples of 256 bytes, so turning places is turning bits.
template <int D> DEV SharedAddress at_dims(SharedAddress at, u32 k) {
    if (D % 64 == 0) return at ^ (k * 32);
    return (at ^ (k % 2 * 32)) + k / 2 * 64;
}

/// In these, `at` is the start of the tile's 16 rows (of 16 rows out of many) plus the lane's part.
/// A of dims [16 k, 16 k + 16).
template <int D> DEV void load_left(u32 (&to)[4], SharedAddress at, u32 k) {
    load_matrices(to, at_dims<D>(at, k));
}
/// B, summed over rows: words 0, 1 are columns [16 n, 16 n + 8), words 2, 3 the next 8.
template <int D> DEV void load_right_rows(u32 (&to)[4], SharedAddress at, u32 n) {
    load_transposed(to, at_dims<D>(at, n));
}
/// B, summed over dims [16 k, 16 k + 16): words 0, 1 are the first 8 rows as columns, words 2, 3 the next 8.
template <int D> DEV void load_right_dims(u32 (&to)[4], SharedAddress at, u32 k) {
    load_matrices(to, at_dims<D>(at, k));
}

/// Two neighbouring results of products, as the left side of the next.
DEV void pack_left(u32 (&to)[4], const float (&c0)[4], const float (&c1)[4]) {
    to[0] = bf16_pair(c0[0], c0[1]);
    to[1] = bf16_pair(c0[2], c0[3]);
    to[2] = bf16_pair(c1[0], c1[1]);
    to[3] = bf16_pair(c1[2], c1[3]);
}

/// c[16, 8 N] = left[16, D] . right[8 N, D] transposed. `at`: of the right side, by dims.
template <int D, int N> DEV void multiply_dims(float (&c)[N][4], const u32 (&left)[D / 16][4], SharedAddress at) {
    at = not_hoisted(at);
UNROLL
    for (u32 n = 0; n < N; n++)
UNROLL
        for (u32 i = 0; i < 4; i++) c[n][i] = 0.0f;
UNROLL
    for (u32 k = 0; k < D / 16; k++)
UNROLL
        for (u32 n = 0; n < N / 2; n++) {
            u32 right[4];
            load_right_dims<D>(right, at + n * 16 * D * 2, k);
            mma_bf16(c[n * 2], left[k], right[0], right[1]);
            mma_bf16(c[n * 2 + 1], left[k], right[2], right[3]);
        }
}
/// The same with the left side in shared memory as well, `left` by rows.
template <int D, int N> DEV void multiply_dims(float (&c)[N][4], SharedAddress left, SharedAddress at) {
    left = not_hoisted(left);
    at = not_hoisted(at);
UNROLL
    for (u32 n = 0; n < N; n++)
UNROLL
        for (u32 i = 0; i < 4; i++) c[n][i] = 0.0f;
UNROLL
    for (u32 k = 0; k < D / 16; k++) {
        u32 from[4];
        load_left<D>(from, left, k);
UNROLL
        for (u32 n = 0; n < N / 2; n++) {
            u32 right[4];
            load_right_dims<D>(right, at + n * 16 * D * 2, k);
            mma_bf16(c[n * 2], from, right[0], right[1]);
            mma_bf16(c[n * 2 + 1], from, right[2], right[3]);
        }
    }
}

/// c[16, D] += left[16, 8 N], rounded to bf16, . right[8 N, D]. `at`: of the right side, by rows.
template <int D, int N> DEV void multiply_rows(float (&c)[D / 8][4], const float (&left)[N][4], SharedAddress at) {
    at = not_hoisted(at);
UNROLL
    for (u32 k = 0; k < N / 2; k++) {
        u32 from[4];
        pack_left(from, left[k * 2], left[k * 2 + 1]);
UNROLL
        for (u32 n = 0; n < D / 16; n++) {
            u32 right[4];
            load_right_rows<D>(right, at + k * 16 * D * 2, n);
            mma_bf16(c[n * 2], from, right[0], right[1]);
            mma_bf16(c[n * 2 + 1], from, right[2], right[3]);
        }
    }
}

/// Stores 16 rows of results, times a factor for each half; `row` is the first one's in the tile `staging` that this warp alone
/// uses, `first` its position in the head.
template <int D>
DEV void store_rows(const float (&c)[D / 8][4], const float (&factors)[2], u8* staging, u32 row, const HeadRows& to,
                    u32 first) {
    u32 l = lane(), g = l / 4, t = l % 4;
    if (to.dtype == F32) {
UNROLL
        for (u32 n = 0; n < D / 8; n++)
UNROLL
            for (u32 half = 0; half < 2; half++) {
                u32 step = first + g + half * 8;
                if (step >= to.rows || n * 8 >= to.size) continue;
                Words2 pair = {{bits_of(c[n][half * 2] * factors[half]), bits_of(c[n][half * 2 + 1] * factors[half])}};
                store_words2(to.data + (u64)step * to.stride_bytes + (n * 8 + t * 2) * 4, pair);
            }
        return;
    }
UNROLL
    for (u32 n = 0; n < D / 8; n++)
UNROLL
        for (u32 half = 0; half < 2; half++) {
            u32 pair = bf16_pair(c[n][half * 2] * factors[half], c[n][half * 2 + 1] * factors[half]);
            *reinterpret_cast<u32*>(staging + tile_offset<D>(row + g + half * 8, n) + t * 4) = pair;
        }
    __syncwarp();
    for (u32 at = l; at < 16 * (D / FLASH_CHUNK); at += 32) {
        u32 step = at / (D / FLASH_CHUNK), chunk = at % (D / FLASH_CHUNK);
        if (first + step >= to.rows || chunk * FLASH_CHUNK >= to.size) continue;
        Words4 words = load_words4(staging + tile_offset<D>(row + step, chunk));
        store_words4(to.data + (u64)(first + step) * to.stride_bytes + chunk * 16, words);
    }
}

/// What rows see: any of them, and all of them.
struct Seen {
    u32 any_start, any_end, all_start, all_end;
};

struct MinU32 {
    static __device__ __forceinline__ u32 join(u32 a, u32 b) { return a < b ? a : b; }
};

/// As `visible`; a position beyond the end sees all, for its results are dropped.
DEV Keys visible_or_all(const Attention& a, u64 batch, u64 step) {
    if (step < a.steps) return visible(a, batch, step);
    Keys all = {0, 0xffffffffu};
    return all;
}

DEV void join_seen(Seen& seen, const Keys& keys, bool inside) {
    bool empty = keys.start >= keys.end;
    u32 start = (u32)keys.start, end = (u32)keys.end;
    if (inside && !empty) {
        seen.any_start = start < seen.any_start ? start : seen.any_start;
        seen.any_end = end > seen.any_end ? end : seen.any_end;
    }
    if (empty) start = 0xffffffffu;
    seen.all_start = start > seen.all_start ? start : seen.all_start;
    seen.all_end = end < seen.all_end ? end : seen.all_end;
}

/// Scores [16, 8 N] of rows `first` on become `hidden` where a row does not see the key.
template <int N>
DEV void hide_unseen(const Attention& a, u64 batch, u32 first, float (&s)[N][4], u32 first_key, float hidden) {
UNROLL
    for (u32 half = 0; half < 2; half++) {
        const Keys keys = visible_or_all(a, batch, first + half * 8 + lane() / 4);
        u32 start = (u32)keys.start, end = (u32)keys.end;
UNROLL
        for (u32 n = 0; n < N; n++)
UNROLL
            for (u32 i = 0; i < 2; i++) {
                u32 key = first_key + n * 8 + lane() % 4 * 2 + i;
                if (key < start || key >= end) s[n][half * 2 + i] = hidden;
            }
    }
}

/// Of rows [first, first + count), the same for all lanes; all lanes must call it.
DEV Seen seen_by(const Attention& a, u64 batch, u64 first, u32 count) {
    Seen seen = {0xffffffffu, 0, 0, 0xffffffffu};
    for (u32 i = lane(); i < count; i += 32)
        join_seen(seen, visible_or_all(a, batch, first + i), first + i < a.steps);
    seen.any_start = warp_join<MinU32>(seen.any_start);
    seen.any_end = warp_join<Max>(seen.any_end);
    seen.all_start = warp_join<Max>(seen.all_start);
    seen.all_end = warp_join<MinU32>(seen.all_end);
    return seen;
}
