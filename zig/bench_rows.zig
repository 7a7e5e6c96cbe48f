//! GB/s of the kernels that work row by row, beside a plain copy on the same machine.
//! `zig run zig/bench_rows.zig -lc -OReleaseFast -mcpu=native -- [threads]`.
const std = @import("std");
const abi = @import("abi.zig");
const kernel = @import("cpu/kernel.zig");
const rows = @import("cpu/rows.zig");
const simd = @import("cpu/simd.zig");
const team = @import("cpu/test_team.zig");
const layer_norm = @import("kernels/layer_norm.zig").kernels[0];
const layer_norm_grad = @import("kernels/layer_norm_grad.zig").kernels[0];
const rms_norm = @import("kernels/rms_norm.zig").kernels[0];
const rms_norm_grad = @import("kernels/rms_norm_grad.zig").kernels[0];
const softmax = @import("kernels/softmax.zig").kernels[0];
const softmax_grad = @import("kernels/softmax_grad.zig").kernels[0];
const cross_entropy = @import("kernels/cross_entropy.zig").kernels[0];
const cross_entropy_grad = @import("kernels/cross_entropy_grad.zig").kernels[0];
const rope = @import("kernels/rope.zig").kernels[0];

const allocator = team.allocator;
const m = 4096;
const c = 768;
const vocab = 50304;
const tokens = 256;

/// Wall time, or for one thread the time it had a processor: other work on the machine counts less.
fn now_ns(threads: u32) f64 {
    var ts: std.os.linux.timespec = undefined;
    _ = std.os.linux.clock_gettime(if (threads == 1) .THREAD_CPUTIME_ID else .MONOTONIC, &ts);
    return @as(f64, @floatFromInt(ts.sec)) * 1e9 + @as(f64, @floatFromInt(ts.nsec));
}

fn time(crew: *team.Crew) !f64 {
    try crew.run();
    var best = std.math.inf(f64);
    const deadline = now_ns(crew.threads) + 3e8;
    while (now_ns(crew.threads) < deadline) {
        const start = now_ns(crew.threads);
        try crew.repeat(2);
        best = @min(best, (now_ns(crew.threads) - start) / 2);
    }
    return best;
}

/// Bytes of all operands but the workspace, each read or written once.
fn traffic(operands: []const abi.Operand) f64 {
    var bytes: u64 = 0;
    for (operands) |o| bytes += o.count() * abi.dtype_bytes(o.dtype);
    return @floatFromInt(bytes);
}

fn bench(
    k: kernel.Kernel,
    operands: []const abi.Operand,
    words: []const u32,
    workspace: bool,
    threads: u32,
) !void {
    const ins = team.instruction(k.opcode, operands, words, workspace);
    if (team.check(k, &ins)) |reason| std.debug.panic("{s}", .{reason});
    var crew = try team.Crew.init(k, &ins, threads);
    defer crew.deinit();
    const ns = try time(&crew);
    const counted = operands[0 .. operands.len - @intFromBool(workspace)];
    std.debug.print(
        "{s}: {d:.1} GB/s, {d:.2} ms\n",
        .{ @tagName(k.opcode), traffic(counted) / ns, ns / 1e6 },
    );
}

fn copy_rows(t: *kernel.Thread, ins: *const kernel.Instruction) callconv(.c) void {
    const count = ins.operand(0).count();
    while (t.claim(@intCast(count / 16384))) |tile| {
        const at = @as(u64, tile) * 16384;
        var i: u64 = 0;
        while (i < 16384) : (i += simd.lanes) {
            const x = simd.load(f32, ins.operand(0).ptr(f32) + at + i);
            simd.store(f32, ins.operand(1).ptr(f32) + at + i, x);
        }
    }
}

/// Into one vector per tile: what reading alone can reach.
fn read_rows(t: *kernel.Thread, ins: *const kernel.Instruction) callconv(.c) void {
    const x = ins.operand(0).ptr(f32);
    while (t.claim(@intCast(ins.operand(0).count() / 16384))) |tile| {
        const at = @as(u64, tile) * 16384;
        var sums: [4]simd.F = @splat(@splat(0));
        var i: u64 = 0;
        while (i < 16384) : (i += 4 * simd.lanes) {
            inline for (&sums, 0..) |*s, k| s.* += simd.load(f32, x + at + i + k * simd.lanes);
        }
        std.mem.doNotOptimizeAway(sums);
    }
}

fn check_nothing(_: *const kernel.Instruction) callconv(.c) rows.Problem {
    return null;
}

fn random(n: u64) ![]f32 {
    var prng = std.Random.DefaultPrng.init(n);
    const x = try allocator.alloc(f32, n);
    for (x) |*v| v.* = prng.random().floatNorm(f32);
    return x;
}

fn matrix(n: u32, width: u32) !abi.Operand {
    return team.contiguous(try random(@as(u64, n) * width), .f32, &.{ n, width });
}

fn vector(n: u32) !abi.Operand {
    return team.contiguous(try random(n), .f32, &.{n});
}

pub fn main(init: std.process.Init) !void {
    const arguments = try init.minimal.args.toSlice(init.arena.allocator());
    const threads = if (arguments.len > 1) try std.fmt.parseInt(u32, arguments[1], 10) else 1;
    std.debug.print("{d} lanes, {d} threads\n", .{ simd.lanes, threads });
    const x = try matrix(m, c);
    const dy = try matrix(m, c);
    const residual = try matrix(m, c);
    const y = team.output(try matrix(m, c));
    const weight = try vector(c);
    const mean = try vector(m);
    const rstd = try vector(m);
    const workspace = team.output(try vector(m / rows.partial_rows * c * 2));
    const sums = [_]abi.Operand{ team.output(try vector(c)), team.output(try vector(c)) };
    const saved = [_]abi.Operand{ team.output(mean), team.output(rstd) };
    const eps = team.word(1e-5);
    const copy = kernel.Kernel{ .opcode = .copy, .run = copy_rows, .check = check_nothing };
    try bench(copy, &.{ x, y }, &.{}, false, threads);
    const read = kernel.Kernel{ .opcode = .map_reduce, .run = read_rows, .check = check_nothing };
    try bench(read, &.{try matrix(tokens, vocab)}, &.{}, false, threads);
    try bench(
        layer_norm,
        &([_]abi.Operand{ x, weight, weight, y } ++ saved),
        &.{ eps, 1 },
        false,
        threads,
    );
    const gradients = [_]abi.Operand{
        x,
        weight,
        mean,
        rstd,
        dy,
        residual,
        y,
    } ++ sums ++ [_]abi.Operand{workspace};
    try bench(layer_norm_grad, &gradients, &.{ 1, 1 }, true, threads);
    try bench(rms_norm, &.{ x, weight, y, saved[1] }, &.{eps}, false, threads);
    const rms = [_]abi.Operand{ x, weight, rstd, dy, residual, y, sums[0], workspace };
    try bench(rms_norm_grad, &rms, &.{1}, true, threads);
    try bench(softmax, &.{ x, y }, &.{}, false, threads);
    try bench(softmax_grad, &.{ x, dy, y }, &.{}, false, threads);
    try bench_loss(threads);
    try bench_rope(x, y, threads);
}

fn bench_loss(threads: u32) !void {
    const logits = try matrix(tokens, vocab);
    const dlogits = team.output(try matrix(tokens, vocab));
    const ids = try allocator.alloc(u32, tokens);
    for (ids, 0..) |*id, i| id.* = @intCast(i * 190);
    const targets = team.contiguous(ids, .u32, &.{tokens});
    const loss = try vector(tokens);
    const lse = try vector(tokens);
    const forward = [_]abi.Operand{ logits, targets, team.output(loss), team.output(lse) };
    try bench(cross_entropy, &forward, &.{}, false, threads);
    try bench(cross_entropy_grad, &.{ logits, targets, lse, loss, dlogits }, &.{}, false, threads);
}

fn bench_rope(x: abi.Operand, y: abi.Operand, threads: u32) !void {
    const dims = [_]u32{ 4, m / 4, 12, 64 };
    var heads = [_]abi.Operand{ x, y };
    for (&heads, [_]abi.Operand{ x, y }) |*o, source| {
        o.* = team.contiguous(source.ptr(f32)[0 .. m * c], .f32, &dims);
        o.output = source.output;
    }
    const ids = try allocator.alloc(u32, m);
    for (ids, 0..) |*id, i| id.* = @intCast(i % (m / 4));
    const positions = team.contiguous(ids, .u32, &.{ 4, m / 4 });
    const words = [_]u32{ team.word(10000), 0, 64 };
    try bench(rope, &.{ heads[0], positions, heads[1] }, &words, false, threads);
}
