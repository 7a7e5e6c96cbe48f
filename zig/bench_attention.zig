//! Attention speed on this machine: GFLOP/s forward and backward beside the measured peak of fused multiply-adds.
//! `zig run zig/bench_attention.zig -lc -OReleaseFast -mcpu=native -- [threads [shape]]`. A causal mask counts half the pairs.
const std = @import("std");
const abi = @import("abi.zig");
const simd = @import("cpu/simd.zig");
const team = @import("cpu/test_team.zig");
const attention = @import("kernels/attention.zig").kernels[0];
const attention_grad = @import("kernels/attention_grad.zig").kernels[0];

const allocator = team.allocator;
const F = simd.F;

const Shape = struct {
    batches: u32,
    steps: u32,
    heads: u32,
    groups: u32,
    head_dim: u32,
    /// Heads' worth of elements from token to token; 0: q, k and v packed. More is a part of a wider model, which
    /// keeps a run short (a busy machine rarely leaves 10 ms alone) and the memory as far apart as it is there.
    row_heads: u32 = 0,
    causal: bool = true,
    bf16: bool = false,
};

const shapes = [_]Shape{
    .{ .batches = 4, .steps = 64, .heads = 12, .groups = 12, .head_dim = 64 },
    .{
        .batches = 1,
        .steps = 256,
        .heads = 6,
        .groups = 6,
        .head_dim = 64,
        .row_heads = 36,
        .causal = false,
    },
    .{ .batches = 1, .steps = 256, .heads = 6, .groups = 6, .head_dim = 64, .row_heads = 36 },
    .{
        .batches = 1,
        .steps = 1024,
        .heads = 2,
        .groups = 2,
        .head_dim = 64,
        .row_heads = 36,
        .causal = false,
    },
    .{ .batches = 1, .steps = 1024, .heads = 2, .groups = 2, .head_dim = 64, .row_heads = 36 },
    .{
        .batches = 1,
        .steps = 1024,
        .heads = 2,
        .groups = 2,
        .head_dim = 64,
        .row_heads = 36,
        .bf16 = true,
    },
    .{ .batches = 1, .steps = 1024, .heads = 12, .groups = 12, .head_dim = 64 },
    .{ .batches = 1, .steps = 4096, .heads = 1, .groups = 1, .head_dim = 64, .row_heads = 36 },
    .{ .batches = 1, .steps = 1024, .heads = 8, .groups = 2, .head_dim = 128 },
    .{ .batches = 1, .steps = 1024, .heads = 4, .groups = 4, .head_dim = 32, .row_heads = 36 },
    .{ .batches = 1, .steps = 512, .heads = 4, .groups = 4, .head_dim = 256 },
};

/// Wall time, or for one thread the time it had a processor: other work on the machine counts less.
fn now_ns(threads: u32) f64 {
    var ts: std.os.linux.timespec = undefined;
    _ = std.os.linux.clock_gettime(if (threads == 1) .THREAD_CPUTIME_ID else .MONOTONIC, &ts);
    return @as(f64, @floatFromInt(ts.sec)) * 1e9 + @as(f64, @floatFromInt(ts.nsec));
}

noinline fn multiply_adds(n: u64, x: F) F {
    var sums: [12]F = @splat(@splat(0));
    for (0..n) |_| {
        inline for (&sums) |*s| s.* = @mulAdd(F, s.*, x, x);
    }
    var total: F = @splat(0);
    for (sums) |s| total += s;
    return total;
}

/// GFLOP/s of one thread with nothing but fused multiply-adds.
fn peak() f64 {
    const n = 400_000;
    const start = now_ns(1);
    std.mem.doNotOptimizeAway(multiply_adds(n, @splat(1e-9)));
    return n * 12 * simd.lanes * 2 / (now_ns(1) - start);
}

/// Best of many short runs, in ns; the peak is taken between them, under the same neighbours.
const Timing = struct { ns: f64, peak: f64 };

fn time(crew: *team.Crew) !Timing {
    try crew.run();
    var best = Timing{ .ns = std.math.inf(f64), .peak = 0 };
    const deadline = now_ns(crew.threads) + 4e8;
    while (now_ns(crew.threads) < deadline) {
        best.peak = @max(best.peak, peak());
        for (0..4) |_| {
            const start = now_ns(crew.threads);
            // Spawning threads is not part of the kernel, so several repeats share it.
            try crew.repeat(if (crew.threads == 1) 1 else 8);
            const repeats: f64 = if (crew.threads == 1) 1 else 8;
            best.ns = @min(best.ns, (now_ns(crew.threads) - start) / repeats);
        }
    }
    return best;
}

fn print_shape(s: Shape) void {
    const mask = if (s.causal) "causal" else "full";
    const rounding = if (s.bf16) " bf16" else "";
    const sizes = .{ s.batches, s.steps, s.heads, s.groups, s.head_dim };
    std.debug.print("B{d} T{d} H{d} G{d} D{d} ", sizes);
    std.debug.print("{s}{s}:", .{ mask, rounding });
}

fn bench(s: Shape, threads: u32) !void {
    const tokens = s.batches * s.steps;
    const row_heads = if (s.row_heads == 0) s.heads + 2 * s.groups else s.row_heads;
    const row: u64 = row_heads * s.head_dim;
    const width: u64 = s.heads * s.head_dim;
    const qkv = try allocator.alloc(f32, tokens * row);
    const dqkv = try allocator.alloc(f32, tokens * row);
    const out = try allocator.alloc(f32, tokens * width);
    const dout = try allocator.alloc(f32, tokens * width);
    const lse = try allocator.alloc(f32, tokens * s.heads);
    defer inline for (.{ qkv, dqkv, out, dout, lse }) |x| allocator.free(x);
    var prng = std.Random.DefaultPrng.init(1);
    for (qkv) |*x| x.* = prng.random().floatNorm(f32);
    for (dout) |*x| x.* = prng.random().floatNorm(f32);

    const dims = [_]u32{ s.batches, s.steps, s.heads, s.head_dim };
    const key_dims = [_]u32{ s.batches, s.steps, s.groups, s.head_dim };
    const strides = [_]u64{ s.steps * row, row, s.head_dim, 1 };
    var parts: [2][3]abi.Operand = undefined;
    for ([_][]f32{ qkv, dqkv }, &parts) |data, *part| part.* = .{
        team.strided(data, .f32, &dims, &strides),
        team.strided(data[width..], .f32, &key_dims, &strides),
        team.strided(data[width + s.groups * s.head_dim ..], .f32, &key_dims, &strides),
    };
    const o = team.contiguous(out, .f32, &dims);
    const l = team.contiguous(lse, .f32, &.{ s.batches, s.heads, s.steps });
    const d = team.contiguous(dout, .f32, &dims);
    const scale = 1.0 / @sqrt(@as(f32, @floatFromInt(s.head_dim)));
    const words = [_]u32{ @intFromBool(s.causal), 0, 0, team.word(scale), @intFromBool(s.bf16) };

    const forward = parts[0] ++ [_]abi.Operand{ team.output(o), team.output(l) };
    const backward = parts[0] ++ [_]abi.Operand{ o, l, d } ++
        [_]abi.Operand{
            team.output(parts[1][0]),
            team.output(parts[1][1]),
            team.output(parts[1][2]),
        };
    const t: f64 = @floatFromInt(s.steps);
    const pairs = if (s.causal) t * (t + 1) / 2 else t * t;
    const product = 2 * pairs * @as(f64, @floatFromInt(s.batches * s.heads * s.head_dim));
    print_shape(s);
    const pass = [_]struct { name: []const u8, ins: abi.Instruction, products: f64 }{
        .{
            .name = "forward",
            .ins = team.instruction(.attention, &forward, &words, false),
            .products = 2,
        },
        .{
            .name = "backward",
            .ins = team.instruction(.attention_grad, &backward, &words, false),
            .products = 5,
        },
    };
    inline for (.{ attention, attention_grad }, 0..) |kernel, i| {
        var crew = try team.Crew.init(kernel, &pass[i].ins, threads);
        defer crew.deinit();
        const timing = try time(&crew);
        const speed = product * pass[i].products / timing.ns;
        const most = timing.peak * @as(f64, @floatFromInt(threads));
        std.debug.print(
            "  {s} {d:.1} GFLOP/s = {d:.0} % of {d:.0}",
            .{ pass[i].name, speed, 100 * speed / most, most },
        );
    }
    std.debug.print("\n", .{});
}

pub fn main(init: std.process.Init) !void {
    const arguments = try init.minimal.args.toSlice(init.arena.allocator());
    const threads = if (arguments.len > 1) try std.fmt.parseInt(u32, arguments[1], 10) else 1;
    std.debug.print("{d} lanes, {d} threads\n", .{ simd.lanes, threads });
    const only = if (arguments.len > 2) try std.fmt.parseInt(usize, arguments[2], 10) else null;
    for (shapes, 0..) |s, i| {
        if (only == null or only == i) try bench(s, threads);
    }
}
