//! `adamw`: AdamW with decoupled weight decay, as torch.optim.AdamW (amsgrad off). Seven streams of memory and little
//! arithmetic. No workspace and no scratch.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const expect = @import("../cpu/expect.zig");
const simd = @import("../cpu/simd.zig");
const strided = @import("../cpu/strided.zig");

const Instruction = kernel.Instruction;
const F = simd.F;
const lanes = simd.lanes;

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .adamw, .run = run, .check = check },
};

const tile_elements = 16384;

fn check(ins: *const Instruction) callconv(.c) ?[*:0]const u8 {
    if (!expect.operands(ins, 8, 0)) return "adamw: needs eight operands and no words";
    const param = ins.operand(0);
    for (0..4) |i| {
        const o = ins.operand(i);
        if (!expect.dense_of(o, .f32) or !kernel.same_dims(o, param))
            return "adamw: param, m, v and grad are not contiguous f32 of equal dims";
    }
    const scalars = ins.operand(4);
    if (!expect.dense_of(scalars, .f32) or scalars.rank != 1 or scalars.dims[0] != 8)
        return "adamw: the scalars are not f32 [8]";
    for (5..8) |i| {
        const o = ins.operand(i);
        if (!expect.dense_output(o) or o.dtype != .f32 or !kernel.same_dims(o, param))
            return "adamw: a result is not like the parameter";
    }
    return null;
}

/// The scalars of a step, worked out in f64 and then rounded.
const Step = struct {
    apply: bool,
    gradient_scale: f32,
    keep_param: f32,
    beta1: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    /// Learning rate over the bias correction of m.
    rate: f32,
    /// 1 / square root of the bias correction of v.
    scale_root: f32,
    eps: f32,

    fn init(scalars: [*]const f32) Step {
        const rate: f64 = scalars[0];
        const beta1: f64 = scalars[1];
        const beta2: f64 = scalars[2];
        const step: f64 = scalars[6];
        return .{
            .apply = scalars[7] != 0,
            .gradient_scale = scalars[5],
            .keep_param = @floatCast(1 - rate * scalars[4]),
            .beta1 = scalars[1],
            .one_minus_beta1 = @floatCast(1 - beta1),
            .beta2 = scalars[2],
            .one_minus_beta2 = @floatCast(1 - beta2),
            .rate = @floatCast(rate / (1 - std.math.pow(f64, beta1, step))),
            .scale_root = @floatCast(1 / @sqrt(1 - std.math.pow(f64, beta2, step))),
            .eps = scalars[3],
        };
    }
};

const State = struct { param: F, m: F, v: F };

inline fn update(s: *const Step, before: State, gradient: F) State {
    const g = gradient * splat(s.gradient_scale);
    // m += (1 - beta1) (g - m), v = beta2 v + (1 - beta2) g g, as PyTorch's lerp and addcmul.
    const m = @mulAdd(F, splat(s.one_minus_beta1), g - before.m, before.m);
    const v = @mulAdd(F, g * splat(s.one_minus_beta2), g, before.v * splat(s.beta2));
    const denominator = @mulAdd(F, @sqrt(v), splat(s.scale_root), splat(s.eps));
    const decayed = before.param * splat(s.keep_param);
    return .{ .param = decayed - splat(s.rate) * m / denominator, .m = m, .v = v };
}

inline fn splat(x: f32) F {
    return @splat(x);
}

fn run(t: *kernel.Thread, ins: *const Instruction) callconv(.c) void {
    const n = ins.operand(0).count();
    const step = Step.init(ins.operand(4).ptr(f32));
    const tiles = strided.tile_count(n, tile_elements);
    while (t.claim(tiles)) |tile| {
        const from = @as(u64, tile) * tile_elements;
        const to = @min(n, from + tile_elements);
        if (step.apply) update_range(ins, &step, from, to) else copy_range(ins, from, to);
    }
}

fn copy_range(ins: *const Instruction, from: u64, to: u64) void {
    for (0..3) |i| {
        const source = ins.operand(i).ptr(f32);
        const target = ins.operand(5 + i).ptr(f32);
        if (source != target) @memmove(target[from..to], source[from..to]);
    }
}

fn update_range(ins: *const Instruction, step: *const Step, from: u64, to: u64) void {
    const p = ins.operand(0).ptr(f32);
    const m = ins.operand(1).ptr(f32);
    const v = ins.operand(2).ptr(f32);
    const g = ins.operand(3).ptr(f32);
    const p_out = ins.operand(5).ptr(f32);
    const m_out = ins.operand(6).ptr(f32);
    const v_out = ins.operand(7).ptr(f32);
    // A copy that no store can alias.
    const s = step.*;
    var i = from;
    while (i + lanes <= to) : (i += lanes) {
        const before: State = .{
            .param = simd.load(f32, p + i),
            .m = simd.load(f32, m + i),
            .v = simd.load(f32, v + i),
        };
        const after = update(&s, before, simd.load(f32, g + i));
        simd.store(f32, p_out + i, after.param);
        simd.store(f32, m_out + i, after.m);
        simd.store(f32, v_out + i, after.v);
    }
    while (i < to) : (i += 1) {
        const before: State = .{ .param = splat(p[i]), .m = splat(m[i]), .v = splat(v[i]) };
        const after = update(&s, before, splat(g[i]));
        p_out[i] = after.param[0];
        m_out[i] = after.m[0];
        v_out[i] = after.v[0];
    }
}

const testing = std.testing;
const team = @import("../cpu/test_team.zig");

const Setup = struct {
    n: u32,
    data: []f32,

    fn init(n: u32) !Setup {
        const data = try testing.allocator.alloc(f32, 7 * @as(usize, n));
        var prng = std.Random.DefaultPrng.init(8);
        const random = prng.random();
        for (data) |*x| x.* = random.floatNorm(f32);
        for (data[2 * n ..][0..n]) |*x| x.* = @abs(x.*) * 0.01;
        return .{ .n = n, .data = data };
    }

    fn part(s: *const Setup, i: usize) []f32 {
        return s.data[i * s.n ..][0..s.n];
    }

    fn operand(s: *const Setup, i: usize) abi.Operand {
        return team.contiguous(s.part(i), .f32, &.{s.n});
    }

    fn operands(s: *const Setup, scalars: []f32, in_place: bool) [8]abi.Operand {
        const base: usize = if (in_place) 0 else 4;
        return .{
            s.operand(0),
            s.operand(1),
            s.operand(2),
            s.operand(3),
            team.contiguous(scalars, .f32, &.{8}),
            team.output(s.operand(base)),
            team.output(s.operand(base + 1)),
            team.output(s.operand(base + 2)),
        };
    }
};

test "against f64, steps 1 and 1000, in place and not, any thread count" {
    const n = 40003;
    for ([_]f32{ 1, 1000 }) |step| for (1..5) |round| {
        const setup = try Setup.init(n);
        defer testing.allocator.free(setup.data);
        const before = try testing.allocator.dupe(f32, setup.data);
        defer testing.allocator.free(before);
        var scalars = [_]f32{ 3e-3, 0.9, 0.99, 1e-8, 0.1, 0.25, step, 1 };
        const in_place = round == 4;
        const operands = setup.operands(&scalars, in_place);
        const ins = team.instruction(.adamw, &operands, &.{}, false);
        _ = try team.run(kernels[0], &ins, @intCast(@min(round, 3)));
        const beta1: f64 = scalars[1];
        const beta2: f64 = scalars[2];
        for (0..n) |i| {
            const g = @as(f64, before[3 * n + i]) * 0.25;
            const m = beta1 * before[n + i] + (1 - beta1) * g;
            const v = beta2 * before[2 * n + i] + (1 - beta2) * g * g;
            const m_hat = m / (1 - std.math.pow(f64, beta1, step));
            const v_hat = v / (1 - std.math.pow(f64, beta2, step));
            const rate: f64 = scalars[0];
            const decayed = @as(f64, before[i]) * (1 - rate * @as(f64, scalars[4]));
            const p = decayed - rate * m_hat / (@sqrt(v_hat) + 1e-8);
            const base: usize = if (in_place) 0 else 4;
            // p is a difference: relative to its terms.
            const size = @abs(decayed) + @abs(p - decayed);
            try testing.expectApproxEqAbs(p, setup.part(base)[i], 3e-7 * size);
            try testing.expectApproxEqAbs(m, setup.part(base + 1)[i], 3e-7 * (@abs(g) + @abs(m)));
            try testing.expectApproxEqRel(v, setup.part(base + 2)[i], 3e-7);
        }
    };
}

test "against torch.optim.AdamW" {
    // lr 0.01, betas (0.9, 0.95), eps 1e-8, weight decay 0.1; two steps with these gradients, float64.
    var p = [_]f32{ 1.0, -2.0, 0.5, 3.0 };
    var m: [4]f32 = @splat(0);
    var v: [4]f32 = @splat(0);
    const gradients = [2][4]f32{ .{ 0.1, -0.2, 0.3, 1e-4 }, .{ -0.05, 0.4, 0.3, 2.0 } };
    for (gradients, 1..) |gradient, step| {
        var g = gradient;
        var scalars = [_]f32{ 0.01, 0.9, 0.95, 1e-8, 0.1, 1, @floatFromInt(step), 1 };
        var setup: [5]abi.Operand = undefined;
        for (setup[0..4], [_][]f32{ &p, &m, &v, &g }) |*o, values|
            o.* = team.contiguous(values, .f32, &.{ 2, 2 });
        setup[4] = team.contiguous(@as([]f32, &scalars), .f32, &.{8});
        const operands = setup ++ [_]abi.Operand{
            team.output(setup[0]), team.output(setup[1]), team.output(setup[2]),
        };
        const ins = team.instruction(.adamw, &operands, &.{}, false);
        _ = try team.run(kernels[0], &ins, 1);
    }
    const want = [4]f64{
        0.9853273068602668,  -1.9896457398902383,
        0.47901050066633327, 2.976664068205119,
    };
    for (p, want) |got, w| try testing.expectApproxEqRel(w, got, 3e-7);
}

test "apply 0 leaves everything as it was, even after an infinite gradient" {
    const n = 20001;
    for ([_]bool{ false, true }) |in_place| {
        const setup = try Setup.init(n);
        defer testing.allocator.free(setup.data);
        setup.part(3)[7] = std.math.inf(f32);
        const before = try testing.allocator.dupe(f32, setup.data);
        defer testing.allocator.free(before);
        var scalars = [_]f32{ 3e-3, 0.9, 0.99, 1e-8, 0.1, std.math.nan(f32), 3, 0 };
        const operands = setup.operands(&scalars, in_place);
        const ins = team.instruction(.adamw, &operands, &.{}, false);
        _ = try team.run(kernels[0], &ins, 2);
        const base: usize = if (in_place) 0 else 4;
        for (0..3) |i| {
            const want = before[i * n ..][0..n];
            try testing.expectEqualSlices(f32, want, setup.part(base + i));
        }
    }
}

test "check" {
    const setup = try Setup.init(64);
    defer testing.allocator.free(setup.data);
    var scalars: [8]f32 = @splat(1);
    const good = setup.operands(&scalars, true);
    const fine = team.instruction(.adamw, &good, &.{}, false);
    try testing.expectEqual(null, team.check(kernels[0], &fine));
    for (0..8) |i| {
        var bad = good;
        bad[i].dims[0] = 7;
        const ins = team.instruction(.adamw, &bad, &.{}, false);
        try testing.expect(team.check(kernels[0], &ins) != null);
    }
}
