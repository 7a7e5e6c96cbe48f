//! What forward and backward attention share: the checked shape, which keys a position sees, packed queries.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("kernel.zig");
const simd = @import("simd.zig");
const strided = @import("strided.zig");
const block = @import("attention_block.zig");

const Operand = abi.Operand;
const Instruction = abi.Instruction;

pub const head_dim_max = 512;
pub const steps_max = 1 << 20;
const log2e: f32 = std.math.log2e;
pub const ln2: f32 = std.math.ln2;

/// Positions per strip, and a range of positions rounded up to whole strips.
pub fn padded_rows(count: u64) u64 {
    return (count + block.strip - 1) / block.strip * block.strip;
}

pub const Problem = struct {
    batches: u64,
    steps: u64,
    heads: u64,
    groups: u64,
    /// Query heads that share one key and value head.
    repeat: u64,
    head_dim: u64,
    /// head_dim rounded up to whole vectors: row length of packed buffers.
    padded: u64,
    causal: bool,
    window: u64,
    /// Of the scores.
    scale: f32,
    bf16: bool,
    documents: ?*const Operand,

    /// Reads the words and the shapes of q and k; `documents` is the operand's index when words[1] is 1.
    pub fn of(ins: *const Instruction, documents: u32) Problem {
        const q = ins.operand(0);
        const k = ins.operand(1);
        return .{
            .batches = q.dims[0],
            .steps = q.dims[1],
            .heads = q.dims[2],
            .groups = k.dims[2],
            .repeat = q.dims[2] / k.dims[2],
            .head_dim = q.dims[3],
            .padded = std.mem.alignForward(u64, q.dims[3], block.lanes),
            .causal = ins.word(0) == 1,
            .window = ins.word(2),
            .scale = ins.float(3),
            .bf16 = ins.word(4) == 1,
            .documents = if (ins.word(1) == 1) ins.operand(documents) else null,
        };
    }

    /// Factor of packed queries: scores come out in units of log2, so that exp2 makes weights of them.
    pub fn query_scale(p: *const Problem) f32 {
        return p.scale * log2e;
    }

    /// Half-open range of keys that a position sees; empty when start >= end.
    pub fn visible(p: *const Problem, batch: u64, position: u64) Keys {
        const end = if (p.causal) position + 1 else p.steps;
        var start: u64 = 0;
        if (p.window != 0 and position + 1 > p.window) start = position + 1 - p.window;
        if (p.documents) |o| {
            const at = batch * o.strides[0] + position * o.strides[1];
            const first = @as(*const volatile u32, &o.ptr(u32)[at]).*;
            start = @max(start, first);
        }
        return if (start < end)
            .{ .start = @intCast(start), .end = @intCast(end) }
        else
            .{ .start = 0, .end = 0 };
    }
};

pub const Keys = struct { start: u32, end: u32 };

/// Over the rows of a strip: what any of them sees, and what all of them see.
pub const StripKeys = struct {
    any: Keys,
    all: Keys,

    pub fn of(keys: []const Keys) StripKeys {
        std.debug.assert(keys.len == block.strip);
        var any = Keys{ .start = std.math.maxInt(u32), .end = 0 };
        var all = Keys{ .start = 0, .end = std.math.maxInt(u32) };
        for (keys) |k| {
            if (k.start < k.end) {
                any.start = @min(any.start, k.start);
                any.end = @max(any.end, k.end);
            }
            all.start = @max(all.start, k.start);
            all.end = @min(all.end, k.end);
        }
        return .{ .any = any, .all = all };
    }

    /// The part of the key block [first, first + count) that the strip needs, in whole vectors of the block.
    pub fn in_block(s: StripKeys, first: u64, count: u64) Span {
        const start = @max(s.any.start, first);
        const end = @min(s.any.end, first + count);
        if (start >= end) return .{ .start = 0, .end = 0, .keys = 0 };
        return .{
            .start = @intCast((start - first) / block.lanes),
            .end = @intCast((end - first + block.lanes - 1) / block.lanes),
            .keys = @intCast(end - first),
        };
    }
};

/// Vectors [start, end) of a key block; its first `keys` keys are in the sequence and seen by someone.
pub const Span = struct {
    start: u32,
    end: u32,
    keys: u32,

    pub fn is_empty(s: Span) bool {
        return s.start == s.end;
    }
    pub fn columns(s: Span) u64 {
        return s.end - s.start;
    }
    /// Keys to sum over, from the first of the span on.
    pub fn depth(s: Span) u64 {
        return s.keys - s.start * block.lanes;
    }
};

/// Puts -inf where a row of a strip does not see a key; `first` is the block's first key.
pub fn mask(scores: [*]f32, keys: [*]const Keys, strip: StripKeys, first: u64, span: Span) void {
    for (span.start..span.end) |column| {
        const key = first + column * block.lanes;
        if (strip.all.start <= key and strip.all.end >= key + block.lanes) continue;
        const at = std.simd.iota(i32, block.lanes) + @as(simd.I, @splat(@intCast(key)));
        inline for (0..block.strip) |i| {
            const start: simd.I = @splat(@intCast(keys[i].start));
            const end: simd.I = @splat(@intCast(keys[i].end));
            const low: block.F = @splat(-std.math.inf(f32));
            const to = scores + i * block.block_keys + column * block.lanes;
            const seen = @select(f32, at >= start, block.load(to), low);
            block.store(to, @select(f32, at < end, seen, low));
        }
    }
}

/// Keys of `count` positions from `first`; the rows that pad the last strip see what the last position sees.
pub fn fill_keys(
    p: *const Problem,
    batch: u64,
    first: u64,
    count: u64,
    keys: [*]Keys,
    strips: [*]StripKeys,
) void {
    const padded = padded_rows(count);
    for (0..padded) |i| keys[i] = if (i < count) p.visible(batch, first + i) else keys[count - 1];
    for (0..padded / block.strip) |i| strips[i] = .of(keys[i * block.strip ..][0..block.strip]);
}

/// A row of a [B, T, H, D] operand.
pub inline fn row_of(comptime T: type, o: *const Operand, batch: u64, step: u64, head: u64) [*]T {
    return o.ptr(T) + batch * o.strides[0] + step * o.strides[1] + head * o.strides[2];
}

/// Packs `count` rows from position `first` of one head, times `scale`; the rows that pad the last strip are 0.
pub fn pack_heads(
    o: *const Operand,
    p: *const Problem,
    at: Position,
    count: u64,
    scale: f32,
    to: [*]f32,
) void {
    inline for (.{ abi.Dtype.f32, abi.Dtype.bf16 }) |dtype| inline for (.{ false, true }) |round| {
        if (o.dtype == dtype and p.bf16 == round) {
            const T = if (dtype == .f32) f32 else u16;
            const from = row_of(T, o, at.batch, at.step, at.head);
            block.pack_rows(T, round, from, o.strides[1], count, p.head_dim, scale, to);
        }
    };
    block.zero(to + count * p.padded, (padded_rows(count) - count) * p.padded);
}

/// Packs `count` rows as they are (`rows`) or transposed (`columns`).
pub fn pack_keys(
    comptime transposed: bool,
    o: *const Operand,
    p: *const Problem,
    at: Position,
    count: u64,
    to: block.Packed,
) void {
    inline for (.{ abi.Dtype.f32, abi.Dtype.bf16 }) |dtype| inline for (.{ false, true }) |round| {
        if (o.dtype == dtype and p.bf16 == round) {
            const T = if (dtype == .f32) f32 else u16;
            const from = row_of(T, o, at.batch, at.step, at.head);
            if (transposed) {
                block.pack_columns(T, round, from, o.strides[1], count, p.head_dim, to);
            } else block.pack_rows(T, round, from, o.strides[1], count, p.head_dim, 1, to);
        }
    };
}

/// Asks for `count` rows from position `at` on.
pub fn prefetch(o: *const Operand, at: Position, count: u64, comptime rw: block.Access) void {
    for (0..count) |i| switch (o.dtype) {
        .f32 => block.prefetch_row(
            f32,
            row_of(f32, o, at.batch, at.step + i, at.head),
            o.dims[3],
            rw,
        ),
        else => block.prefetch_row(
            u16,
            row_of(u16, o, at.batch, at.step + i, at.head),
            o.dims[3],
            rw,
        ),
    };
}

pub const Position = struct { batch: u64, step: u64, head: u64 };

/// Hands out aligned pieces of a thread's scratch; over a null base it only counts.
pub const Carver = struct {
    base: usize,
    bytes: u64 = 0,

    /// For `scratch`: the pointers it gives are not to be used.
    pub fn measure() Carver {
        return .{ .base = 64 };
    }

    pub fn of(t: *kernel.Thread) Carver {
        return .{ .base = @intFromPtr(t.scratch) };
    }

    pub fn take(c: *Carver, comptime T: type, n: u64) [*]align(64) T {
        const at = c.bytes;
        c.bytes = std.mem.alignForward(u64, at + n * @sizeOf(T), 64);
        return @ptrFromInt(c.base + at);
    }
};

/// Checks words and the operands that both directions have: q, k, v and documents.
pub fn check_inputs(ins: *const Instruction, documents: u32) ?[*:0]const u8 {
    const q = ins.operand(0);
    const k = ins.operand(1);
    const v = ins.operand(2);
    for ([_]*const Operand{ q, k, v }) |o| {
        if (!is_heads(o) or !simd.is_float(o.dtype))
            return "q, k, v must be f32 or bf16 [B, T, heads, D], D contiguous";
    }
    if (q.dims[1] > steps_max or q.dims[3] > head_dim_max) return "expected T <= 2^20 and D <= 512";
    if (strided.checked_count(q) == null) return "q has too many elements";
    if (!kernel.same_dims(k, v)) return "k and v must have the same dims";
    for ([_]u32{ 0, 1, 3 }) |d| {
        if (q.dims[d] != k.dims[d]) return "q and k must agree in B, T and D";
    }
    if (q.dims[2] % k.dims[2] != 0) return "the heads of q must be a multiple of those of k";
    if (ins.word(1) == 1) {
        const o = ins.operand(documents);
        if (o.dtype != .u32 or o.rank != 2 or o.dims[0] != q.dims[0] or o.dims[1] != q.dims[1])
            return "document starts must be u32 [B, T]";
    }
    return null;
}

pub fn check_words(ins: *const Instruction) bool {
    return ins.word_count == 5 and ins.word(0) <= 1 and ins.word(1) <= 1 and ins.word(4) <= 1;
}

/// [B, T, heads, D] without empty dims and with D contiguous.
pub fn is_heads(o: *const Operand) bool {
    if (o.rank != 4) return false;
    for (o.dims[0..4]) |d| if (d == 0) return false;
    return o.dims[3] == 1 or o.strides[3] == 1;
}

/// f32 [B, H, T], contiguous.
pub fn is_lse(o: *const Operand, q: *const Operand) bool {
    return o.dtype == .f32 and o.rank == 3 and strided.is_dense(o) and
        o.dims[0] == q.dims[0] and o.dims[1] == q.dims[2] and o.dims[2] == q.dims[1];
}
