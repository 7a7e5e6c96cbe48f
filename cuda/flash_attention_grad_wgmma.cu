/// Flash attention, backward, by wgmma for compute capability 9.0 and heads of 64 dims: the kernels of flash_attention_grad_keys.cu
/// and flash_attention_grad_queries.cu with two warpgroups, 64 rows each, in place of eight warps. Every product is
/// waited for within its tile: ptxas serialises those that are under way when a loop begins again (C7515).
#pragma once
#include "flash_attention_grad_keys.cu"
#include "flash_attention_grad_queries.cu"
#include "flash_attention_wgmma.cu"

#define WGMMA_TILE 8192
/// A row of the gradients of 128 rows.
#define WGMMA_ROWS_BYTES 16384

#ifdef THESEUS_WGMMA

/// Starts c = left . right transposed, both [64, 64] in shared memory.
DEV void start_dims(float (&c)[8][4], SharedAddress left, SharedAddress right) {
    left = not_hoisted(left);
    right = not_hoisted(right);
UNROLL
    for (u32 k = 0; k < 4; k++)
        wgmma<DIMS>(c, wgmma_matrix(left + k * 32, 16, WGMMA_PIECE), wgmma_matrix(right + k * 32, 16, WGMMA_PIECE), k > 0);
    wgmma_commit();
}

/// Starts c += left . right, [64, 64] in registers and in shared memory.
DEV void start_rows(float (&c)[8][4], const u32 (&left)[4][4], SharedAddress right) {
    right = not_hoisted(right);
UNROLL
    for (u32 k = 0; k < 4; k++)
        wgmma<ROWS>(c, left[k], wgmma_matrix(right + k * 2 * WGMMA_PIECE, WGMMA_TILE, WGMMA_PIECE), true);
    wgmma_commit();
}

DEV void pack_tile(u32 (&to)[4][4], const float (&from)[8][4]) {
UNROLL
    for (u32 k = 0; k < 4; k++) pack_left(to[k], from[k * 2], from[k * 2 + 1]);
}

/// One tile of queries: dv += p . dout, dk += ds . q.
DEV void add_queries_wgmma(const Rule& rule, float (&dk)[8][4], float (&dv)[8][4], SharedAddress keys, SharedAddress tile,
                           const float* sums, u32 first, u32 query) {
    const float *lse = sums, *delta = sums + 64;
    const u32* starts = reinterpret_cast<const u32*>(sums + 128);
    float p[8][4], ds[8][4];
    u32 weights[4][4], changes[4][4];
    wgmma_fence();
    start_dims(p, keys, tile);
    start_dims(ds, keys + WGMMA_ROWS_BYTES, tile + WGMMA_TILE);
    wgmma_wait<1>();
    wgmma_settle(p);
    wgmma_settle(dk);
    wgmma_settle(dv);
UNROLL
    for (u32 n = 0; n < 8; n++) {
        Words2 pair = load_words2(lse + n * 8 + lane() % 4 * 2);
UNROLL
        for (u32 i = 0; i < 4; i++) p[n][i] = exp2_fast(fmaf(p[n][i], rule.scale2, -float_of(pair.w[i % 2]) * LOG2E));
    }
    if (!all_see<8>(rule, first, query, starts)) mask_by_key(rule, p, first, query, starts);
    pack_tile(weights, p);
    wgmma_settle(weights);
    wgmma_fence();
    start_rows(dv, weights, tile + WGMMA_TILE);
    wgmma_wait<1>();
    wgmma_settle(ds);
UNROLL
    for (u32 n = 0; n < 8; n++) {
        Words2 pair = load_words2(delta + n * 8 + lane() % 4 * 2);
UNROLL
        for (u32 i = 0; i < 4; i++) ds[n][i] = p[n][i] * (ds[n][i] - float_of(pair.w[i % 2]));
    }
    pack_tile(changes, ds);
    wgmma_settle(changes);
    wgmma_fence();
    start_rows(dk, changes, tile);
    wgmma_wait<0>();
    wgmma_settle(dv);
    wgmma_settle(dk);
}

DEV void flash_grad_keys_wgmma(const Task& task) {
    SHARED(u8, shared);
    const u32 queries = 64, threads = 256;
    u32 repeats, first, mine = uniform(threadIdx.x / 128) * 64, start, end;
    SharedAddress keys = shared_address(shared), tiles = keys + 2 * WGMMA_ROWS_BYTES;
    const u32 sums_at = 2 * WGMMA_ROWS_BYTES + 4 * WGMMA_TILE, sums_bytes = 3 * queries * 4;
    GroupRows& rows = *reinterpret_cast<GroupRows*>(shared + sums_at + 2 * sums_bytes);
    {
        const AttentionGrad g = attention_grad_of(task);
        const Attention& a = g.a;
        const KeysPlace place = keys_place<64>(a);
        copy_rows<64, 128, threads>(keys, head_rows(*a.k, place.batch, place.group), place.first);
        copy_rows<64, 128, threads>(keys + WGMMA_ROWS_BYTES, head_rows(*a.v, place.batch, place.group), place.first);
        const Seeing seen = seeing(a, place.batch, place.first, place.first + 128);
        const GroupRows found = group_rows(g, place.batch, place.group);
        if (threadIdx.x == 0) rows = found;
        repeats = uniform((u32)a.repeat);
        first = uniform(place.first);
        start = uniform(seen.start) / queries * queries;
        end = uniform(seen.end);
        if (start < end) copy_queries<64>(found, tiles, keys + sums_at, 0, start);
    }
    copy_commit();
    float dk[8][4], dv[8][4];
UNROLL
    for (u32 n = 0; n < 8; n++)
UNROLL
        for (u32 i = 0; i < 4; i++) dk[n][i] = dv[n][i] = 0.0f;
    copy_wait<0>();
    wgmma_publish();
    __syncthreads();
    const Rule rule = rule_of(task);
    u32 repeat = 0, query = start, slot = 0;
    while (query < end && repeat < repeats) {
        u32 next = query + queries, next_repeat = repeat, next_slot = slot ^ 1;
        if (next >= end) {
            next = start;
            next_repeat++;
        }
        if (next_repeat < repeats)
            copy_queries<64>(rows, tiles + next_slot * 2 * WGMMA_TILE, keys + sums_at + next_slot * sums_bytes, next_repeat,
                             next);
        copy_commit();
        // None of these is as late as the warpgroup's first key.
        if (!rule.causal || query + queries > first + mine)
            add_queries_wgmma(rule, dk, dv, keys + mine * WGMMA_ROW, tiles + slot * 2 * WGMMA_TILE,
                              reinterpret_cast<const float*>(shared + sums_at + slot * sums_bytes),
                              first + threadIdx.x / 32 * 16, query);
        copy_wait<0>();
        wgmma_publish();
        __syncthreads();
        query = next;
        repeat = next_repeat;
        slot = next_slot;
    }
    finish_keys<64>(task, dk, dv, shared);
}

/// One tile of keys: dq += ds . k.
DEV void add_keys_wgmma(const Task& task, float (&dq)[8][4], const float* sums, SharedAddress queries, SharedAddress tile,
                        float scale2, u32 key, bool masks) {
    float p[8][4], ds[8][4];
    u32 changes[4][4];
    wgmma_fence();
    start_dims(p, queries, tile);
    wgmma_wait<0>();
    wgmma_settle(p);
    const float* row = sums + threadIdx.x / 32 * 16 + lane() / 4;
    float lse2[2] = {row[0], row[8]};
UNROLL
    for (u32 n = 0; n < 8; n++)
UNROLL
        for (u32 i = 0; i < 4; i++) p[n][i] = exp2_fast(fmaf(p[n][i], scale2, -lse2[i / 2]));
    if (masks) mask_by_query<64>(task, p, key);
    // Not beside the mask, which needs registers; other warpgroups of the multiprocessor are at other places.
    wgmma_fence();
    start_dims(ds, queries + WGMMA_ROWS_BYTES, tile + WGMMA_TILE);
    wgmma_wait<0>();
    wgmma_settle(ds);
    float delta[2] = {row[128], row[136]};
UNROLL
    for (u32 n = 0; n < 8; n++)
UNROLL
        for (u32 i = 0; i < 4; i++) ds[n][i] = p[n][i] * (ds[n][i] - delta[i / 2]);
    pack_tile(changes, ds);
    wgmma_settle(changes);
    wgmma_settle(dq);
    wgmma_fence();
    start_rows(dq, changes, tile);
    wgmma_wait<0>();
    wgmma_settle(dq);
}

/// Of the block's rows: lse as a power of 2, then delta. In shared memory, for registers are needed for sums.
DEV void bring_row_sums(const AttentionGrad& g, const QueriesPlace& place, float* sums) {
    HeadRows dq = head_rows(*g.dq, place.batch, place.head);
    u32 row = threadIdx.x % 128, step = place.first + row;
    bool inside = step < g.a.steps;
    const float* lse = pointer<float>(*g.lse) + (place.batch * g.a.heads + place.head) * g.a.steps;
    if (threadIdx.x < 128) sums[row] = inside ? lse[step] * LOG2E : 0.0f;
    else sums[128 + row] = inside ? *reinterpret_cast<const float*>(dq.data + (u64)step * dq.stride_bytes) : 0.0f;
}

DEV void copy_key_tile(const KeyRows& rows, SharedAddress to, u32 key) {
    copy_rows<64, 64, 256>(to, rows.k, key);
    copy_rows<64, 64, 256>(to + WGMMA_TILE, rows.v, key);
}

DEV void flash_grad_queries_wgmma(const Task& task) {
    SHARED(u8, shared);
    const u32 keys = 64, threads = 256;
    const AttentionGrad g = attention_grad_of(task);
    const Attention& a = g.a;
    const QueriesPlace place = queries_place<64>(a);
    u32 mine = uniform(threadIdx.x / 128) * 64;
    u64 group = place.head / a.repeat;
    SharedAddress queries = shared_address(shared), tiles = queries + 2 * WGMMA_ROWS_BYTES;
    KeyRows& rows = *reinterpret_cast<KeyRows*>(shared + 2 * WGMMA_ROWS_BYTES + 4 * WGMMA_TILE);
    const KeyRows found = {head_rows(*a.k, place.batch, group), head_rows(*a.v, place.batch, group)};
    if (threadIdx.x == 0) rows = found;
    Seen block = uniform(seen_by(a, place.batch, place.first, 128));
    Seen seen = uniform(seen_by(a, place.batch, place.first + mine, 64));
    u32 key = block.any_start / keys * keys, slot = 0;
    copy_rows<64, 128, threads>(queries, head_rows(*a.q, place.batch, place.head), place.first);
    copy_rows<64, 128, threads>(queries + WGMMA_ROWS_BYTES, head_rows(*g.dout, place.batch, place.head), place.first);
    if (key < block.any_end) copy_key_tile(found, tiles, key);
    copy_commit();
    float* sums = reinterpret_cast<float*>(&rows + 1);
    bring_row_sums(g, place, sums);
    float scale2 = a.scale * LOG2E, dq[8][4];
UNROLL
    for (u32 n = 0; n < 8; n++)
UNROLL
        for (u32 i = 0; i < 4; i++) dq[n][i] = 0.0f;
    copy_wait<0>();
    wgmma_publish();
    __syncthreads();
    for (; key < block.any_end; key += keys) {
        u32 next_slot = slot ^ 1;
        if (key + keys < block.any_end) copy_key_tile(rows, tiles + next_slot * 2 * WGMMA_TILE, key + keys);
        copy_commit();
        if (key < seen.any_end && key + keys > seen.any_start)
            add_keys_wgmma(task, dq, sums, queries + mine * WGMMA_ROW, tiles + slot * 2 * WGMMA_TILE, scale2, key,
                           key < seen.all_start || key + keys > seen.all_end);
        copy_wait<0>();
        wgmma_publish();
        __syncthreads();
        slot = next_slot;
    }
    finish_queries<64>(task, dq, shared);
}

#define WGMMA_GRAD(name) name(task)
#else
#define WGMMA_GRAD(name) __trap()
#endif

KERNEL_OF(flash_attention_grad_keys_wgmma_64, 256, 1) { WGMMA_GRAD(flash_grad_keys_wgmma); }
KERNEL_OF(flash_attention_grad_queries_wgmma_64, 256, 2) { WGMMA_GRAD(flash_grad_queries_wgmma); }
