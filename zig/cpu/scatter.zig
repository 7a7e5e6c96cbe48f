//! Adds rows into a table by index, in the order of the indices, for scatter_add and embedding_grad. A tile owns the
//! table rows of one residue (frequent ids are neighbours, so residues share them out) and one stripe of columns: no
//! element is touched by two threads and the order of additions is fixed.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("kernel.zig");
const simd = @import("simd.zig");
const strided = @import("strided.zig");

const lanes = simd.lanes;
const residues = 32;
const stripe_columns = 256;
const copy_elements = 65536;

pub const Scatter = struct {
    ins: *const abi.Instruction,
    ids: *const abi.Operand,
    updates: [*]const f32,
    /// Null: the table starts as zeros.
    base: ?[*]const f32,
    out: [*]f32,
    rows: u64,
    columns: u64,

    /// All operands are checked. Needs a barrier afterwards.
    pub fn run(s: *const Scatter, t: *kernel.Thread) void {
        s.start(t);
        t.barrier();
        if (s.columns == 0) return;
        const stripes: u32 = @intCast((s.columns + stripe_columns - 1) / stripe_columns);
        while (t.claim(residues * stripes + 1)) |tile| {
            if (tile == 0) {
                s.report(t);
            } else {
                s.add_tile((tile - 1) / stripes, (tile - 1) % stripes);
            }
        }
    }

    fn start(s: *const Scatter, t: *kernel.Thread) void {
        if (s.base == s.out) return;
        const count = s.rows * s.columns;
        const tiles = strided.tile_count(count, copy_elements);
        while (t.claim(tiles)) |tile| {
            const from = @as(u64, tile) * copy_elements;
            const to = @min(count, from + copy_elements);
            if (s.base) |base|
                @memmove(s.out[from..to], base[from..to])
            else
                @memset(s.out[from..to], 0);
        }
    }

    /// First index that is too large as u32; a negative i32 always is.
    fn limit(s: *const Scatter) u32 {
        const signed_max = 1 << 31;
        return @intCast(if (s.ids.dtype == .i32) @min(s.rows, signed_max) else s.rows);
    }

    /// One tile looks at all indices, so that the failure reported does not depend on threads.
    fn report(s: *const Scatter, t: *kernel.Thread) void {
        const ids = s.ids.ptr(u32);
        for (0..s.ids.count()) |k| {
            const id = ids[k];
            if (id < s.limit()) continue;
            const value: i64 = if (s.ids.dtype == .i32) @as(i32, @bitCast(id)) else id;
            return t.fail(s.ins, .index_out_of_range, k, value);
        }
    }

    fn add_tile(s: *const Scatter, residue: u32, stripe: u64) void {
        const column = stripe * stripe_columns;
        const width = @min(stripe_columns, s.columns - column);
        const ids = s.ids.ptr(u32);
        const n = s.ids.count();
        const bound: simd.U = @splat(s.limit());
        const mask: simd.U = @splat(residues - 1);
        const wanted: simd.U = @splat(residue);
        var k: u64 = 0;
        while (k < n) : (k += lanes) {
            var loaded: [lanes]u32 = @splat(std.math.maxInt(u32));
            const part = @min(lanes, n - k);
            if (part == lanes) {
                loaded = ids[k..][0..lanes].*;
            } else {
                @memcpy(loaded[0..part], ids[k..n]);
            }
            const here: simd.U = loaded;
            // `&` of vectors of bool is not defined; both conditions as one integer mask.
            var mine: std.meta.Int(.unsigned, lanes) = @bitCast((here & mask) == wanted);
            mine &= @bitCast(here < bound);
            while (mine != 0) : (mine &= mine - 1) {
                const lane = @ctz(mine);
                const to = s.out + @as(u64, loaded[lane]) * s.columns + column;
                add_row(to, s.updates + (k + lane) * s.columns + column, width);
            }
        }
    }
};

inline fn add_row(to: [*]f32, from: [*]const f32, n: u64) void {
    var i: u64 = 0;
    while (i + lanes <= n) : (i += lanes)
        simd.store(f32, to + i, simd.load(f32, to + i) + simd.load(f32, from + i));
    while (i < n) : (i += 1) to[i] += from[i];
}
