//! GFLOP/s of the matrix product per shape, next to the peak of the FMA units measured in
//! alternation, and copy bandwidth. Weights rotate through more memory than the caches hold, as in
//! training. Arguments: threads, rounds, filter ("1024 768 768 forward"), bf16.
const std = @import("std");
const gemm = @import("cpu/gemm.zig");
const kernel = @import("cpu/kernel.zig");
const simd = @import("cpu/simd.zig");

const linux = std.os.linux;
const F = simd.F;

const Kind = enum { forward, input_gradient, weight_gradient };

/// A layer [rows, inputs] -> [rows, outputs].
const Shape = struct { rows: usize, inputs: usize, outputs: usize };

const shapes = [_]Shape{
    .{ .rows = 256, .inputs = 768, .outputs = 768 },
    .{ .rows = 256, .inputs = 768, .outputs = 3072 },
    .{ .rows = 256, .inputs = 3072, .outputs = 768 },
    .{ .rows = 1024, .inputs = 768, .outputs = 768 },
    .{ .rows = 1024, .inputs = 768, .outputs = 3072 },
    .{ .rows = 1024, .inputs = 3072, .outputs = 768 },
    .{ .rows = 2048, .inputs = 384, .outputs = 384 },
    .{ .rows = 2048, .inputs = 384, .outputs = 1536 },
    .{ .rows = 2048, .inputs = 384, .outputs = 96 },
    .{ .rows = 768, .inputs = 128, .outputs = 128 },
    .{ .rows = 768, .inputs = 128, .outputs = 512 },
    .{ .rows = 256, .inputs = 768, .outputs = 50304 },
    .{ .rows = 1024, .inputs = 1024, .outputs = 1024 },
};

/// One thread is timed by the processor time it got, so that other jobs disturb less.
var clock: linux.clockid_t = .MONOTONIC;

fn now() f64 {
    var t: linux.timespec = undefined;
    _ = linux.clock_gettime(clock, &t);
    return @as(f64, @floatFromInt(t.sec)) + 1e-9 * @as(f64, @floatFromInt(t.nsec));
}

/// 24 independent chains of multiply-adds; FLOPs of `rounds` rounds.
fn spin_fma(rounds: usize) f64 {
    var seed: f32 = 1e-3;
    std.mem.doNotOptimizeAway(&seed);
    const chains = if (simd.has_avx512) 24 else 12;
    var acc: [chains]F = undefined;
    for (&acc, 0..) |*x, i| x.* = @splat(seed * @as(f32, @floatFromInt(i)));
    const a: F = @splat(0.999);
    const b: F = @splat(seed);
    for (0..rounds) |_| {
        inline for (0..chains) |i| acc[i] = @mulAdd(F, acc[i], a, b);
    }
    std.mem.doNotOptimizeAway(acc);
    return @floatFromInt(rounds * chains * 2 * simd.lanes);
}

const threads_max = 64;
const rounds_max = 1000;

const Bench = struct {
    threads: u32,
    rounds: usize,
    team: kernel.Team = .{},
    problems: []gemm.Problem = &.{},
    scratch: []align(64) u8 = &.{},
    scratch_bytes: usize = 0,
    /// Products in one round.
    repeats: usize = 1,
    flops: f64 = 0,
    peak: [rounds_max + 1]f64 = undefined,
    rate: [rounds_max]f64 = undefined,

    fn prepare(
        bench: *Bench,
        arena: std.mem.Allocator,
        shape: Shape,
        kind: Kind,
        bf16: bool,
    ) !void {
        const workspace = try arena.alignedAlloc(u8, .@"64", 8 << 20);
        bench.problems = try problems_of(arena, shape, kind, bf16, workspace);
        const asked = gemm.scratch_bytes(&bench.problems[0]);
        bench.scratch_bytes = std.mem.alignForward(usize, asked, 4096);
        const all = bench.scratch_bytes * bench.threads;
        bench.scratch = try arena.alignedAlloc(u8, .fromByteUnits(4096), all);
        bench.flops = 2 * @as(f64, @floatFromInt(shape.rows * shape.inputs * shape.outputs));
        bench.repeats = @max(1, @as(usize, @intFromFloat(2e9 / bench.flops)));
    }

    fn work(bench: *Bench, index: u32) void {
        var t: kernel.Thread = .{
            .team = &bench.team,
            .scratch = @alignCast(bench.scratch.ptr + index * bench.scratch_bytes),
            .scratch_bytes = bench.scratch_bytes,
            .index = index,
            .count = bench.threads,
        };
        var next: usize = 0;
        bench.measure_peak(&t, 0);
        for (0..bench.rounds) |round| {
            t.barrier();
            const start = now();
            for (0..bench.repeats) |_| {
                gemm.run(&t, &bench.problems[next % bench.problems.len]);
                next += 1;
                t.barrier();
            }
            if (index == 0) {
                const total = bench.flops * @as(f64, @floatFromInt(bench.repeats));
                bench.rate[round] = total / (now() - start) * 1e-9;
            }
            bench.measure_peak(&t, round + 1);
        }
    }

    fn measure_peak(bench: *Bench, t: *kernel.Thread, round: usize) void {
        t.barrier();
        const start = now();
        const flops = spin_fma(20000);
        t.barrier();
        if (t.index != 0) return;
        const threads: f64 = @floatFromInt(t.count);
        bench.peak[round] = threads * flops / (now() - start) * 1e-9;
    }

    fn run(bench: *Bench) !void {
        var handles: [threads_max]std.Thread = undefined;
        for (1..bench.threads) |i|
            handles[i] = try std.Thread.spawn(.{}, work, .{ bench, @as(u32, @intCast(i)) });
        work(bench, 0);
        for (handles[1..bench.threads]) |handle| handle.join();
    }

    fn report(bench: *Bench, shape: Shape, kind: Kind) void {
        var ratio: [rounds_max]f64 = undefined;
        for (0..bench.rounds) |i|
            ratio[i] = 2 * bench.rate[i] / (bench.peak[i] + bench.peak[i + 1]);
        const sort = std.mem.sort;
        sort(f64, ratio[0..bench.rounds], {}, std.sort.asc(f64));
        sort(f64, bench.rate[0..bench.rounds], {}, std.sort.asc(f64));
        sort(f64, bench.peak[0 .. bench.rounds + 1], {}, std.sort.asc(f64));
        const middle = bench.rounds / 2;
        const top = bench.rounds * 9 / 10;
        std.debug.print("{d:5} {d:5} {d:5} {s:16} GFLOP/s {d:6.1} p90 {d:6.1}  " ++
            "peak {d:6.1} p90 {d:6.1}  ratio {d:5.1} % p90 {d:5.1} %\n", .{
            shape.rows,         shape.inputs,       shape.outputs,
            @tagName(kind),     bench.rate[middle], bench.rate[top],
            bench.peak[middle], bench.peak[top],    100 * ratio[middle],
            100 * ratio[top],
        });
    }
};

const page = std.heap.page_allocator;

fn floats(arena: std.mem.Allocator, n: usize) ![]f32 {
    const x = try arena.alignedAlloc(f32, .fromByteUnits(2 << 20), n);
    _ = linux.madvise(@ptrCast(x.ptr), n * 4, linux.MADV.HUGEPAGE);
    for (x, 0..) |*v, i| v.* = @as(f32, @floatFromInt(i *% 40503 % 1009)) * 2e-4 - 0.1;
    return x;
}

fn side(data: []f32, k_stride: usize, v_stride: usize) gemm.Side {
    return .{
        .data = @ptrCast(data.ptr),
        .dtype = .f32,
        .k_stride = k_stride,
        .v_stride = v_stride,
    };
}

/// `copies` problems of one kind, each with weights (or gradients of them) of its own.
fn problems_of(
    arena: std.mem.Allocator,
    shape: Shape,
    kind: Kind,
    bf16: bool,
    workspace: []align(64) u8,
) ![]gemm.Problem {
    const m = shape.rows;
    const weight = shape.inputs * shape.outputs;
    const copies = std.math.clamp((96 << 20) / (weight * 4), 1, 16);
    const x = try floats(arena, m * shape.inputs);
    const y = try floats(arena, m * shape.outputs);
    const weights = try floats(arena, weight * copies);
    const list = try arena.alloc(gemm.Problem, copies);
    for (list, 0..) |*p, i| {
        const w = weights[i * weight ..][0..weight];
        p.* = switch (kind) {
            .forward => .{
                .m = m,
                .n = shape.outputs,
                .k = shape.inputs,
                .a = side(x, 1, shape.inputs),
                .b = side(w, shape.outputs, 1),
                .out = .{ .data = @ptrCast(y.ptr), .stride = shape.outputs },
                .rounds = bf16,
            },
            .input_gradient => .{
                .m = m,
                .n = shape.inputs,
                .k = shape.outputs,
                .a = side(y, 1, shape.outputs),
                .b = side(w, 1, shape.outputs),
                .out = .{ .data = @ptrCast(x.ptr), .stride = shape.inputs },
                .rounds = bf16,
            },
            .weight_gradient => .{
                .m = shape.inputs,
                .n = shape.outputs,
                .k = m,
                .a = side(x, shape.inputs, 1),
                .b = side(y, shape.outputs, 1),
                .out = .{
                    .data = @ptrCast(w.ptr),
                    .stride = shape.outputs,
                    .residual = @ptrCast(w.ptr),
                    .residual_stride = shape.outputs,
                },
                .rounds = bf16,
            },
        };
        p.workspace = workspace;
    }
    return list;
}

fn copy_bandwidth(arena: std.mem.Allocator) !void {
    const n = 32 << 20;
    const a = try floats(arena, n);
    const b = try floats(arena, n);
    var best: f64 = 0;
    for (0..5) |_| {
        const start = now();
        @memcpy(b, a);
        best = @max(best, 2.0 * n * 4 / (now() - start) * 1e-9);
    }
    std.debug.print("copy, one thread: {d:.1} GB/s read and written\n", .{best});
}

pub fn main(init: std.process.Init) !void {
    const arguments = try init.minimal.args.toSlice(init.arena.allocator());
    const threads = if (arguments.len > 1) try std.fmt.parseInt(u32, arguments[1], 10) else 2;
    const rounds = if (arguments.len > 2) try std.fmt.parseInt(usize, arguments[2], 10) else 30;
    const filter = if (arguments.len > 3) arguments[3] else "";
    const bf16 = arguments.len > 4;
    if (threads == 1) clock = .THREAD_CPUTIME_ID;
    var arena: std.heap.ArenaAllocator = .init(page);
    defer arena.deinit();
    if (filter.len == 0) try copy_bandwidth(arena.allocator());
    const bench = try page.create(Bench);
    for (shapes) |shape| for (std.enums.values(Kind)) |kind| {
        var buffer: [64]u8 = undefined;
        const name = try std.fmt.bufPrint(&buffer, "{d} {d} {d} {s}", .{
            shape.rows, shape.inputs, shape.outputs, @tagName(kind),
        });
        if (std.mem.indexOf(u8, name, filter) == null) continue;
        _ = arena.reset(.free_all);
        bench.* = .{ .threads = threads, .rounds = @min(rounds, rounds_max) };
        try bench.prepare(arena.allocator(), shape, kind, bf16);
        try bench.run();
        bench.report(shape, kind);
    };
}
