//! attention, backward: weights come again from lse; ds = p * (dout.v - sum(dout out)); dq, dk, dv in f32.
//! check: as `attention` for q, k, v, document starts; out f32|bf16, dout f32 [B, T, H, D], lse f32 [B, H, T] contiguous;
//! results dq f32 [B, T, H, D], dk, dv f32 [B, T, G, D]; D contiguous everywhere, other strides free.
//! The results must not overlap each other or the inputs. Workspace: none. Private scratch: see `scratch` (about
//! 12 bytes * T * D, at most 9 MiB or so; it does not grow further with T).
//!
//! With enough (batch, key head) pairs for the threads, a tile is one pair: five products per block. With few, tiles
//! are chunks of keys (dk, dv) and chunks of queries (dq): seven products. Both add in the same order: equal bits.
const std = @import("std");
const kernel = @import("../cpu/kernel.zig");
const rows = @import("../cpu/rows.zig");
const simd = @import("../cpu/simd.zig");
const block = @import("../cpu/attention_block.zig");
const problem = @import("../cpu/attention_problem.zig");

const F = block.F;
const lanes = block.lanes;
const strip = block.strip;
const block_keys = block.block_keys;
const Problem = problem.Problem;

/// Positions of a query block, as strips, and their padded count.
const block_strips = 16;
const block_rows = block_strips * strip;
/// Query blocks of a query tile and key blocks of a key tile, when a pair is shared between threads.
const tile_query_blocks = 2;
const tile_key_blocks = 2;
/// Packed queries, their gradients and the output's of a whole head may take this much, else pairs are always split.
const whole_bytes_max = 8 << 20;

fn whole_fits(p: *const Problem) bool {
    return 3 * problem.padded_rows(p.steps) * p.padded * 4 <= whole_bytes_max;
}

/// Keys of one block, packed three ways, with the gradients they collect.
const KeySlot = struct {
    first: u64 = 0,
    count: u64 = 0,
    /// [head_dim][block_keys]
    keys_across: block.Packed,
    values_across: block.Packed,
    /// [block_keys][padded]
    keys: block.Packed,
    /// [block_keys in whole strips][padded]
    dkeys: block.Packed,
    dvalues: block.Packed,
};

const Buffers = struct {
    /// Rows from position `first` on: packed q (scaled), dout, dq [rows][padded].
    queries: block.Packed,
    douts: block.Packed,
    dqueries: block.Packed,
    /// lse in units of log2, and sum(dout out), per row.
    lse: block.Packed,
    delta: block.Packed,
    visible: [*]align(64) problem.Keys,
    strips: [*]align(64) problem.StripKeys,
    /// [block_rows][block_keys], a strip of slack
    weights: block.Packed,
    dscores: block.Packed,
    /// [strip][block_keys]
    dweights: block.Packed,
    slots: [tile_key_blocks]KeySlot,

    fn carve(c: *problem.Carver, p: *const Problem) Buffers {
        const shared_rows = tile_query_blocks * block_rows;
        const whole = if (whole_fits(p)) problem.padded_rows(p.steps) else 0;
        const count = @max(shared_rows, whole);
        var b = Buffers{
            .queries = c.take(f32, count * p.padded),
            .douts = c.take(f32, count * p.padded),
            .dqueries = c.take(f32, count * p.padded),
            .lse = c.take(f32, count),
            .delta = c.take(f32, count),
            .visible = c.take(problem.Keys, count),
            .strips = c.take(problem.StripKeys, count / strip),
            .weights = c.take(f32, (block_rows + strip) * block_keys),
            .dscores = c.take(f32, (block_rows + strip) * block_keys),
            .dweights = c.take(f32, strip * block_keys),
            .slots = undefined,
        };
        for (&b.slots) |*slot| slot.* = .{
            .keys_across = c.take(f32, p.head_dim * block_keys),
            .values_across = c.take(f32, p.head_dim * block_keys),
            .keys = c.take(f32, block_keys * p.padded),
            .dkeys = c.take(f32, problem.padded_rows(block_keys) * p.padded),
            .dvalues = c.take(f32, problem.padded_rows(block_keys) * p.padded),
        };
        return b;
    }
};

fn check(ins: *const kernel.Instruction) callconv(.c) rows.Problem {
    if (!problem.check_words(ins))
        return "words must be causal, has_documents, window, scale, compute";
    const first_result = 6 + ins.word(1);
    if (!rows.has_operands(ins, first_result + 3))
        return "expected q, k, v, out, lse, dout, (document starts) -> dq, dk, dv";
    if (problem.check_inputs(ins, 6)) |reason| return reason;
    const q = ins.operand(0);
    const out = ins.operand(3);
    if (!problem.is_heads(out) or !simd.is_float(out.dtype) or !kernel.same_dims(out, q))
        return "out must be f32 or bf16 with the dims of q, D contiguous";
    if (!problem.is_lse(ins.operand(4), q)) return "lse must be contiguous f32 [B, H, T]";
    for ([_]u32{ 5, first_result, first_result + 1, first_result + 2 }) |i| {
        const o = ins.operand(i);
        const like = if (i <= first_result) q else ins.operand(1);
        if (!problem.is_heads(o) or o.dtype != .f32 or !kernel.same_dims(o, like))
            return "dout, dq, dk, dv must be f32 with the dims of q or k, D contiguous";
        if (i != 5 and !rows.is_result(o)) return "dq, dk and dv must be results";
    }
    const p = Problem.of(ins, 6);
    if (p.batches * p.heads * (p.steps / block_keys + 2) > 1 << 30) return "too many tiles";
    return null;
}

fn scratch(ins: *const kernel.Instruction) callconv(.c) u64 {
    const p = Problem.of(ins, 6);
    var c = problem.Carver.measure();
    _ = Buffers.carve(&c, &p);
    return c.bytes;
}

const Run = struct {
    p: Problem,
    b: Buffers,
    ins: *const kernel.Instruction,

    fn result(r: *const Run, i: u32) *const kernel.Operand {
        return r.ins.operand(6 + r.ins.word(1) + i);
    }

    /// One (batch, key head) pair at once.
    fn whole_pair(r: *Run, batch: u64, group: u64) void {
        const p = &r.p;
        for (0..p.repeat) |j| {
            const head = group * p.repeat + j;
            r.load_queries(.{ .batch = batch, .step = 0, .head = head }, p.steps);
            block.zero(r.b.dqueries, problem.padded_rows(p.steps) * p.padded);
            var first: u64 = 0;
            while (first < p.steps) : (first += block_keys) {
                const at = problem.Position{ .batch = batch, .step = first, .head = group };
                const slot = &r.b.slots[0];
                r.load_keys(slot, at, true);
                if (j == 0) r.clear_gradients(slot) else r.load_gradients(slot, at);
                problem.prefetch(r.result(1), at, slot.count, .write);
                problem.prefetch(r.result(2), at, slot.count, .write);
                r.all_query_blocks(p.steps, slot, true, true);
                r.store_gradients(slot, at, j + 1 == p.repeat);
            }
            r.store_dqueries(.{ .batch = batch, .step = 0, .head = head }, p.steps);
        }
    }

    /// dk and dv of `tile_key_blocks` blocks.
    fn key_tile(r: *Run, batch: u64, group: u64, chunk: u64) void {
        const p = &r.p;
        const size = tile_key_blocks * block_keys;
        var used: u64 = 0;
        for (&r.b.slots, 0..) |*slot, i| {
            const at = problem.Position{
                .batch = batch,
                .step = chunk * size + i * block_keys,
                .head = group,
            };
            if (at.step >= p.steps) break;
            r.load_keys(slot, at, false);
            r.clear_gradients(slot);
            used += 1;
        }
        const slots = r.b.slots[0..used];
        for (0..p.repeat) |j| {
            var first: u64 = 0;
            while (first < p.steps) : (first += block_rows) {
                // A block before the keys sees none of them.
                const count = @min(block_rows, p.steps - first);
                if (p.causal and first + count <= slots[0].first) continue;
                r.load_queries(
                    .{ .batch = batch, .step = first, .head = group * p.repeat + j },
                    count,
                );
                for (slots) |*slot| r.all_query_blocks(count, slot, false, true);
            }
        }
        for (slots) |*slot| {
            r.store_gradients(slot, .{ .batch = batch, .step = slot.first, .head = group }, true);
        }
    }

    /// dq of `tile_query_blocks` blocks.
    fn query_tile(r: *Run, batch: u64, head: u64, chunk: u64) void {
        const p = &r.p;
        const size = tile_query_blocks * block_rows;
        const at = problem.Position{ .batch = batch, .step = chunk * size, .head = head };
        const count = @min(size, p.steps - at.step);
        r.load_queries(at, count);
        block.zero(r.b.dqueries, problem.padded_rows(count) * p.padded);
        var start: u64 = std.math.maxInt(u32);
        var end: u64 = 0;
        for (r.b.strips[0 .. problem.padded_rows(count) / strip]) |s| {
            start = @min(start, s.any.start);
            end = @max(end, s.any.end);
        }
        var first = start / block_keys * block_keys;
        while (first < end) : (first += block_keys) {
            const slot = &r.b.slots[0];
            r.load_keys(slot, .{ .batch = batch, .step = first, .head = head / p.repeat }, true);
            r.all_query_blocks(count, slot, true, false);
        }
        r.store_dqueries(at, count);
    }

    fn all_query_blocks(
        r: *Run,
        count: u64,
        slot: *KeySlot,
        comptime query_side: bool,
        comptime key_side: bool,
    ) void {
        const strips = problem.padded_rows(count) / strip;
        var first: u64 = 0;
        while (first < strips) : (first += block_strips)
            r.pair(first, @min(block_strips, strips - first), slot, query_side, key_side);
    }

    /// One query block (strips from `first` on) against one key block.
    fn pair(
        r: *Run,
        first: u64,
        count: u64,
        slot: *KeySlot,
        comptime query_side: bool,
        comptime key_side: bool,
    ) void {
        var spans: [block_strips]problem.Span = undefined;
        var any = false;
        for (spans[0..count], r.b.strips[first..][0..count]) |*span, *s| {
            span.* = s.in_block(slot.first, slot.count);
            any = any or !span.is_empty();
        }
        if (!any) return;
        for (spans[0..count], 0..) |span, i| {
            const at = i * strip * block_keys;
            if (key_side) {
                clear_outside(r.b.weights + at, span);
                clear_outside(r.b.dscores + at, span);
            }
            if (span.is_empty()) continue;
            r.run_strip(first + i, at, slot, span);
            if (query_side) r.add_dqueries(first + i, at, slot, span);
        }
        if (key_side) r.add_dkeys(first, spans[0..count], slot);
    }

    /// Weights and score gradients of a strip, into row `at` of the block's buffers.
    fn run_strip(r: *Run, s: u64, at: u64, slot: *KeySlot, span: problem.Span) void {
        const p = &r.p;
        const offset = @as(u64, span.start) * lanes;
        var product = block.Product{
            .a = r.b.queries + s * strip * p.padded,
            .a_stride = p.padded,
            .b = slot.keys_across + offset,
            .b_stride = block_keys,
            .c = r.b.weights + at + offset,
            .c_stride = block_keys,
            .depth = p.head_dim,
            .columns = span.columns(),
        };
        block.multiply(.row, .set, product);
        product.a = r.b.douts + s * strip * p.padded;
        product.b = slot.values_across + offset;
        product.c = r.b.dweights + offset;
        block.multiply(.row, .set, product);
        problem.mask(r.b.weights + at, r.b.visible + s * strip, r.b.strips[s], slot.first, span);
        const d = Differentiate{
            .weights = r.b.weights + at + offset,
            .dweights = r.b.dweights + offset,
            .dscores = r.b.dscores + at + offset,
            .lse = r.b.lse + s * strip,
            .delta = r.b.delta + s * strip,
        };
        if (p.bf16) differentiate_columns(true, d, span.columns()) else differentiate_columns(
            false,
            d,
            span.columns(),
        );
    }

    fn add_dqueries(r: *Run, s: u64, at: u64, slot: *KeySlot, span: problem.Span) void {
        const offset = @as(u64, span.start) * lanes;
        block.multiply(.row, .add, .{
            .a = r.b.dscores + at + offset,
            .b = slot.keys + offset * r.p.padded,
            .b_stride = r.p.padded,
            .c = r.b.dqueries + s * strip * r.p.padded,
            .c_stride = r.p.padded,
            .depth = span.depth(),
            .columns = r.p.padded / lanes,
        });
    }

    /// dv += weights^T dout and dk += dscores^T q, a strip of keys at a time over the query strips that see it.
    fn add_dkeys(r: *Run, first: u64, spans: []const problem.Span, slot: *KeySlot) void {
        const padded = r.p.padded;
        var key: u64 = 0;
        while (key < slot.count) : (key += strip) {
            var from: u64 = spans.len;
            var to: u64 = 0;
            for (spans, 0..) |span, i| {
                if (span.start * lanes >= key + strip or span.end * lanes <= key) continue;
                from = @min(from, i);
                to = i + 1;
            }
            if (from >= to) continue;
            const row = (first + from) * strip;
            var product = block.Product{
                .a = r.b.weights + from * strip * block_keys + key,
                .b = r.b.douts + row * padded,
                .b_stride = padded,
                .c = slot.dvalues + key * padded,
                .c_stride = padded,
                .depth = (to - from) * strip,
                .columns = padded / lanes,
            };
            block.multiply(.column, .add, product);
            product.a = r.b.dscores + from * strip * block_keys + key;
            product.b = r.b.queries + row * padded;
            product.c = slot.dkeys + key * padded;
            block.multiply(.column, .add, product);
        }
    }

    fn load_queries(r: *Run, at: problem.Position, count: u64) void {
        const p = &r.p;
        const padded = problem.padded_rows(count);
        problem.fill_keys(p, at.batch, at.step, count, r.b.visible, r.b.strips);
        problem.pack_heads(r.ins.operand(0), p, at, count, p.query_scale(), r.b.queries);
        problem.pack_heads(r.ins.operand(5), p, at, count, 1, r.b.douts);
        const out = r.ins.operand(3);
        const lse = r.ins.operand(4).ptr(f32) + (at.batch * p.heads + at.head) * p.steps + at.step;
        for (0..count) |i| {
            const dout = problem.row_of(f32, r.ins.operand(5), at.batch, at.step + i, at.head);
            const ahead = problem.Position{
                .batch = at.batch,
                .step = at.step + i + 16,
                .head = at.head,
            };
            if (i + 16 < count) problem.prefetch(out, ahead, 1, .read);
            // Nothing seen: all scores are masked, and any finite number gives weights of 0.
            r.b.lse[i] = if (lse[i] == -std.math.inf(f32)) 0 else lse[i] * std.math.log2e;
            r.b.delta[i] = switch (out.dtype) {
                .f32 => dot(
                    f32,
                    dout,
                    problem.row_of(f32, out, at.batch, at.step + i, at.head),
                    p.head_dim,
                ),
                else => dot(
                    u16,
                    dout,
                    problem.row_of(u16, out, at.batch, at.step + i, at.head),
                    p.head_dim,
                ),
            };
        }
        // Rows that pad the last strip have zeros for q and dout, so they add nothing.
        @memset(r.b.lse[count..padded], 0);
        @memset(r.b.delta[count..padded], 0);
    }

    /// `rows` are needed for dq only.
    fn load_keys(r: *Run, slot: *KeySlot, at: problem.Position, comptime with_rows: bool) void {
        const p = &r.p;
        slot.first = at.step;
        slot.count = @min(block_keys, p.steps - at.step);
        problem.pack_keys(true, r.ins.operand(1), p, at, slot.count, slot.keys_across);
        problem.pack_keys(true, r.ins.operand(2), p, at, slot.count, slot.values_across);
        if (with_rows) problem.pack_keys(false, r.ins.operand(1), p, at, slot.count, slot.keys);
    }

    fn clear_gradients(r: *Run, slot: *KeySlot) void {
        const count = problem.padded_rows(block_keys) * r.p.padded;
        block.zero(slot.dkeys, count);
        block.zero(slot.dvalues, count);
    }

    /// Takes up what the heads before have stored.
    fn load_gradients(r: *Run, slot: *KeySlot, at: problem.Position) void {
        r.clear_gradients(slot);
        const size = r.p.head_dim;
        for (0..slot.count) |i| {
            const from = [_][*]const f32{
                problem.row_of(f32, r.result(1), at.batch, at.step + i, at.head),
                problem.row_of(f32, r.result(2), at.batch, at.step + i, at.head),
            };
            block.pack_rows(f32, false, from[0], 0, 1, size, 1, slot.dkeys + i * r.p.padded);
            block.pack_rows(f32, false, from[1], 0, 1, size, 1, slot.dvalues + i * r.p.padded);
        }
    }

    /// dk has collected q times scale * log2(e); the last head takes the log2(e) out.
    fn store_gradients(r: *Run, slot: *KeySlot, at: problem.Position, last: bool) void {
        const scale: f32 = if (last) problem.ln2 else 1;
        for (0..slot.count) |i| {
            const dk = problem.row_of(f32, r.result(1), at.batch, at.step + i, at.head);
            const dv = problem.row_of(f32, r.result(2), at.batch, at.step + i, at.head);
            write_row(slot.dkeys + i * r.p.padded, scale, dk, r.p.head_dim);
            write_row(slot.dvalues + i * r.p.padded, 1, dv, r.p.head_dim);
        }
    }

    fn store_dqueries(r: *Run, at: problem.Position, count: u64) void {
        for (0..count) |i| {
            const dq = problem.row_of(f32, r.result(0), at.batch, at.step + i, at.head);
            write_row(r.b.dqueries + i * r.p.padded, r.p.scale, dq, r.p.head_dim);
        }
    }
};

const Differentiate = struct {
    /// Scores, weights afterwards; dscores are written.
    weights: [*]f32,
    dweights: [*]const f32,
    dscores: [*]f32,
    lse: [*]const f32,
    delta: [*]const f32,
};

fn differentiate_columns(comptime bf16: bool, d: Differentiate, columns: u64) void {
    @setEvalBranchQuota(20000);
    switch (columns) {
        inline 1...4 => |n| differentiate(bf16, d, n),
        else => differentiate(bf16, d, columns),
    }
}

inline fn differentiate(comptime bf16: bool, d: Differentiate, columns: u64) void {
    inline for (0..strip) |i| {
        const lse: F = @splat(d.lse[i]);
        const delta: F = @splat(d.delta[i]);
        for (0..columns) |column| {
            const at = i * block_keys + column * lanes;
            const weight = block.exp2_negative(block.load(d.weights + at) - lse);
            const dscore = weight * (block.load(d.dweights + at) - delta);
            block.store(d.weights + at, if (bf16) block.round_bf16(weight) else weight);
            block.store(d.dscores + at, if (bf16) block.round_bf16(dscore) else dscore);
        }
    }
}

/// Zeros in the columns of a strip that lie outside its span.
fn clear_outside(at: [*]f32, span: problem.Span) void {
    if (span.columns() * lanes == block_keys) return;
    for (0..strip) |i| {
        const row = at + i * block_keys;
        block.zero(row, span.start * lanes);
        block.zero(row + span.end * lanes, block_keys - span.end * lanes);
    }
}

fn dot(comptime T: type, a: [*]const f32, b: [*]const T, size: u64) f32 {
    var sum = rows.splat(0);
    var i: u64 = 0;
    while (i < size) : (i += lanes)
        sum = @mulAdd(F, rows.load_at(f32, a, i, size, 0), rows.load_at(T, b, i, size, 0), sum);
    return rows.sum(sum);
}

fn write_row(from: [*]const f32, scale: f32, to: [*]f32, size: u64) void {
    var i: u64 = 0;
    while (i < size) : (i += lanes)
        rows.store_at(f32, to, i, size, block.load(from + i) * rows.splat(scale));
}

/// Whether whole pairs, five products each, finish no later than evenly shared tiles with seven.
fn is_whole(p: *const Problem, threads: u64) bool {
    const pairs = p.batches * p.groups;
    const turns = std.math.divCeil(u64, pairs, threads) catch unreachable;
    return whole_fits(p) and turns * threads * 5 <= pairs * 7;
}

fn run(t: *kernel.Thread, ins: *const kernel.Instruction) callconv(.c) void {
    var carver = problem.Carver.of(t);
    var r = Run{ .p = Problem.of(ins, 6), .b = undefined, .ins = ins };
    r.b = Buffers.carve(&carver, &r.p);
    std.debug.assert(carver.bytes <= t.scratch_bytes);
    const p = &r.p;
    const pairs = p.batches * p.groups;
    if (is_whole(p, t.count)) {
        while (t.claim(@intCast(pairs))) |tile| r.whole_pair(tile / p.groups, tile % p.groups);
        return;
    }
    const key_chunks = std.math.divCeil(
        u64,
        p.steps,
        tile_key_blocks * block_keys,
    ) catch unreachable;
    const query_chunks = std.math.divCeil(
        u64,
        p.steps,
        tile_query_blocks * block_rows,
    ) catch unreachable;
    const key_tiles = key_chunks * pairs;
    const tiles = key_tiles + query_chunks * p.batches * p.heads;
    while (t.claim(@intCast(tiles))) |tile| {
        // With a causal mask, early keys and late queries are the long ones: those first.
        if (tile < key_tiles) {
            r.key_tile(tile % pairs / p.groups, tile % p.groups, tile / pairs);
        } else {
            const index = tile - key_tiles;
            const heads = p.batches * p.heads;
            r.query_tile(
                index % heads / p.heads,
                index % p.heads,
                query_chunks - 1 - index / heads,
            );
        }
    }
}

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .attention_grad, .run = run, .check = check, .scratch = scratch },
};
