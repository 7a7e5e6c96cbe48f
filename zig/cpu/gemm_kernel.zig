//! The innermost loops of the matrix product: C[h, nv * lanes] (+)= A[h, k] B[k, nv * lanes], all
//! of C in registers. Every result is one chain of fused multiply-adds in the order of k, whatever
//! the tile's size, so tilings never change bits. `Packed` is f32, or u32 holding two bf16 of
//! adjacent k.
const std = @import("std");
const simd = @import("simd.zig");

const lanes = simd.lanes;
const F = simd.F;
/// The loop's own instructions count: a core shared with another job issues half as many.
const unroll = 6;

/// Vectors side by side in the widest panel of B, and the rows that fit the registers with them.
pub const vectors_max = if (simd.has_avx512) 4 else 2;
pub const height_max = if (simd.has_avx512) 8 else 6;

pub fn height_of(vectors: u32) u32 {
    return if (simd.has_avx512 and vectors == 4) 6 else height_max;
}

pub const Fetches = struct {
    const Rows = struct { data: [*]const f32, stride: usize };

    rows: [5]Rows = undefined,
    count: usize = 0,

    pub fn add(f: *Fetches, data: [*]const f32, stride: usize) void {
        f.rows[f.count] = .{ .data = data, .stride = stride };
        f.count += 1;
    }

    /// Moves on to the next rows.
    pub fn advance(f: *Fetches, height: usize) void {
        for (f.rows[0..f.count]) |*rows| rows.data += height * rows.stride;
    }
};

pub fn Args(comptime Packed: type) type {
    return struct {
        /// Steps of k (pairs for bf16).
        k: usize,
        /// Packed: element (i, p) at p * h + i. Direct: at i * a_stride + p.
        a: [*]const Packed,
        a_stride: usize,
        /// Element (p, j) at p * nv * lanes + j.
        b: [*]const Packed,
        /// Added to the product if present; may be `c_out`.
        c_in: ?[*]const f32,
        c_in_stride: usize,
        c_out: [*]f32,
        c_out_stride: usize,
        /// Rows, nv * lanes f32 each, that will be read or written at the end or after it: fetched
        /// one by one on the way, because at the end all would have to be waited for at once.
        fetch: Fetches,
        /// Memory that will be needed later: one line of it is fetched per `unroll` steps.
        ahead: [*]const u8,
        ahead_stride: usize,
    };
}

/// Lines that a call with these arguments fetches ahead; see `Kernel.run`.
pub fn lines_ahead(k: usize, height: usize, fetches: usize) usize {
    return k / unroll -| height * fetches;
}

pub fn Micro(comptime Packed: type) type {
    return *const fn (*const Args(Packed)) void;
}

/// `table[direct][vectors - 1][h - 1]`; null where the registers do not suffice.
pub fn Table(comptime Packed: type) type {
    return [2][vectors_max][height_max]?Micro(Packed);
}

pub const table_f32 = make_table(f32);
pub const table_pairs = make_table(u32);

pub fn table(comptime Packed: type) *const Table(Packed) {
    return if (Packed == f32) &table_f32 else &table_pairs;
}

fn make_table(comptime Packed: type) Table(Packed) {
    var all: Table(Packed) = @splat(@splat(@splat(null)));
    if (Packed == u32 and !simd.has_bf16) return all;
    for (0..vectors_max) |v| {
        for (0..height_of(v + 1)) |h| {
            all[0][v][h] = Kernel(Packed, h + 1, v + 1, false).run;
            if (Packed == f32) all[1][v][h] = Kernel(Packed, h + 1, v + 1, true).run;
        }
    }
    return all;
}

inline fn multiply_add(
    comptime Packed: type,
    a: @Vector(lanes, Packed),
    b: @Vector(lanes, Packed),
    c: F,
) F {
    if (Packed == f32) return @mulAdd(F, a, b, c);
    return asm ("vdpbf16ps %[b], %[a], %[c]"
        : [c] "=v" (-> F),
        : [a] "v" (a),
          [b] "v" (b),
          [_] "0" (c),
    );
}

fn Kernel(comptime Packed: type, comptime h: u32, comptime nv: u32, comptime direct: bool) type {
    return struct {
        const P = @Vector(lanes, Packed);
        const width = nv * lanes;
        const Accumulators = [h][nv]F;

        inline fn step(
            acc: *Accumulators,
            a: [*]const Packed,
            stride: usize,
            b: [*]const Packed,
        ) void {
            var bv: [nv]P = undefined;
            inline for (0..nv) |j| bv[j] = b[j * lanes ..][0..lanes].*;
            inline for (0..h) |i| {
                const av: P = @splat(if (direct) a[i * stride] else a[i]);
                inline for (0..nv) |j| acc[i][j] = multiply_add(Packed, av, bv[j], acc[i][j]);
            }
        }

        fn run(args: *const Args(Packed)) void {
            var acc: Accumulators = @splat(@splat(@splat(0)));
            var a = args.a;
            var b = args.b;
            const stride = args.a_stride;
            const a_step = if (direct) 1 else h;
            var left = args.k;
            var ahead = args.ahead;
            for (args.fetch.rows[0..args.fetch.count]) |rows| {
                var row = rows.data;
                for (0..@min(h, left / unroll)) |_| {
                    inline for (0..unroll) |u| step(&acc, a + u * a_step, stride, b + u * width);
                    inline for (0..nv) |j| @prefetch(row + j * lanes, .{});
                    row += rows.stride;
                    a += unroll * a_step;
                    b += unroll * width;
                    left -= unroll;
                }
            }
            while (left >= unroll) : (left -= unroll) {
                inline for (0..unroll) |u| step(&acc, a + u * a_step, stride, b + u * width);
                @prefetch(ahead, .{ .locality = 2 });
                ahead += args.ahead_stride;
                a += unroll * a_step;
                b += unroll * width;
            }
            while (left > 0) : (left -= 1) {
                step(&acc, a, stride, b);
                a += a_step;
                b += width;
            }
            if (args.c_in) |c_in| {
                inline for (0..h) |i| inline for (0..nv) |j| {
                    acc[i][j] += c_in[i * args.c_in_stride + j * lanes ..][0..lanes].*;
                };
            }
            inline for (0..h) |i| inline for (0..nv) |j| {
                args.c_out[i * args.c_out_stride + j * lanes ..][0..lanes].* = acc[i][j];
            };
        }
    };
}

test "every tile size agrees with a plain loop" {
    const k = 11;
    var a: [height_max * k]f32 = undefined;
    var b: [vectors_max * lanes * k]f32 = undefined;
    for (&a, 0..) |*x, i| x.* = @sin(@as(f32, @floatFromInt(i)));
    for (&b, 0..) |*x, i| x.* = @cos(@as(f32, @floatFromInt(i)) * 0.7);
    for (1..vectors_max + 1) |nv| for (1..height_of(@intCast(nv)) + 1) |h| for (0..2) |direct| {
        const width = nv * lanes;
        var c: [height_max * vectors_max * lanes]f32 = @splat(1);
        table_f32[direct][nv - 1][h - 1].?(&.{
            .k = k,
            .a = &a,
            .a_stride = k,
            .b = &b,
            .c_in = &c,
            .c_in_stride = width,
            .c_out = &c,
            .c_out_stride = width,
            .fetch = .{},
            .ahead = @ptrCast(&b),
            .ahead_stride = 0,
        });
        for (0..h) |i| for (0..width) |j| {
            var sum: f32 = 0;
            for (0..k) |p| {
                const x = if (direct == 1) a[i * k + p] else a[p * h + i];
                sum = @mulAdd(f32, x, b[p * width + j], sum);
            }
            try std.testing.expectEqual(sum + 1, c[i * width + j]);
        };
    };
}
