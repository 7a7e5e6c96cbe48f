//! Attention and its gradient against f64 formulas: head counts, head dims, masks, strides, dtypes; equal bits for
//! 1, 2 and 3 threads.
const std = @import("std");
const abi = @import("../abi.zig");
const simd = @import("../cpu/simd.zig");
const team = @import("../cpu/test_team.zig");
const attention = @import("../kernels/attention.zig").kernels[0];
const attention_grad = @import("../kernels/attention_grad.zig").kernels[0];

const allocator = team.allocator;
const inf = std.math.inf(f64);

const Case = struct {
    batches: u32 = 1,
    steps: u32,
    heads: u32 = 2,
    groups: u32 = 2,
    head_dim: u32,
    causal: bool = true,
    window: u32 = 0,
    documents: bool = false,
    dtype: abi.Dtype = .f32,
    bf16: bool = false,

    fn words(c: Case) [5]u32 {
        const scale = 1.0 / @sqrt(@as(f32, @floatFromInt(c.head_dim)));
        return .{
            @intFromBool(c.causal),
            @intFromBool(c.documents),
            c.window,
            team.word(scale),
            @intFromBool(c.bf16),
        };
    }
};

/// q, k, v as slices of one packed row, out and dout with a gap after each row, everything else contiguous.
const Setup = struct {
    case: Case,
    qkv: []u8,
    starts: []u32,
    out: []f32,
    dout: []f32,
    lse: []f32,
    dqkv: []f32,

    fn init(c: Case, rng: std.Random) !Setup {
        const tokens = c.batches * c.steps;
        const row = (c.heads + 2 * c.groups) * c.head_dim;
        const s = Setup{
            .case = c,
            .qkv = try allocator.alloc(u8, tokens * row * 4),
            .starts = try allocator.alloc(u32, tokens),
            .out = try allocator.alloc(f32, tokens * (c.heads * c.head_dim + 3)),
            .dout = try allocator.alloc(f32, tokens * (c.heads * c.head_dim + 3)),
            .lse = try allocator.alloc(f32, tokens * c.heads),
            .dqkv = try allocator.alloc(f32, tokens * row),
        };
        for (0..tokens * row) |i| s.set(i, rng.floatNorm(f32) * 1.3);
        for (s.dout) |*x| x.* = rng.floatNorm(f32);
        for (s.starts, 0..) |*start, i| {
            const t = i % c.steps;
            start.* = @intCast(t - t % 13);
            // Some positions see nothing, some name keys that do not exist.
            if (t % 29 == 28) start.* = if (t % 2 == 0) 0xffffffff else @intCast(t + 1);
        }
        return s;
    }

    fn deinit(s: Setup) void {
        inline for (.{ "qkv", "starts", "out", "dout", "lse", "dqkv" }) |name|
            allocator.free(@field(s, name));
    }

    fn set(s: Setup, i: usize, x: f32) void {
        if (s.case.dtype == .bf16) {
            std.mem.writeInt(u16, s.qkv[i * 2 ..][0..2], simd.bf16_from_f32(x), .little);
        } else std.mem.writeInt(u32, s.qkv[i * 4 ..][0..4], @bitCast(x), .little);
    }

    fn get(s: Setup, i: usize) f64 {
        if (s.case.dtype == .bf16)
            return simd.f32_from_bf16(std.mem.readInt(u16, s.qkv[i * 2 ..][0..2], .little));
        return @as(f32, @bitCast(std.mem.readInt(u32, s.qkv[i * 4 ..][0..4], .little)));
    }

    /// Element d of row (b, t) of head h of part 0 (q), 1 (k), 2 (v) inside qkv or dqkv.
    fn index(s: Setup, which: u32, b: usize, t: usize, h: usize, d: usize) usize {
        const c = s.case;
        const before = ([_]u32{ 0, c.heads, c.heads + c.groups })[which];
        return ((b * c.steps + t) * (c.heads + 2 * c.groups) + before + h) * c.head_dim + d;
    }

    fn out_index(s: Setup, b: usize, t: usize, h: usize, d: usize) usize {
        const c = s.case;
        return (b * c.steps + t) * (c.heads * c.head_dim + 3) + h * c.head_dim + d;
    }

    fn part(s: Setup, bytes: []u8, dtype: abi.Dtype, which: u32) abi.Operand {
        const c = s.case;
        const row: u64 = (c.heads + 2 * c.groups) * c.head_dim;
        const count = if (which == 0) c.heads else c.groups;
        const start = s.index(which, 0, 0, 0, 0) * abi.dtype_bytes(dtype);
        return team.strided(
            bytes[start..],
            dtype,
            &.{ c.batches, c.steps, count, c.head_dim },
            &.{ c.steps * row, row, c.head_dim, 1 },
        );
    }

    fn rows(s: Setup, data: []f32) abi.Operand {
        const c = s.case;
        const row: u64 = c.heads * c.head_dim + 3;
        return team.strided(
            data,
            .f32,
            &.{ c.batches, c.steps, c.heads, c.head_dim },
            &.{ c.steps * row, row, c.head_dim, 1 },
        );
    }

    fn lse_operand(s: Setup) abi.Operand {
        return team.contiguous(s.lse, .f32, &.{ s.case.batches, s.case.heads, s.case.steps });
    }

    fn starts_operand(s: Setup) abi.Operand {
        return team.contiguous(s.starts, .u32, &.{ s.case.batches, s.case.steps });
    }

    fn is_visible(s: Setup, b: usize, i: usize, j: usize) bool {
        const c = s.case;
        if (c.causal and j > i) return false;
        if (c.window != 0 and i >= j + c.window) return false;
        return !c.documents or j >= s.starts[b * c.steps + i];
    }

    fn forward(s: Setup, threads: u32) !void {
        const q = s.part(s.qkv, s.case.dtype, 0);
        const k = s.part(s.qkv, s.case.dtype, 1);
        const v = s.part(s.qkv, s.case.dtype, 2);
        const out = team.output(s.rows(s.out));
        const lse = team.output(s.lse_operand());
        const words = s.case.words();
        const with = [_]abi.Operand{ q, k, v, s.starts_operand(), out, lse };
        const without = [_]abi.Operand{ q, k, v, out, lse };
        const list: []const abi.Operand = if (s.case.documents) &with else &without;
        const ins = team.instruction(.attention, list, &words, false);
        _ = try team.run(attention, &ins, threads);
    }

    fn backward(s: Setup, threads: u32) !void {
        var list: [10]abi.Operand = undefined;
        for (0..3) |i| list[i] = s.part(s.qkv, s.case.dtype, @intCast(i));
        list[3] = s.rows(s.out);
        list[4] = s.lse_operand();
        list[5] = s.rows(s.dout);
        list[6] = s.starts_operand();
        const first: usize = if (s.case.documents) 7 else 6;
        for (0..3) |i|
            list[first + i] = team.output(s.part(std.mem.sliceAsBytes(s.dqkv), .f32, @intCast(i)));
        const words = s.case.words();
        const ins = team.instruction(.attention_grad, list[0 .. first + 3], &words, false);
        _ = try team.run(attention_grad, &ins, threads);
    }
};

/// Everything in f64.
const Exact = struct {
    out: []f64,
    lse: []f64,
    dqkv: []f64,

    fn of(s: Setup) !Exact {
        const e = Exact{
            .out = try allocator.alloc(f64, s.out.len),
            .lse = try allocator.alloc(f64, s.lse.len),
            .dqkv = try allocator.alloc(f64, s.dqkv.len),
        };
        @memset(e.out, 0);
        @memset(e.dqkv, 0);
        const c = s.case;
        const weights = try allocator.alloc(f64, c.steps);
        defer allocator.free(weights);
        for (0..c.batches) |b| for (0..c.heads) |h| for (0..c.steps) |i| {
            e.lse[(b * c.heads + h) * c.steps + i] = e.row(s, weights, b, h, i);
            e.row_grad(s, weights, b, h, i);
        };
        return e;
    }

    fn deinit(e: Exact) void {
        inline for (.{ "out", "lse", "dqkv" }) |name| allocator.free(@field(e, name));
    }

    /// Weights and output of one position; returns the log-sum-exp.
    fn row(e: Exact, s: Setup, weights: []f64, b: usize, h: usize, i: usize) f64 {
        const c = s.case;
        const g = h / (c.heads / c.groups);
        const scale: f64 = @as(f32, @bitCast(c.words()[3]));
        var highest = -inf;
        for (weights, 0..) |*w, j| {
            var dot: f64 = 0;
            for (0..c.head_dim) |d|
                dot += s.get(s.index(0, b, i, h, d)) * s.get(s.index(1, b, j, g, d));
            w.* = if (s.is_visible(b, i, j)) dot * scale else -inf;
            highest = @max(highest, w.*);
        }
        var total: f64 = 0;
        for (weights) |*w| {
            w.* = if (w.* == -inf) 0 else @exp(w.* - highest);
            total += w.*;
        }
        if (total == 0) return -inf;
        for (weights, 0..) |*w, j| {
            w.* /= total;
            for (0..c.head_dim) |d|
                e.out[s.out_index(b, i, h, d)] += w.* * s.get(s.index(2, b, j, g, d));
        }
        return highest + @log(total);
    }

    fn row_grad(e: Exact, s: Setup, weights: []const f64, b: usize, h: usize, i: usize) void {
        const c = s.case;
        const g = h / (c.heads / c.groups);
        const scale: f64 = @as(f32, @bitCast(c.words()[3]));
        var delta: f64 = 0;
        for (0..c.head_dim) |d|
            delta += e.out[s.out_index(b, i, h, d)] * s.dout[s.out_index(b, i, h, d)];
        for (weights, 0..) |w, j| {
            if (w == 0) continue;
            var dw: f64 = 0;
            for (0..c.head_dim) |d| {
                const dout: f64 = s.dout[s.out_index(b, i, h, d)];
                dw += dout * s.get(s.index(2, b, j, g, d));
                e.dqkv[s.index(2, b, j, g, d)] += w * dout;
            }
            const ds = w * (dw - delta) * scale;
            for (0..c.head_dim) |d| {
                e.dqkv[s.index(0, b, i, h, d)] += ds * s.get(s.index(1, b, j, g, d));
                e.dqkv[s.index(1, b, j, g, d)] += ds * s.get(s.index(0, b, i, h, d));
            }
        }
    }
};

const Error = struct {
    difference: f64 = 0,
    norm: f64 = 0,
    count: f64 = 0,

    fn add(e: *Error, got: f64, want: f64) void {
        e.difference += (got - want) * (got - want);
        e.norm += want * want;
        e.count += 1;
    }
    fn expect(e: Error, name: []const u8, case: Case, limit: f64) !void {
        // The floor is for gradients that cancel, as those of q with a single key.
        const relative = @sqrt(e.difference) / (@sqrt(e.norm) + 0.2 * @sqrt(e.count));
        if (relative <= limit) return;
        std.debug.print(
            "{s}: relative error {e} above {e} in {any}\n",
            .{ name, relative, limit, case },
        );
        return error.TooFar;
    }
};

fn expect_close(s: Setup, e: Exact, limit: f64) !void {
    const c = s.case;
    var out = Error{};
    var lse = Error{};
    var parts: [3]Error = @splat(.{});
    for (0..c.batches) |b| for (0..c.steps) |t| {
        for (0..c.heads) |h| {
            const at = (b * c.heads + h) * c.steps + t;
            if (e.lse[at] == -inf) {
                try std.testing.expectEqual(-std.math.inf(f32), s.lse[at]);
            } else lse.add(s.lse[at], e.lse[at]);
            for (0..c.head_dim) |d| {
                const o = s.out_index(b, t, h, d);
                out.add(s.out[o], e.out[o]);
            }
        }
        for (0..3) |which| for (0..if (which == 0)
            c.heads
        else
            c.groups) |h| for (0..c.head_dim) |d|
        {
            const at = s.index(@intCast(which), b, t, h, d);
            parts[which].add(s.dqkv[at], e.dqkv[at]);
        };
    };
    try out.expect("out", c, limit);
    try lse.expect("lse", c, limit);
    try parts[0].expect("dq", c, limit);
    try parts[1].expect("dk", c, limit);
    try parts[2].expect("dv", c, limit);
}

fn run_case(case: Case, rng: std.Random) !void {
    const s = try Setup.init(case, rng);
    defer s.deinit();
    const e = try Exact.of(s);
    defer e.deinit();
    var kept: [3][]f32 = undefined;
    for ([_]u32{ 3, 2, 1 }) |threads| {
        for ([_][]f32{ s.out, s.lse, s.dqkv }) |buffer| @memset(buffer, 7);
        try s.forward(threads);
        try s.backward(threads);
        for ([_][]f32{ s.out, s.lse, s.dqkv }, 0..) |buffer, i| {
            if (threads == 3) kept[i] = try allocator.dupe(f32, buffer);
            try std.testing.expectEqualSlices(
                u8,
                std.mem.sliceAsBytes(kept[i]),
                std.mem.sliceAsBytes(buffer),
            );
        }
    }
    for (kept) |k| allocator.free(k);
    try expect_close(s, e, if (case.bf16) 1e-2 else 2e-6);
}

test "attention against f64" {
    var prng = std.Random.DefaultPrng.init(11);
    const rng = prng.random();
    const cases = [_]Case{
        .{ .steps = 1, .head_dim = 16 },
        .{ .steps = 5, .head_dim = 20 },
        .{ .steps = 64, .head_dim = 64, .batches = 2 },
        .{ .steps = 65, .head_dim = 64, .causal = false },
        .{ .steps = 131, .head_dim = 20, .heads = 4, .groups = 2 },
        .{ .steps = 200, .head_dim = 33, .heads = 6, .groups = 1, .causal = false },
        .{ .steps = 300, .head_dim = 64, .window = 50 },
        .{ .steps = 150, .head_dim = 16, .window = 7, .causal = false },
        .{ .steps = 193, .head_dim = 48, .documents = true, .batches = 2 },
        .{
            .steps = 193,
            .head_dim = 32,
            .documents = true,
            .causal = false,
            .window = 40,
            .heads = 4,
            .groups = 2,
        },
        .{ .steps = 256, .head_dim = 128, .heads = 1, .groups = 1 },
        .{ .steps = 100, .head_dim = 256, .heads = 3, .groups = 1 },
        .{ .steps = 400, .head_dim = 8, .heads = 1, .groups = 1 },
        .{ .steps = 140, .head_dim = 64, .dtype = .bf16, .heads = 4, .groups = 2 },
        .{ .steps = 140, .head_dim = 40, .dtype = .bf16, .bf16 = true },
        .{ .steps = 140, .head_dim = 64, .bf16 = true, .documents = true, .heads = 4, .groups = 2 },
    };
    for (cases) |case| try run_case(case, rng);
}

test "random attention cases" {
    var prng = std.Random.DefaultPrng.init(12);
    const rng = prng.random();
    for (0..40) |_| {
        const groups = rng.intRangeAtMost(u32, 1, 3);
        try run_case(.{
            .batches = rng.intRangeAtMost(u32, 1, 2),
            .steps = rng.intRangeAtMost(u32, 1, 210),
            .groups = groups,
            .heads = groups * rng.intRangeAtMost(u32, 1, 3),
            .head_dim = rng.intRangeAtMost(u32, 1, 70),
            .causal = rng.boolean(),
            .window = if (rng.boolean()) 0 else rng.intRangeAtMost(u32, 1, 90),
            .documents = rng.boolean(),
        }, rng);
    }
}

test "a score of minus infinity and large scores" {
    var prng = std.Random.DefaultPrng.init(13);
    const s = try Setup.init(.{ .steps = 90, .head_dim = 16 }, prng.random());
    defer s.deinit();
    // Scores of about 1000: all weight on one key.
    for (0..90) |t| for (0..16) |d| {
        const at = s.index(0, 0, t, 0, d);
        s.set(at, @floatCast(s.get(at) * 300));
    };
    const e = try Exact.of(s);
    defer e.deinit();
    try s.forward(2);
    try s.backward(2);
    try expect_close(s, e, 2e-4);
}

test "check refuses what run could not take" {
    var prng = std.Random.DefaultPrng.init(14);
    const s = try Setup.init(.{ .steps = 10, .head_dim = 16 }, prng.random());
    defer s.deinit();
    const good = [_]abi.Operand{
        s.part(s.qkv, .f32, 0),     s.part(s.qkv, .f32, 1),       s.part(s.qkv, .f32, 2),
        team.output(s.rows(s.out)), team.output(s.lse_operand()),
    };
    const words = s.case.words();
    const sound = team.instruction(.attention, &good, &words, false);
    try std.testing.expectEqual(null, team.check(attention, &sound));
    const Break = struct { operand: u32, dim: u32, value: u32 };
    const breaks = [_]Break{
        .{ .operand = 0, .dim = 1, .value = 11 }, .{ .operand = 0, .dim = 2, .value = 3 },
        .{ .operand = 1, .dim = 2, .value = 0 },  .{ .operand = 1, .dim = 3, .value = 17 },
        .{ .operand = 2, .dim = 1, .value = 11 }, .{ .operand = 3, .dim = 3, .value = 15 },
        .{ .operand = 4, .dim = 1, .value = 3 },  .{ .operand = 4, .dim = 0, .value = 2 },
    };
    for (breaks) |b| {
        var bad = good;
        bad[b.operand].dims[b.dim] = b.value;
        const ins = team.instruction(.attention, &bad, &words, false);
        try std.testing.expect(team.check(attention, &ins) != null);
    }
    for (0..5) |i| {
        var bad = good;
        if (i < 4) bad[i].strides[3] = 2 else bad[4].output = 0;
        const ins = team.instruction(.attention, &bad, &words, false);
        try std.testing.expect(team.check(attention, &ins) != null);
    }
    const short = team.instruction(.attention, &good, words[0..4], false);
    try std.testing.expect(team.check(attention, &short) != null);
}
