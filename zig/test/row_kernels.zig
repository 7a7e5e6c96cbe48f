//! Norms, softmax, cross-entropy and rope against f64 formulas, for many shapes, dtypes and flags, with equal bits
//! for 1, 2 and 3 threads.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const rows = @import("../cpu/rows.zig");
const simd = @import("../cpu/simd.zig");
const team = @import("../cpu/test_team.zig");
const layer_norm = @import("../kernels/layer_norm.zig").kernels[0];
const layer_norm_grad = @import("../kernels/layer_norm_grad.zig").kernels[0];
const rms_norm = @import("../kernels/rms_norm.zig").kernels[0];
const rms_norm_grad = @import("../kernels/rms_norm_grad.zig").kernels[0];
const softmax = @import("../kernels/softmax.zig").kernels[0];
const softmax_grad = @import("../kernels/softmax_grad.zig").kernels[0];
const cross_entropy = @import("../kernels/cross_entropy.zig").kernels[0];
const cross_entropy_grad = @import("../kernels/cross_entropy_grad.zig").kernels[0];

const expect = std.testing.expect;
const allocator = team.allocator;

/// A contiguous tensor with its values in f64 and its storage in f32 or bf16.
const Tensor = struct {
    dims: [2]u32,
    dtype: abi.Dtype,
    bytes: []align(64) u8,

    fn init(m: u32, c: u32, dtype: abi.Dtype) !Tensor {
        const bytes = try allocator.alignedAlloc(u8, .@"64", @max(64, @as(u64, m) * c * 4));
        @memset(bytes, 0xff);
        return .{ .dims = .{ m, c }, .dtype = dtype, .bytes = bytes };
    }

    fn random(m: u32, c: u32, dtype: abi.Dtype, rng: std.Random, scale: f32) !Tensor {
        const x = try init(m, c, dtype);
        for (0..m * c) |i| x.set(i, rng.floatNorm(f32) * scale);
        return x;
    }

    fn set(x: Tensor, i: usize, value: f32) void {
        if (x.dtype == .bf16) {
            std.mem.bytesAsSlice(u16, x.bytes)[i] = simd.bf16_from_f32(value);
        } else std.mem.bytesAsSlice(f32, x.bytes)[i] = value;
    }

    fn get(x: Tensor, i: usize) f64 {
        if (x.dtype == .bf16) return simd.f32_from_bf16(std.mem.bytesAsSlice(u16, x.bytes)[i]);
        return std.mem.bytesAsSlice(f32, x.bytes)[i];
    }

    fn operand(x: Tensor) abi.Operand {
        return team.contiguous(x.bytes, x.dtype, &x.dims);
    }

    fn result(x: Tensor) abi.Operand {
        return team.output(x.operand());
    }

    fn vector(x: Tensor) abi.Operand {
        return team.contiguous(x.bytes, x.dtype, &.{x.dims[0] * x.dims[1]});
    }

    fn count(x: Tensor) usize {
        return @as(usize, x.dims[0]) * x.dims[1];
    }

    /// ||x - exact|| / ||exact|| (+ tiny) must stay below the limit.
    fn expect_close(x: Tensor, exact: []const f64, limit: f64) !void {
        var difference: f64 = 0;
        var norm: f64 = 1e-12;
        for (exact, 0..) |e, i| {
            const d = x.get(i) - e;
            difference += d * d;
            norm += e * e;
        }
        const relative = @sqrt(difference / norm);
        if (!(relative <= limit)) {
            std.debug.print("relative error {e} above {e}\n", .{ relative, limit });
            return error.TooFar;
        }
    }
};

/// Runs on 3, 2 and 1 threads and compares all result bytes; the results of the run on 1 thread stay.
fn run_all(
    k: kernel.Kernel,
    operands: []const abi.Operand,
    words: []const u32,
    workspace: bool,
) !kernel.Team {
    const ins = team.instruction(k.opcode, operands, words, workspace);
    var first: std.ArrayList(u8) = .empty;
    var last: kernel.Team = .{};
    for ([_]u32{ 3, 2, 1 }) |threads| {
        last = try team.run(k, &ins, threads);
        var bytes: std.ArrayList(u8) = .empty;
        const results = operands[0 .. operands.len - @intFromBool(workspace)];
        for (results) |o| {
            if (o.output == 1)
                try bytes.appendSlice(allocator, o.data[0 .. o.count() * abi.dtype_bytes(o.dtype)]);
        }
        if (threads == 3) first = bytes;
        try std.testing.expectEqualSlices(u8, first.items, bytes.items);
    }
    return last;
}

const shapes = [_][2]u32{
    .{ 1, 1 },    .{ 3, 5 },   .{ 33, 16 },  .{ 64, 64 },   .{ 100, 20 },
    .{ 70, 300 }, .{ 5, 768 }, .{ 2, 5003 }, .{ 40, 1536 },
};
const flags = [_]u32{ 0, 1 };
const float_dtypes = [_]abi.Dtype{ .f32, .bf16 };

fn tolerance(dtype: abi.Dtype) f64 {
    return if (dtype == .bf16) 4e-3 else 1e-6;
}

const Norm = struct { mean: f64, rstd: f64 };

fn exact_norm(x: Tensor, row: usize, centered: bool, eps: f64) Norm {
    const c = x.dims[1];
    const n: f64 = @floatFromInt(c);
    var mean: f64 = 0;
    if (centered) for (0..c) |i| {
        mean += x.get(row * c + i) / n;
    };
    var variance: f64 = 0;
    for (0..c) |i| variance += (x.get(row * c + i) - mean) * (x.get(row * c + i) - mean) / n;
    return .{ .mean = mean, .rstd = 1.0 / @sqrt(variance + eps) };
}

const Kind = enum { rms, without_bias, with_bias };

fn check_norm(kind: Kind, shape: [2]u32, from: abi.Dtype, to: abi.Dtype, rng: std.Random) !void {
    const m, const c = shape;
    const x = try Tensor.random(m, c, from, rng, 2);
    for (0..x.count()) |i| x.set(i, @floatCast(x.get(i) + 3));
    const weight = try Tensor.random(1, c, .f32, rng, 1);
    const bias = try Tensor.random(1, c, .f32, rng, 1);
    const y = try Tensor.init(m, c, to);
    const mean = try Tensor.init(1, m, .f32);
    const rstd = try Tensor.init(1, m, .f32);
    const eps = 1e-5;
    const k = if (kind == .rms) rms_norm else layer_norm;
    const all = [_]abi.Operand{
        x.operand(),
        weight.vector(),
        bias.vector(),
        y.result(),
        mean.result(),
        rstd.result(),
    };
    const words = [_]u32{ team.word(eps), @intFromBool(kind == .with_bias) };
    _ = switch (kind) {
        .rms => try run_all(k, &.{ all[0], all[1], all[3], all[5] }, words[0..1], false),
        .without_bias => try run_all(
            k,
            &.{ all[0], all[1], all[3], all[4], all[5] },
            &words,
            false,
        ),
        .with_bias => try run_all(k, &all, &words, false),
    };
    const exact = try allocator.alloc(f64, x.count());
    for (0..m) |row| {
        const norm = exact_norm(x, row, kind != .rms, @as(f32, eps));
        try std.testing.expectApproxEqRel(norm.rstd, rstd.get(row), 1e-6);
        if (kind != .rms) try std.testing.expectApproxEqAbs(norm.mean, mean.get(row), 3e-6);
        for (0..c) |i| {
            const shift = if (kind == .with_bias) bias.get(i) else 0;
            const normal = (x.get(row * c + i) - norm.mean) * norm.rstd;
            exact[row * c + i] = normal * weight.get(i) + shift;
        }
    }
    // One column: x - mean is pure rounding, divided by sqrt(eps).
    if (c > 1) try y.expect_close(exact, tolerance(to));
}

test "layer_norm and rms_norm forward" {
    var prng = std.Random.DefaultPrng.init(1);
    const rng = prng.random();
    for (shapes) |shape| for (float_dtypes) |from| for (float_dtypes) |to| {
        for (std.enums.values(Kind)) |kind| try check_norm(kind, shape, from, to, rng);
    };
}

fn check_layer_norm_grad(
    shape: [2]u32,
    from: abi.Dtype,
    has_bias: u32,
    has_residual: u32,
    rng: std.Random,
) !void {
    const m, const c = shape;
    const x = try Tensor.random(m, c, from, rng, 2);
    const weight = try Tensor.random(1, c, .f32, rng, 1);
    const dy = try Tensor.random(m, c, .f32, rng, 1);
    const residual = try Tensor.random(m, c, .f32, rng, 1);
    const mean = try Tensor.init(1, m, .f32);
    const rstd = try Tensor.init(1, m, .f32);
    const exact_dx = try allocator.alloc(f64, x.count());
    const exact_dw = try allocator.alloc(f64, c);
    const exact_db = try allocator.alloc(f64, c);
    @memset(exact_dw, 0);
    @memset(exact_db, 0);
    for (0..m) |row| {
        var norm = exact_norm(x, row, true, 1e-2);
        mean.set(row, @floatCast(norm.mean));
        rstd.set(row, @floatCast(norm.rstd));
        norm = .{ .mean = mean.get(row), .rstd = rstd.get(row) };
        var sum_g: f64 = 0;
        var sum_gn: f64 = 0;
        for (0..c) |i| {
            const n = (x.get(row * c + i) - norm.mean) * norm.rstd;
            const g = dy.get(row * c + i) * weight.get(i);
            sum_g += g / @as(f64, @floatFromInt(c));
            sum_gn += g * n / @as(f64, @floatFromInt(c));
            exact_dw[i] += dy.get(row * c + i) * n;
            exact_db[i] += dy.get(row * c + i);
        }
        for (0..c) |i| {
            const n = (x.get(row * c + i) - norm.mean) * norm.rstd;
            const g = dy.get(row * c + i) * weight.get(i);
            const base = if (has_residual == 1) residual.get(row * c + i) else 0;
            exact_dx[row * c + i] = norm.rstd * (g - sum_g - n * sum_gn) + base;
        }
    }
    const dx = try Tensor.init(m, c, .f32);
    const dweight = try Tensor.init(1, c, .f32);
    const dbias = try Tensor.init(1, c, .f32);
    const workspace = try Tensor.init((m + 31) / 32, c * (1 + has_bias), .f32);
    var operands: [10]abi.Operand = undefined;
    operands[0..5].* = .{
        x.operand(),
        weight.vector(),
        mean.operand(),
        rstd.operand(),
        dy.operand(),
    };
    operands[5] = residual.operand();
    const first = 5 + has_residual;
    operands[first..][0..3].* = .{ dx.result(), dweight.result(), dbias.result() };
    var w = workspace.result();
    w.dtype = .u32;
    operands[first + 2 + has_bias] = w;
    const list = operands[0 .. first + 3 + has_bias];
    _ = try run_all(layer_norm_grad, list, &.{ has_bias, has_residual }, true);
    if (c > 1) try dx.expect_close(exact_dx, 2e-6);
    try dweight.expect_close(exact_dw, 2e-6);
    if (has_bias == 1) try dbias.expect_close(exact_db, 1e-6);
    // One element too few in the workspace must be refused.
    operands[first + 2 + has_bias].dims = @splat(0);
    operands[first + 2 + has_bias].dims[0..2].* = .{ 1, @intCast(workspace.count() - 1) };
    operands[first + 2 + has_bias].strides[0..2].* = .{ workspace.count() - 1, 1 };
    const ins = team.instruction(.layer_norm_grad, list, &.{ has_bias, has_residual }, true);
    try expect(team.check(layer_norm_grad, &ins) != null);
}

test "layer_norm_grad" {
    var prng = std.Random.DefaultPrng.init(2);
    const rng = prng.random();
    for (shapes) |shape| for (float_dtypes) |from| for (flags) |has_bias| {
        for (flags) |has_residual|
            try check_layer_norm_grad(shape, from, has_bias, has_residual, rng);
    };
}

test "rms_norm_grad, dx over the residual" {
    var prng = std.Random.DefaultPrng.init(3);
    const rng = prng.random();
    for (shapes) |shape| for (float_dtypes) |from| for ([_]u32{ 0, 1 }) |has_residual| {
        const m, const c = shape;
        const x = try Tensor.random(m, c, from, rng, 2);
        const weight = try Tensor.random(1, c, .f32, rng, 1);
        const dy = try Tensor.random(m, c, .f32, rng, 1);
        const residual = try Tensor.random(m, c, .f32, rng, 1);
        const rstd = try Tensor.init(1, m, .f32);
        const exact_dx = try allocator.alloc(f64, x.count());
        const exact_dw = try allocator.alloc(f64, c);
        @memset(exact_dw, 0);
        for (0..m) |row| {
            rstd.set(row, @floatCast(exact_norm(x, row, false, 1e-2).rstd));
            const r = rstd.get(row);
            var mean_gn: f64 = 0;
            for (0..c) |i| {
                const n = x.get(row * c + i) * r;
                mean_gn += dy.get(row * c + i) * weight.get(i) * n / @as(f64, @floatFromInt(c));
                exact_dw[i] += dy.get(row * c + i) * n;
            }
            for (0..c) |i| {
                const n = x.get(row * c + i) * r;
                const base = if (has_residual == 1) residual.get(row * c + i) else 0;
                const g = dy.get(row * c + i) * weight.get(i);
                exact_dx[row * c + i] = r * (g - n * mean_gn) + base;
            }
        }
        const dx = try Tensor.init(m, c, .f32);
        const dweight = try Tensor.init(1, c, .f32);
        const workspace = try Tensor.init((m + 31) / 32, c, .f32);
        var operands: [8]abi.Operand = undefined;
        operands[0..5].* = .{
            x.operand(),
            weight.vector(),
            rstd.operand(),
            dy.operand(),
            residual.operand(),
        };
        operands[4 + has_residual ..][0..3].* = .{
            dx.result(),
            dweight.result(),
            workspace.result(),
        };
        const list = operands[0 .. 7 + has_residual];
        _ = try run_all(rms_norm_grad, list, &.{has_residual}, true);
        if (c > 1) try dx.expect_close(exact_dx, 2e-6);
        try dweight.expect_close(exact_dw, 2e-6);
        if (has_residual == 1) {
            // In place: dx is the residual's memory.
            operands[5] = residual.result();
            const ins = team.instruction(.rms_norm_grad, list, &.{1}, true);
            _ = try team.run(rms_norm_grad, &ins, 2);
            try std.testing.expectEqualSlices(
                u8,
                dx.bytes[0 .. dx.count() * 4],
                residual.bytes[0 .. dx.count() * 4],
            );
        }
    };
}

test "softmax and its gradient" {
    var prng = std.Random.DefaultPrng.init(4);
    const rng = prng.random();
    for (shapes) |shape| for (float_dtypes) |from| for (float_dtypes) |to| {
        const m, const c = shape;
        const x = try Tensor.random(m, c, from, rng, 6);
        if (c > 3) x.set(1, -std.math.inf(f32));
        const y = try Tensor.init(m, c, to);
        _ = try run_all(softmax, &.{ x.operand(), y.result() }, &.{}, false);
        const exact = try allocator.alloc(f64, x.count());
        for (0..m) |row| {
            var total: f64 = 0;
            for (0..c) |i| total += @exp(x.get(row * c + i));
            for (0..c) |i| exact[row * c + i] = @exp(x.get(row * c + i)) / total;
        }
        try y.expect_close(exact, if (to == .bf16) 4e-3 else 2e-6);
        const dy = try Tensor.random(m, c, .f32, rng, 1);
        const dx = try Tensor.init(m, c, .f32);
        _ = try run_all(softmax_grad, &.{ y.operand(), dy.operand(), dx.result() }, &.{}, false);
        for (0..m) |row| {
            var total: f64 = 0;
            for (0..c) |i| total += y.get(row * c + i) * dy.get(row * c + i);
            for (0..c) |i| exact[row * c + i] = y.get(row * c + i) * (dy.get(row * c + i) - total);
        }
        if (c > 1) try dx.expect_close(exact, 2e-6);
    };
}

fn check_cross_entropy(
    shape: [2]u32,
    from: abi.Dtype,
    index: abi.Dtype,
    bad: bool,
    rng: std.Random,
) !void {
    const m, const c = shape;
    const logits = try Tensor.random(m, c, from, rng, 4);
    const targets = try allocator.alloc(i32, m);
    for (targets) |*target| target.* = @intCast(rng.uintLessThan(u32, c));
    if (index == .i32 and m > 2) targets[1] = -1;
    if (bad) targets[m - 1] = @intCast(c);
    const loss = try Tensor.init(1, m, .f32);
    const lse = try Tensor.init(1, m, .f32);
    const dloss = try Tensor.random(1, m, .f32, rng, 1);
    const dlogits = try Tensor.init(m, c, .f32);
    const ids = team.contiguous(targets, index, &.{m});
    const forward = try run_all(
        cross_entropy,
        &.{ logits.operand(), ids, loss.result(), lse.result() },
        &.{},
        false,
    );
    const list = [_]abi.Operand{
        logits.operand(),
        ids,
        lse.operand(),
        dloss.operand(),
        dlogits.result(),
    };
    const backward = try run_all(cross_entropy_grad, &list, &.{}, false);
    for ([_]kernel.Team{ forward, backward }) |state| {
        const status: u32 = if (bad) @intFromEnum(abi.Status.index_out_of_range) else 0;
        try std.testing.expectEqual(status, state.failed);
        if (bad) try std.testing.expectEqual(m - 1, state.failed_position);
        if (bad) try std.testing.expectEqual(c, state.failed_value);
    }
    const exact_loss = try allocator.alloc(f64, m);
    const exact_lse = try allocator.alloc(f64, m);
    const exact = try allocator.alloc(f64, logits.count());
    for (targets, 0..) |target, row| {
        var total: f64 = 0;
        for (0..c) |i| total += @exp(logits.get(row * c + i));
        exact_lse[row] = @log(total);
        const valid = target >= 0 and target < c;
        exact_loss[row] = if (valid)
            exact_lse[row] - logits.get(row * c + @as(u32, @intCast(target)))
        else
            0;
        for (0..c) |i| {
            const hot: f64 = if (i == target) 1 else 0;
            const p = @exp(logits.get(row * c + i) - exact_lse[row]);
            exact[row * c + i] = if (valid) dloss.get(row) * (p - hot) else 0;
        }
    }
    try lse.expect_close(exact_lse, 1e-6);
    if (c > 1) try loss.expect_close(exact_loss, 1e-6);
    if (c > 1) try dlogits.expect_close(exact, 2e-6);
}

test "cross_entropy and its gradient, with ignored and bad targets" {
    var prng = std.Random.DefaultPrng.init(5);
    const rng = prng.random();
    for (shapes) |shape| for (float_dtypes) |from| for ([_]abi.Dtype{ .i32, .u32 }) |index| {
        for ([_]bool{ false, true }) |bad| try check_cross_entropy(shape, from, index, bad, rng);
    };
}
