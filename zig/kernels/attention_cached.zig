//! attention_cached: new tokens attend to the places of their rows in a cache. Flash style in blocks of 64 keys; the
//! sums of every 256 places are made apart and joined in order, so a token's result depends on its row's keys alone:
//! not on the other rows, on how many tokens come at once, or on threads.
//! Work: one token a row (decoding) is cut into (row, key head, chunk of places), joined through the workspace; more
//! tokens are cut into (row, key head, tile of tokens). Decoding reads each cached key and value once.
//! check: q f32|bf16 [B, T, H, D], out the same dims, D contiguous, other strides free; k, v f32|bf16 [R, G, S, D]
//! contiguous and alike, G divides H, S <= 2^20, 1 <= D <= 512; rows i32 [B], slots i32 [B, T] contiguous.
//! A row outside [0, R) or a slot beyond S fails the program; slot < 0 gives zeros. Words: window, scale, compute.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const expect = @import("../cpu/expect.zig");
const rows = @import("../cpu/rows.zig");
const simd = @import("../cpu/simd.zig");
const strided = @import("../cpu/strided.zig");
const block = @import("../cpu/attention_block.zig");
const problem = @import("../cpu/attention_problem.zig");
const weigh = @import("../cpu/attention_weigh.zig");

const lanes = block.lanes;
const strip = block.strip;
const Operand = abi.Operand;

/// Places whose weights are summed before they are joined with the others. Part of the contract with `lower`.
const chunk_keys = 256;
/// Rows (tokens times heads of the group) of a tile.
const rows_max = 96;

const Setup = struct {
    ins: *const kernel.Instruction,
    p: problem.Problem,
    /// Rows of the cache, and places in each.
    cached: u64,
    places: u64,
    /// The cache as [R, S, G, D].
    keys: Operand,
    values: Operand,
    /// Tokens of a tile.
    tokens: u64,

    fn of(ins: *const kernel.Instruction) Setup {
        const q = ins.operand(0);
        const k = ins.operand(1);
        const repeat = q.dims[2] / k.dims[1];
        return .{
            .ins = ins,
            .p = .{
                .batches = q.dims[0],
                .steps = q.dims[1],
                .heads = q.dims[2],
                .groups = k.dims[1],
                .repeat = repeat,
                .head_dim = q.dims[3],
                .padded = std.mem.alignForward(u64, q.dims[3], lanes),
                .causal = true,
                .window = ins.word(0),
                .scale = ins.float(1),
                .bf16 = ins.word(2) == 1,
                .documents = null,
            },
            .cached = k.dims[0],
            .places = k.dims[2],
            .keys = by_place(k),
            .values = by_place(ins.operand(2)),
            .tokens = @min(q.dims[1], @max(1, rows_max / repeat)),
        };
    }

    fn by_place(o: *const Operand) Operand {
        var view = o.*;
        std.mem.swap(u32, &view.dims[1], &view.dims[2]);
        std.mem.swap(u64, &view.strides[1], &view.strides[2]);
        return view;
    }

    fn chunks(s: *const Setup) u64 {
        return std.math.divCeil(u64, s.places, chunk_keys) catch unreachable;
    }

    fn tiles(s: *const Setup) u64 {
        return std.math.divCeil(u64, s.p.steps, s.tokens) catch unreachable;
    }

    /// Elements that a chunk's result takes in the workspace: the sums, then the largest score and the total.
    fn partial(s: *const Setup) u64 {
        return s.p.padded + lanes;
    }

    /// The cache's row of a batch entry; null, and a failed program, where there is none.
    fn row(s: *const Setup, t: *kernel.Thread, batch: u64) ?u64 {
        const value = expect.index_at(s.ins.operand(3), batch);
        if (value >= 0 and value < s.cached) return @intCast(value);
        t.fail(s.ins, .index_out_of_range, batch, value);
        return null;
    }

    /// Places that a token sees.
    fn visible(s: *const Setup, t: *kernel.Thread, batch: u64, step: u64) problem.Keys {
        const at = batch * s.p.steps + step;
        const slot = expect.index_at(s.ins.operand(4), at);
        if (slot < 0) return .{ .start = 0, .end = 0 };
        if (slot >= s.places) {
            t.fail(s.ins, .index_out_of_range, at, slot);
            return .{ .start = 0, .end = 0 };
        }
        const end: u32 = @intCast(slot + 1);
        const window: u32 = @intCast(s.p.window);
        return .{ .start = if (window != 0) end -| window else 0, .end = end };
    }
};

/// A row's share of some places: largest score, sum of weights relative to it, weighted sum of values.
const Share = struct {
    top: f32,
    sum: f32,
    out: [*]f32,

    /// Joins the share of later places. Where they were not seen at all nothing changes, to the bit.
    fn join(into: *Share, late: Share, padded: u64) void {
        if (late.top == -std.math.inf(f32) and late.sum == 0) return;
        const top = @max(into.top, late.top);
        const old = block.exp2_negative(rows.splat(into.top - top));
        const new = block.exp2_negative(rows.splat(late.top - top));
        into.top = top;
        into.sum = @mulAdd(f32, late.sum, new[0], into.sum * old[0]);
        var i: u64 = 0;
        while (i < padded) : (i += lanes) {
            const sums = block.load(into.out + i) * old;
            block.store(into.out + i, @mulAdd(block.F, block.load(late.out + i), new, sums));
        }
    }
};

/// Of one thread.
const Buffers = struct {
    queries: block.Packed,
    /// Sums of a chunk, and of all chunks so far: [rows][padded].
    out: block.Packed,
    total: block.Packed,
    keys: block.Packed,
    values: block.Packed,
    scores: block.Packed,
    highest: block.Packed,
    sums: block.Packed,
    total_top: block.Packed,
    total_sum: block.Packed,
    visible: [*]align(64) problem.Keys,
    strips: [*]align(64) problem.StripKeys,

    fn carve(c: *problem.Carver, s: *const Setup) Buffers {
        const count = problem.padded_rows(s.tokens * s.p.repeat);
        return .{
            .queries = c.take(f32, count * s.p.padded),
            .out = c.take(f32, count * s.p.padded),
            .total = c.take(f32, count * s.p.padded),
            .keys = c.take(f32, s.p.head_dim * block.block_keys),
            .values = c.take(f32, block.block_keys * s.p.padded),
            .scores = c.take(f32, strip * block.block_keys),
            .highest = c.take(f32, count / strip * lanes),
            .sums = c.take(f32, count * lanes),
            .total_top = c.take(f32, count),
            .total_sum = c.take(f32, count),
            .visible = c.take(problem.Keys, count),
            .strips = c.take(problem.StripKeys, count / strip),
        };
    }

    fn share(b: *const Buffers, padded: u64, i: u64) Share {
        return .{
            .top = b.highest[i / strip * lanes + i % strip],
            .sum = rows.sum(block.load(b.sums + i * lanes)),
            .out = b.out + i * padded,
        };
    }
};

fn check(ins: *const kernel.Instruction) callconv(.c) rows.Problem {
    if (ins.word_count != 3 or ins.word(2) > 1) return "words must be window, scale, compute";
    const results: u32 = 6 + ins.has_workspace;
    if (ins.operand_count != results) return "expected q, k, v, rows, slots -> out";
    const q = ins.operand(0);
    const k = ins.operand(1);
    const v = ins.operand(2);
    const out = ins.operand(5);
    if (!problem.is_heads(q) or !simd.is_float(q.dtype))
        return "q must be f32 or bf16 [B, T, H, D], D contiguous";
    if (!expect.dense_float(k) or k.rank != 4 or !expect.dense_float(v) or k.dtype != v.dtype or
        !kernel.same_dims(k, v)) return "k and v must be alike, contiguous f32 or bf16 [R, G, S, D]";
    for (k.dims[0..4]) |d| if (d == 0) return "the cache must not be empty";
    if (k.dims[3] != q.dims[3] or q.dims[2] % k.dims[1] != 0)
        return "q and k must agree in D, and the heads of q be a multiple of those of k";
    if (k.dims[2] > problem.steps_max or q.dims[1] > problem.steps_max or
        q.dims[3] > problem.head_dim_max) return "expected S, T <= 2^20 and D <= 512";
    if (strided.checked_count(q) == null) return "q has too many elements";
    if (!problem.is_heads(out) or !simd.is_float(out.dtype) or !kernel.same_dims(out, q) or
        !rows.is_result(out)) return "out must be a f32 or bf16 result with the dims of q";
    if (!is_index(ins.operand(3), 1, q) or !is_index(ins.operand(4), 2, q))
        return "rows must be i32 [B] and slots i32 [B, T], contiguous";
    const s = Setup.of(ins);
    if (s.p.batches * s.p.heads * @max(s.tiles(), s.chunks()) > 1 << 31) return "too many tiles";
    const needed = if (s.p.steps == 1) s.p.batches * s.p.heads * s.chunks() * s.partial() else 0;
    const has: u64 = if (ins.has_workspace == 1) ins.workspace().count() else 0;
    if (has < needed) return "the workspace is too small";
    if (needed > 0 and @intFromPtr(ins.workspace().data) % 64 != 0)
        return "the workspace is not aligned";
    return null;
}

fn is_index(o: *const Operand, rank: u8, q: *const Operand) bool {
    return expect.dense_of(o, .i32) and o.rank == rank and
        std.mem.eql(u32, o.dims[0..rank], q.dims[0..rank]);
}

fn scratch(ins: *const kernel.Instruction) callconv(.c) u64 {
    const s = Setup.of(ins);
    var c = problem.Carver.measure();
    _ = Buffers.carve(&c, &s);
    return c.bytes;
}

fn run(t: *kernel.Thread, ins: *const kernel.Instruction) callconv(.c) void {
    const s = Setup.of(ins);
    var carver = problem.Carver.of(t);
    const b = Buffers.carve(&carver, &s);
    std.debug.assert(carver.bytes <= t.scratch_bytes);
    if (s.p.steps == 1) return decode(t, &s, &b);
    const tiles = s.tiles();
    while (t.claim(@intCast(s.p.batches * s.p.groups * tiles))) |index| {
        // Late tokens first: they see the most.
        const pair = index / tiles;
        const first = (tiles - 1 - index % tiles) * s.tokens;
        run_tile(t, &s, &b, .{
            .batch = pair / s.p.groups,
            .group = pair % s.p.groups,
            .first = first,
            .count = @min(s.tokens, s.p.steps - first),
        });
    }
}

const Tile = struct { batch: u64, group: u64, first: u64, count: u64 };

/// Which keys the rows of a tile see, in the order token, head; the row in the cache, or null if there is nothing to do.
fn prepare(t: *kernel.Thread, s: *const Setup, b: *const Buffers, tile: Tile) ?u64 {
    const p = &s.p;
    const count = tile.count * p.repeat;
    const padded = problem.padded_rows(count);
    for (0..tile.count) |i| {
        const keys = s.visible(t, tile.batch, tile.first + i);
        for (0..p.repeat) |r| b.visible[i * p.repeat + r] = keys;
    }
    for (count..padded) |i| b.visible[i] = b.visible[count - 1];
    for (0..padded / strip) |i| b.strips[i] = .of(b.visible[i * strip ..][0..strip]);
    return s.row(t, tile.batch);
}

fn pack_queries(s: *const Setup, b: *const Buffers, tile: Tile) void {
    const p = &s.p;
    for (0..tile.count) |i| for (0..p.repeat) |r| {
        const at = problem.Position{
            .batch = tile.batch,
            .step = tile.first + i,
            .head = tile.group * p.repeat + r,
        };
        pack_query(s.ins.operand(0), p, at, b.queries + (i * p.repeat + r) * p.padded);
    };
    const count = tile.count * p.repeat;
    block.zero(b.queries + count * p.padded, (problem.padded_rows(count) - count) * p.padded);
}

fn pack_query(o: *const Operand, p: *const problem.Problem, at: problem.Position, to: [*]f32) void {
    inline for (.{ abi.Dtype.f32, abi.Dtype.bf16 }) |dtype| inline for (.{ false, true }) |round| {
        if (o.dtype == dtype and p.bf16 == round) {
            const T = if (dtype == .f32) f32 else u16;
            const from = problem.row_of(T, o, at.batch, at.step, at.head);
            block.pack_rows(T, round, from, 0, 1, p.head_dim, p.query_scale(), to);
        }
    };
}

fn run_tile(t: *kernel.Thread, s: *const Setup, b: *const Buffers, tile: Tile) void {
    const p = &s.p;
    const count = tile.count * p.repeat;
    const row = prepare(t, s, b, tile) orelse return;
    pack_queries(s, b, tile);
    block.zero(b.total, count * p.padded);
    for (0..count) |i| {
        b.total_top[i] = -std.math.inf(f32);
        b.total_sum[i] = 0;
    }
    const seen = seen_by(b, count);
    var chunk: u64 = seen.start / chunk_keys;
    while (chunk * chunk_keys < seen.end) : (chunk += 1) {
        run_chunk(s, b, row, tile.group, count, chunk);
        for (0..count) |i| {
            var total = Share{
                .top = b.total_top[i],
                .sum = b.total_sum[i],
                .out = b.total + i * p.padded,
            };
            total.join(b.share(p.padded, i), p.padded);
            b.total_top[i] = total.top;
            b.total_sum[i] = total.sum;
        }
    }
    for (0..tile.count) |i| for (0..p.repeat) |r| {
        const at = i * p.repeat + r;
        const head = tile.group * p.repeat + r;
        finish(s, tile.batch, tile.first + i, head, b.total + at * p.padded, b.total_sum[at]);
    };
}

/// What any of the rows sees.
fn seen_by(b: *const Buffers, count: u64) problem.Keys {
    var seen = problem.Keys{ .start = std.math.maxInt(u32), .end = 0 };
    for (b.strips[0 .. problem.padded_rows(count) / strip]) |s| {
        seen.start = @min(seen.start, s.any.start);
        seen.end = @max(seen.end, s.any.end);
    }
    return seen;
}

/// Each row's share of one chunk of places, into out, highest and sums.
fn run_chunk(
    s: *const Setup,
    b: *const Buffers,
    row: u64,
    group: u64,
    count: u64,
    chunk: u64,
) void {
    const p = &s.p;
    const strips = problem.padded_rows(count) / strip;
    block.zero(b.out, strips * strip * p.padded);
    block.zero(b.sums, strips * strip * lanes);
    for (0..strips) |i| block.store(b.highest + i * lanes, @splat(-std.math.inf(f32)));
    const seen = seen_by(b, count);
    const start = @max(chunk * chunk_keys, seen.start / block.block_keys * block.block_keys);
    const end = @min((chunk + 1) * chunk_keys, seen.end);
    var first: u64 = start;
    while (first < end) : (first += block.block_keys) {
        const keys = @min(block.block_keys, end - first);
        const at = problem.Position{ .batch = row, .step = first, .head = group };
        problem.pack_keys(true, &s.keys, p, at, keys, b.keys);
        const values = dense_values(s, at) orelse copied: {
            problem.pack_keys(false, &s.values, p, at, keys, b.values);
            break :copied b.values;
        };
        for (0..strips) |i| {
            const span = b.strips[i].in_block(first, keys);
            if (span.is_empty()) continue;
            const work = Work{ .strip = i, .first = first, .span = span, .values = values };
            switch (count - i * strip) {
                1 => run_strip(1, p, b, work),
                2 => run_strip(2, p, b, work),
                3, 4 => run_strip(4, p, b, work),
                else => run_strip(strip, p, b, work),
            }
        }
    }
}

/// The values where they lie, if that is how packing would leave them.
fn dense_values(s: *const Setup, at: problem.Position) ?[*]const f32 {
    const p = &s.p;
    if (p.bf16 or s.values.dtype != .f32 or p.padded != p.head_dim) return null;
    const from = problem.row_of(f32, &s.values, at.batch, at.step, at.head);
    return if (@intFromPtr(from) % 64 == 0) from else null;
}

const Work = struct { strip: u64, first: u64, span: problem.Span, values: [*]const f32 };

fn run_strip(
    comptime height: u32,
    p: *const problem.Problem,
    b: *const Buffers,
    w: Work,
) void {
    const offset = @as(u64, w.span.start) * lanes;
    block.multiply_rows(height, .row, .set, .{
        .a = b.queries + w.strip * strip * p.padded,
        .a_stride = p.padded,
        .b = b.keys + offset,
        .b_stride = block.block_keys,
        .c = b.scores + offset,
        .c_stride = block.block_keys,
        .depth = p.head_dim,
        .columns = w.span.columns(),
    });
    problem.mask(b.scores, b.visible + w.strip * strip, b.strips[w.strip], w.first, w.span);
    var factor: [lanes]f32 align(64) = undefined;
    const row = weigh.Strip{
        .scores = b.scores + offset,
        .highest = b.highest + w.strip * lanes,
        .sums = b.sums + w.strip * strip * lanes,
        .factor = &factor,
    };
    const count = w.span.columns();
    if (p.bf16) {
        weigh.columns(height, true, row, count);
    } else weigh.columns(height, false, row, count);
    block.multiply_rows(height, .row, .scale, .{
        .a = b.scores + offset,
        .b = w.values + offset * p.padded,
        .b_stride = p.padded,
        .c = b.out + w.strip * strip * p.padded,
        .c_stride = p.padded,
        .depth = w.span.depth(),
        .columns = p.padded / lanes,
        .factor = &factor,
    });
}

/// One token a row: chunks apart, then the shares of each head together.
fn decode(t: *kernel.Thread, s: *const Setup, b: *const Buffers) void {
    const p = &s.p;
    const chunks = s.chunks();
    const partials: [*]f32 = @ptrCast(@alignCast(s.ins.workspace().data));
    while (t.claim(@intCast(p.batches * p.groups * chunks))) |index| {
        const pair = index / chunks;
        const chunk = index % chunks;
        const tile = Tile{
            .batch = pair / p.groups,
            .group = pair % p.groups,
            .first = 0,
            .count = 1,
        };
        const row = prepare(t, s, b, tile) orelse continue;
        const seen = b.visible[0];
        if (chunk < seen.start / chunk_keys or chunk * chunk_keys >= seen.end) continue;
        pack_queries(s, b, tile);
        run_chunk(s, b, row, tile.group, p.repeat, chunk);
        for (0..p.repeat) |r| {
            const head = tile.batch * p.heads + tile.group * p.repeat + r;
            const to = partials + (head * chunks + chunk) * s.partial();
            const share = b.share(p.padded, r);
            var i: u64 = 0;
            while (i < p.padded) : (i += lanes) block.store(to + i, block.load(share.out + i));
            to[p.padded] = share.top;
            to[p.padded + 1] = share.sum;
        }
    }
    t.barrier();
    while (t.claim(@intCast(p.batches * p.heads))) |head| join_head(t, s, b, partials, head);
}

fn join_head(
    t: *kernel.Thread,
    s: *const Setup,
    b: *const Buffers,
    partials: [*]f32,
    head: u64,
) void {
    const p = &s.p;
    const chunks = s.chunks();
    const seen = s.visible(t, head / p.heads, 0);
    var total = Share{ .top = -std.math.inf(f32), .sum = 0, .out = b.total };
    block.zero(b.total, p.padded);
    var chunk: u64 = seen.start / chunk_keys;
    while (chunk * chunk_keys < seen.end) : (chunk += 1) {
        const from = partials + (head * chunks + chunk) * s.partial();
        const share = Share{ .top = from[p.padded], .sum = from[p.padded + 1], .out = from };
        total.join(share, p.padded);
    }
    finish(s, head / p.heads, 0, head % p.heads, b.total, total.sum);
}

/// Writes one head of one token.
fn finish(s: *const Setup, batch: u64, step: u64, head: u64, sums: [*]const f32, total: f32) void {
    const out = s.ins.operand(5);
    const scale = if (total == 0) 0 else 1 / total;
    inline for (.{ abi.Dtype.f32, abi.Dtype.bf16 }) |dtype| if (out.dtype == dtype) {
        const T = if (dtype == .f32) f32 else u16;
        const to = problem.row_of(T, out, batch, step, head);
        var i: u64 = 0;
        while (i < s.p.head_dim) : (i += lanes)
            rows.store_at(T, to, i, s.p.head_dim, block.load(sums + i) * rows.splat(scale));
    };
}

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .attention_cached, .run = run, .check = check, .scratch = scratch },
};
