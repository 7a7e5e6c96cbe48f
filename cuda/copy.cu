/// copy: the same elements in another layout. Nothing happens when source and target are one memory. Rows that both have go
/// four elements at a time; a transposed matrix goes through shared memory in tiles, so that both sides are read and written
/// along their rows.
#pragma once
#include "lanes.h"
#include "place.h"

#define COPY_TILE 32

DEV u32 element_of(const Operand& o, u64 at) {
    return o.dtype == BF16 ? pointer<u16>(o)[at] : o.dtype == BOOL ? pointer<u8>(o)[at] : pointer<u32>(o)[at];
}
DEV void set_element(const Operand& o, u64 at, u32 bits) {
    if (o.dtype == BF16) pointer<u16>(o)[at] = (u16)bits;
    else if (o.dtype == BOOL) pointer<u8>(o)[at] = (u8)bits;
    else pointer<u32>(o)[at] = bits;
}

/// Four neighbours of both.
DEV void copy_quad(const Operand& to, u64 to_at, const Operand& from, u64 from_at) {
    u32 bytes = dtype_bytes(to.dtype);
    u8* target = to.data + to_at * bytes;
    const u8* source = from.data + from_at * bytes;
    if (((u64)target | (u64)source) % (QUAD * bytes) != 0) {
        for (u32 j = 0; j < QUAD; j++) set_element(to, to_at + j, element_of(from, from_at + j));
        return;
    }
    if (bytes == 4) {
        Raw raw = fetch16(source);
        put16(target, raw.word);
    } else if (bytes == 2) {
        Raw raw = fetch8(source);
        put8(target, raw.word[0], raw.word[1]);
    } else *reinterpret_cast<u32*>(target) = *reinterpret_cast<const u32*>(source);
}

/// Rows of the last dim are dense in both, and whole quads.
DEV void copy_rows(const Operand& to, const Operand& from, u64 n) {
    u32 last = (u32)last_dim(to);
    int outer = to.rank - 1;
#pragma unroll 2
    for (u64 i = thread_index() * QUAD; i < n; i += thread_count() * QUAD) {
        u64 row = divide(i, last), column = i - row * last;
        copy_quad(to, place_of(to, row, outer) + column, from, place_of(from, row, outer) + column);
    }
}

/// Dim d is dense in the source, the last one in the target. A block takes tiles of 32 x 32 of these two; where the other
/// dims are, `batch` counts.
DEV void copy_tiles(const Operand& to, const Operand& from, int d, u32* shared) {
    int last = to.rank - 1;
    u32 height = to.dims[d], width = to.dims[last];
    u64 down = (height + COPY_TILE - 1) / COPY_TILE, across = (width + COPY_TILE - 1) / COPY_TILE;
    u64 tiles = count_of(to) / height / width * down * across;
    u32 x = threadIdx.x % COPY_TILE, y = threadIdx.x / COPY_TILE;
    for (u64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        u32 column0 = (u32)(tile % across) * COPY_TILE, row0 = (u32)(tile / across % down) * COPY_TILE;
        u64 batch = tile / across / down, to_at = 0, from_at = 0;
        for (int k = last - 1; k >= 0; k--) {
            if (k == d) continue;
            u64 index = batch % to.dims[k];
            to_at += index * to.strides[k];
            from_at += index * from.strides[k];
            batch /= to.dims[k];
        }
        for (u32 j = y; j < COPY_TILE; j += WARPS)
            if (row0 + x < height && column0 + j < width)
                shared[j * (COPY_TILE + 1) + x] =
                    element_of(from, from_at + (row0 + x) * from.strides[d] + (column0 + j) * from.strides[last]);
        __syncthreads();
        for (u32 j = y; j < COPY_TILE; j += WARPS)
            if (row0 + j < height && column0 + x < width)
                set_element(to, to_at + (row0 + j) * to.strides[d] + (column0 + x) * to.strides[last],
                            shared[x * (COPY_TILE + 1) + j]);
        __syncthreads();
    }
}

/// The dim that is dense in the source while another is in the target, or -1.
DEV int turned_dim(const Operand& to, const Operand& from) {
    int last = to.rank - 1;
    if (last < 1 || to.strides[last] != 1 || from.strides[last] <= 1) return -1;
    for (int d = 0; d < last; d++)
        if (from.strides[d] == 1 && to.dims[d] > 1) return d;
    return -1;
}

KERNEL(copy) {
    SHARED(u32, shared);
    const Operand &from = task.operands[0], &to = task.operands[1];
    if (from.data == to.data) return;
    u64 n = count_of(to);
    int last = to.rank - 1, d = turned_dim(to, from);
    if (last >= 0 && to.dims[last] % QUAD == 0 && to.strides[last] == 1 && from.strides[last] == 1)
        return copy_rows(to, from, n);
    if (d >= 0) return copy_tiles(to, from, d, shared);
    for (u64 i = thread_index(); i < n; i += thread_count())
        set_element(to, place_of(to, i, to.rank), element_of(from, place_of(from, i, from.rank)));
}
