//! attention, forward: flash style. A tile is one key head and a chunk of positions for all query heads that share it;
//! keys and values are packed block by block into thread scratch, the running maximum is per row.
//! check: q f32|bf16 [B, T, H, D], k, v [B, T, G, D], G divides H, T <= 2^20, 1 <= D <= 512, D contiguous, other strides
//! free; document starts u32 [B, T], any strides; out f32|bf16 [B, T, H, D], D contiguous; lse f32 [B, H, T] contiguous.
//! A position that sees no key gives out 0 and lse -inf. Workspace: none. Private scratch: see `scratch` (below 1 MiB
//! for H/G <= 4 and D <= 128).
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const rows = @import("../cpu/rows.zig");
const simd = @import("../cpu/simd.zig");
const math = @import("../cpu/math.zig");
const block = @import("../cpu/attention_block.zig");
const problem = @import("../cpu/attention_problem.zig");
const weigh = @import("../cpu/attention_weigh.zig");

const F = block.F;
const lanes = block.lanes;
const strip = block.strip;
const Problem = problem.Problem;

/// Most and fewest rows (positions times heads of the group) of a tile: many pay for packing the keys, few share
/// the work of a small problem between many threads. A row's result does not depend on the tile it is in.
const rows_max = 384;
const rows_min = 48;

/// How positions are cut into chunks: whole strips.
const Chunks = struct {
    count: u64,
    size: u64,

    fn of(p: *const Problem, rows_wanted: u64) Chunks {
        const most = @max(strip, rows_wanted / p.repeat);
        const parts = std.math.divCeil(u64, p.steps, most) catch unreachable;
        const size = problem.padded_rows(std.math.divCeil(u64, p.steps, parts) catch unreachable);
        return .{ .count = std.math.divCeil(u64, p.steps, size) catch unreachable, .size = size };
    }

    fn for_threads(p: *const Problem, threads: u64) Chunks {
        var wanted: u64 = rows_max;
        while (true) : (wanted /= 2) {
            const chunks = Chunks.of(p, wanted);
            if (wanted == rows_min or chunks.count * p.batches * p.groups >= 4 * threads)
                return chunks;
        }
    }
};

const Buffers = struct {
    /// [heads of the group][positions of the chunk][padded]
    queries: block.Packed,
    out: block.Packed,
    /// [head_dim][block_keys]
    keys: block.Packed,
    /// [block_keys][padded]
    values: block.Packed,
    /// [strip][block_keys]
    scores: block.Packed,
    /// Per row: largest score so far (a vector per strip), and partial sums of the weights in a vector each.
    highest: block.Packed,
    sums: block.Packed,
    visible: [*]align(64) problem.Keys,
    strips: [*]align(64) problem.StripKeys,

    fn carve(c: *problem.Carver, p: *const Problem) Buffers {
        // Fewer rows wanted never make larger chunks.
        const size = Chunks.of(p, rows_max).size;
        const count = size * p.repeat;
        return .{
            .queries = c.take(f32, count * p.padded),
            .out = c.take(f32, count * p.padded),
            .keys = c.take(f32, p.head_dim * block.block_keys),
            .values = c.take(f32, block.block_keys * p.padded),
            .scores = c.take(f32, strip * block.block_keys),
            .highest = c.take(f32, count / strip * lanes),
            .sums = c.take(f32, count * lanes),
            .visible = c.take(problem.Keys, size),
            .strips = c.take(problem.StripKeys, size / strip),
        };
    }
};

fn check(ins: *const kernel.Instruction) callconv(.c) rows.Problem {
    if (!problem.check_words(ins))
        return "words must be causal, has_documents, window, scale, compute";
    const first_result = 3 + ins.word(1);
    if (!rows.has_operands(ins, first_result + 2))
        return "expected q, k, v, (document starts) -> out, lse";
    if (problem.check_inputs(ins, 3)) |reason| return reason;
    const q = ins.operand(0);
    const out = ins.operand(first_result);
    const lse = ins.operand(first_result + 1);
    if (!problem.is_heads(out) or !simd.is_float(out.dtype) or
        !kernel.same_dims(out, q) or !rows.is_result(out))
        return "out must be a f32 or bf16 result with the dims of q, D contiguous";
    if (!problem.is_lse(lse, q) or !rows.is_result(lse))
        return "lse must be a contiguous f32 [B, H, T] result";
    const p = Problem.of(ins, 3);
    if (p.batches * p.groups * Chunks.of(&p, rows_min).count > 1 << 31) return "too many tiles";
    return null;
}

fn scratch(ins: *const kernel.Instruction) callconv(.c) u64 {
    const p = Problem.of(ins, 3);
    var c = problem.Carver.measure();
    _ = Buffers.carve(&c, &p);
    return c.bytes;
}

const Tile = struct {
    batch: u64,
    group: u64,
    first: u64,
    count: u64,
    /// `count` in whole strips.
    padded: u64,
};

fn run(t: *kernel.Thread, ins: *const kernel.Instruction) callconv(.c) void {
    const p = Problem.of(ins, 3);
    var carver = problem.Carver.of(t);
    const buffers = Buffers.carve(&carver, &p);
    std.debug.assert(carver.bytes <= t.scratch_bytes);
    const chunks = Chunks.for_threads(&p, t.count);
    const pairs = p.batches * p.groups;
    while (t.claim(@intCast(chunks.count * pairs))) |index| {
        // Late positions first: with a causal mask they are the long ones. The chunks of a pair follow each other,
        // while its keys and values are in the cache.
        const chunk = chunks.count - 1 - index % chunks.count;
        const pair = index / chunks.count;
        const first = chunk * chunks.size;
        const count = @min(chunks.size, p.steps - first);
        run_tile(ins, &p, &buffers, .{
            .batch = pair / p.groups,
            .group = pair % p.groups,
            .first = first,
            .count = count,
            .padded = problem.padded_rows(count),
        });
    }
}

fn run_tile(ins: *const kernel.Instruction, p: *const Problem, b: *const Buffers, tile: Tile) void {
    problem.fill_keys(p, tile.batch, tile.first, tile.count, b.visible, b.strips);
    const strips = tile.padded / strip;
    for (0..p.repeat) |r| {
        const at = problem.Position{
            .batch = tile.batch,
            .step = tile.first,
            .head = tile.group * p.repeat + r,
        };
        const to = b.queries + r * tile.padded * p.padded;
        problem.pack_heads(ins.operand(0), p, at, tile.count, p.query_scale(), to);
    }
    const total = tile.padded * p.repeat;
    block.zero(b.out, total * p.padded);
    block.zero(b.sums, total * lanes);
    for (0..total / strip) |s| block.store(b.highest + s * lanes, @splat(-std.math.inf(f32)));

    var seen = problem.Keys{ .start = std.math.maxInt(u32), .end = 0 };
    for (b.strips[0..strips]) |s| {
        seen.start = @min(seen.start, s.any.start);
        seen.end = @max(seen.end, s.any.end);
    }
    var first: u64 = seen.start / block.block_keys * block.block_keys;
    while (first < seen.end) : (first += block.block_keys) {
        const count = @min(block.block_keys, p.steps - first);
        const at = problem.Position{ .batch = tile.batch, .step = first, .head = tile.group };
        problem.pack_keys(true, ins.operand(1), p, at, count, b.keys);
        problem.pack_keys(false, ins.operand(2), p, at, count, b.values);
        // The next block comes into the cache while this one is worked on.
        const next = first + block.block_keys;
        const more = if (next < seen.end) @min(block.block_keys, p.steps - next) else 0;
        const turns = p.repeat * strips;
        for (0..turns) |turn| {
            const from = more * turn / turns;
            const soon = problem.Position{
                .batch = tile.batch,
                .step = next + from,
                .head = tile.group,
            };
            problem.prefetch(ins.operand(1), soon, more * (turn + 1) / turns - from, .read);
            problem.prefetch(ins.operand(2), soon, more * (turn + 1) / turns - from, .read);
            const s = turn % strips;
            if (more == 0) prefetch_out(ins, p, tile, turn / strips, s);
            const span = b.strips[s].in_block(first, count);
            if (!span.is_empty()) run_strip(p, b, turn, s, first, span);
        }
    }
    for (0..p.repeat) |r| finish(ins, p, b, tile, r);
}

/// One strip against one key block: scores, weights relative to the new maximum, weighted sum of values.
fn run_strip(
    p: *const Problem,
    b: *const Buffers,
    row_strip: u64,
    position_strip: u64,
    first: u64,
    span: problem.Span,
) void {
    const offset = @as(u64, span.start) * lanes;
    block.multiply(.row, .set, .{
        .a = b.queries + row_strip * strip * p.padded,
        .a_stride = p.padded,
        .b = b.keys + offset,
        .b_stride = block.block_keys,
        .c = b.scores + offset,
        .c_stride = block.block_keys,
        .depth = p.head_dim,
        .columns = span.columns(),
    });
    problem.mask(
        b.scores,
        b.visible + position_strip * strip,
        b.strips[position_strip],
        first,
        span,
    );
    var factor: [lanes]f32 align(64) = undefined;
    const row = weigh.Strip{
        .scores = b.scores + offset,
        .highest = b.highest + row_strip * lanes,
        .sums = b.sums + row_strip * strip * lanes,
        .factor = &factor,
    };
    const count = span.columns();
    if (p.bf16) weigh.columns(strip, true, row, count) else weigh.columns(strip, false, row, count);
    block.multiply(.row, .scale, .{
        .a = b.scores + offset,
        .b = b.values + offset * p.padded,
        .b_stride = p.padded,
        .c = b.out + row_strip * strip * p.padded,
        .c_stride = p.padded,
        .depth = span.depth(),
        .columns = p.padded / lanes,
        .factor = &factor,
    });
}

/// Asks for the rows of a strip that `finish` will write.
fn prefetch_out(
    ins: *const kernel.Instruction,
    p: *const Problem,
    tile: Tile,
    r: u64,
    s: u64,
) void {
    const count = @min(strip, tile.count - s * strip);
    const step = tile.first + s * strip;
    const at = problem.Position{
        .batch = tile.batch,
        .step = step,
        .head = tile.group * p.repeat + r,
    };
    problem.prefetch(ins.operand(3 + ins.word(1)), at, count, .write);
}

/// Divides by the sums and writes out and lse of one head.
fn finish(
    ins: *const kernel.Instruction,
    p: *const Problem,
    b: *const Buffers,
    tile: Tile,
    r: u64,
) void {
    const out = ins.operand(3 + ins.word(1));
    const head = tile.group * p.repeat + r;
    const lse_row = (tile.batch * p.heads + head) * p.steps + tile.first;
    const lse = ins.operand(4 + ins.word(1)).ptr(f32) + lse_row;
    var row: u64 = 0;
    while (row < tile.count) : (row += strip) {
        const at = r * tile.padded + row;
        var totals: [lanes]f32 align(64) = @splat(0);
        for (0..strip) |i| totals[i] = rows.sum(block.load(b.sums + (at + i) * lanes));
        const total = block.load(&totals);
        const highest = block.load(b.highest + at / strip * lanes);
        const logs: [lanes]f32 = @mulAdd(F, highest, @splat(problem.ln2), math.log(total));
        const empty = total == rows.splat(0);
        const zero = rows.splat(0);
        const inverse: [lanes]f32 = @select(f32, empty, zero, rows.splat(1) / total);
        for (0..@min(strip, tile.count - row)) |i| {
            lse[row + i] = logs[i];
            const from = b.out + (at + i) * p.padded;
            const step = tile.first + row + i;
            switch (out.dtype) {
                .f32 => write_row(f32, from, inverse[i], out, tile.batch, step, head),
                else => write_row(u16, from, inverse[i], out, tile.batch, step, head),
            }
        }
    }
}

fn write_row(
    comptime T: type,
    from: [*]const f32,
    scale: f32,
    out: *const abi.Operand,
    batch: u64,
    step: u64,
    head: u64,
) void {
    const to = problem.row_of(T, out, batch, step, head);
    const size = out.dims[3];
    var i: u64 = 0;
    while (i < size) : (i += lanes)
        rows.store_at(T, to, i, size, block.load(from + i) * rows.splat(scale));
}

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .attention, .run = run, .check = check, .scratch = scratch },
};
