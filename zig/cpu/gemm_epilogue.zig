//! What happens to a finished tile of the product on its way to memory:
//! out = cast(act(alpha * product + bias) * act'(aux) + residual), without the steps that are not
//! asked for. Vectorised along a row, the last vector of a row by parts.
const std = @import("std");
const abi = @import("../abi.zig");
const Fetches = @import("gemm_kernel.zig").Fetches;
const math = @import("math.zig");
const simd = @import("simd.zig");

const lanes = simd.lanes;
const F = simd.F;

/// Where results go, for one [M, N] of the batch. Strides in elements; columns are adjacent.
pub const Output = struct {
    data: [*]u8,
    dtype: abi.Dtype = .f32,
    stride: usize,
    alpha: f32 = 1,
    bias: ?[*]const f32 = null,
    /// Applied to the product, or, with `aux_in`, its derivative at aux_in is multiplied in.
    activation: abi.Activation = .none,
    aux_in: ?[*]const f32 = null,
    /// Takes the value before the activation.
    aux_out: ?[*]f32 = null,
    aux_stride: usize = 0,
    /// May be `data`.
    residual: ?[*]const u8 = null,
    residual_dtype: abi.Dtype = .f32,
    residual_stride: usize = 0,

    /// The micro-kernel may store (and add the residual) by itself.
    pub fn is_plain(o: *const Output) bool {
        return o.dtype == .f32 and o.alpha == 1 and o.bias == null and o.activation == .none and
            o.aux_out == null and (o.residual == null or o.residual_dtype == .f32);
    }

    pub fn at_f32(o: *const Output, row: usize, column: usize) [*]f32 {
        std.debug.assert(o.dtype == .f32);
        return @as([*]f32, @ptrCast(@alignCast(o.data))) + row * o.stride + column;
    }

    pub fn residual_f32(o: *const Output, row: usize, column: usize) ?[*]const f32 {
        const data = o.residual orelse return null;
        std.debug.assert(o.residual_dtype == .f32);
        const base: [*]const f32 = @ptrCast(@alignCast(data));
        return base + row * o.residual_stride + column;
    }

    /// What finishing a tile at this place will read and write.
    pub fn fetches(o: *const Output, list: *Fetches, row: usize, column: usize) void {
        if (o.dtype == .f32) list.add(o.at_f32(row, column), o.stride);
        const aux = row * o.aux_stride + column;
        if (o.aux_in) |p| list.add(p + aux, o.aux_stride);
        if (o.aux_out) |p| list.add(p + aux, o.aux_stride);
        if (o.residual_dtype != .f32) return;
        if (o.residual_f32(row, column)) |p| {
            if (o.residual != @as(?[*]const u8, o.data)) list.add(p, o.residual_stride);
        }
    }

    /// The same output from batch element `index` on.
    pub fn batch(o: Output, index: usize, out: usize, aux: usize, residual: usize) Output {
        var moved = o;
        moved.data += index * out * abi.dtype_bytes(o.dtype);
        if (o.aux_in) |p| moved.aux_in = p + index * aux;
        if (o.aux_out) |p| moved.aux_out = p + index * aux;
        if (o.residual) |p|
            moved.residual = p + index * residual * abi.dtype_bytes(o.residual_dtype);
        return moved;
    }
};

/// Finishes rows [row, row + height) and columns [column, column + width) from `product`.
pub noinline fn finish(
    o: *const Output,
    product: [*]const f32,
    product_stride: usize,
    row: usize,
    column: usize,
    height: usize,
    width: usize,
) void {
    std.debug.assert(height > 0 and width > 0);
    switch (o.activation) {
        inline else => |activation| {
            const Tile = Finisher(activation);
            for (0..height) |i| {
                const from = product + i * product_stride;
                var j: usize = 0;
                while (j + lanes <= width) : (j += lanes)
                    Tile.vector(o, from + j, row + i, column + j, lanes);
                if (j < width) Tile.vector(o, from + j, row + i, column + j, width - j);
            }
        },
    }
}

fn Finisher(comptime activation: abi.Activation) type {
    return struct {
        inline fn vector(
            o: *const Output,
            product: [*]const f32,
            row: usize,
            column: usize,
            n: usize,
        ) void {
            // `product` is a padded tile: a whole vector may be read.
            var x = @as(F, product[0..lanes].*) * @as(F, @splat(o.alpha));
            if (o.bias) |bias| x += load(f32, bias + column, n);
            const aux_at = row * o.aux_stride + column;
            if (o.aux_out) |aux| store(f32, aux + aux_at, x, n);
            if (o.aux_in) |aux| {
                x *= derivative(load(f32, aux + aux_at, n));
            } else x = apply(x);
            if (o.residual) |residual| {
                const at = row * o.residual_stride + column;
                x += switch (o.residual_dtype) {
                    .f32 => load(f32, cast(f32, residual) + at, n),
                    else => load(u16, cast(u16, residual) + at, n),
                };
            }
            const at = row * o.stride + column;
            switch (o.dtype) {
                .f32 => store(f32, @constCast(cast(f32, o.data)) + at, x, n),
                else => store(u16, @constCast(cast(u16, o.data)) + at, x, n),
            }
        }

        inline fn apply(x: F) F {
            return switch (activation) {
                .none => x,
                .gelu_tanh => math.gelu_tanh(x),
                .gelu_erf => math.gelu_erf(x),
                .silu => math.silu(x),
            };
        }

        inline fn derivative(x: F) F {
            return switch (activation) {
                .none => @splat(1),
                .gelu_tanh => math.gelu_tanh_grad(x),
                .gelu_erf => math.gelu_erf_grad(x),
                .silu => math.silu_grad(x),
            };
        }
    };
}

inline fn cast(comptime T: type, p: [*]const u8) [*]const T {
    return @ptrCast(@alignCast(p));
}

inline fn load(comptime T: type, p: [*]const T, n: usize) F {
    if (n == lanes) return simd.load(T, p);
    return simd.load(T, &part(T, p, n));
}

inline fn store(comptime T: type, p: [*]T, x: F, n: usize) void {
    if (n == lanes) return simd.store(T, p, x);
    var whole: [lanes]T = undefined;
    simd.store(T, &whole, x);
    copy_part(T, p, &whole, n);
}

fn part(comptime T: type, p: [*]const T, n: usize) [lanes]T {
    var whole: [lanes]T = @splat(0);
    copy_part(T, &whole, p, n);
    return whole;
}

/// Copies n < lanes elements by halves: 8, 4, 2, 1.
inline fn copy_part(comptime T: type, to: [*]T, from: [*]const T, n: usize) void {
    std.debug.assert(n < lanes);
    var done: usize = 0;
    comptime var size = lanes / 2;
    inline while (size > 0) : (size /= 2) {
        if (n & size != 0) {
            to[done..][0..size].* = from[done..][0..size].*;
            done += size;
        }
    }
}
