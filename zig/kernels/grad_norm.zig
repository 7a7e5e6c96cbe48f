//! `grad_norm`: square root of the sum of squares of all inputs, in f64 over fixed chunks.
//! Shared workspace (element u32): 8 bytes * sum over the inputs of ceil(count / 65536). Always there. No private scratch.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const expect = @import("../cpu/expect.zig");
const simd = @import("../cpu/simd.zig");
const strided = @import("../cpu/strided.zig");

const Instruction = kernel.Instruction;
const lanes = simd.lanes;

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .grad_norm, .run = run, .check = check },
};

const chunk_elements = 65536;
const chunks_max = 1 << 30;

fn chunk_count(o: *const kernel.Operand) u64 {
    return (o.count() + chunk_elements - 1) / chunk_elements;
}

fn check(ins: *const Instruction) callconv(.c) ?[*:0]const u8 {
    if (ins.word_count != 0 or ins.has_workspace == 0 or ins.operand_count < 2)
        return "grad_norm: needs tensors, a result and a workspace";
    const inputs = ins.operand_count - 2;
    var chunks: u64 = 0;
    for (0..inputs) |i| {
        const o = ins.operand(i);
        if (!expect.dense_of(o, .f32)) return "grad_norm: a tensor is not contiguous f32";
        chunks += chunk_count(o);
        if (chunks > chunks_max) return "grad_norm: too many elements";
    }
    const out = ins.operand(inputs);
    if (!expect.dense_output(out) or out.dtype != .f32 or out.count() != 1)
        return "grad_norm: the result is not one f32";
    const workspace = ins.workspace();
    if (!expect.dense_output(workspace) or workspace.dtype != .u32)
        return "grad_norm: the workspace is not writable u32";
    if (workspace.count() < 2 * chunks)
        return "grad_norm: the workspace is too small";
    return null;
}

fn run(t: *kernel.Thread, ins: *const Instruction) callconv(.c) void {
    const inputs = ins.operands[0 .. ins.operand_count - 2];
    const partials: [*]align(4) f64 = @ptrCast(@alignCast(ins.workspace().data));
    var chunks: u32 = 0;
    for (inputs) |*o| chunks += @intCast(chunk_count(o));
    // Tiles come in rising order, so the input of a tile is found by going on from the last one.
    var input: usize = 0;
    var first: u32 = 0;
    while (t.claim(chunks)) |tile| {
        while (tile - first >= chunk_count(&inputs[input])) {
            first += @intCast(chunk_count(&inputs[input]));
            input += 1;
        }
        const o = &inputs[input];
        const from = @as(u64, tile - first) * chunk_elements;
        const n = @min(chunk_elements, o.count() - from);
        partials[tile] = sum_of_squares(o.ptr(f32) + from, n);
    }
    t.barrier();
    if (t.claim(1) == null) return;
    var total: f64 = 0;
    for (0..chunks) |i| total += partials[i];
    ins.operand(inputs.len).ptr(f32)[0] = @floatCast(@sqrt(total));
}

/// In f64 throughout: no square of an f32 overflows or vanishes there.
fn sum_of_squares(x: [*]const f32, n: u64) f64 {
    const W = @Vector(lanes, f64);
    var chains: [4]W = @splat(@splat(0));
    var i: u64 = 0;
    while (i + 4 * lanes <= n) : (i += 4 * lanes) {
        inline for (0..4) |c| {
            const w: W = simd.load(f32, x + i + c * lanes);
            chains[c] = @mulAdd(W, w, w, chains[c]);
        }
    }
    const all: [lanes]f64 = (chains[0] + chains[1]) + (chains[2] + chains[3]);
    var total: f64 = 0;
    for (all) |part| total += part;
    while (i < n) : (i += 1) total += @as(f64, x[i]) * x[i];
    return total;
}

const testing = std.testing;
const team = @import("../cpu/test_team.zig");

test "several tensors, any thread count" {
    const sizes = [_]u32{ 5, 0, 65536, 200000, 1, 131073 };
    var total: u32 = 0;
    var chunks: u32 = 0;
    for (sizes) |size| {
        total += size;
        chunks += (size + 65535) / 65536;
    }
    const data = try testing.allocator.alloc(f32, total);
    defer testing.allocator.free(data);
    var prng = std.Random.DefaultPrng.init(9);
    var sum: f64 = 0;
    for (data) |*x| {
        x.* = prng.random().floatNorm(f32) * 1e25;
        sum += @as(f64, x.*) * x.*;
    }
    const space = try testing.allocator.alloc(u32, 2 * chunks);
    defer testing.allocator.free(space);
    var out: [1]f32 = undefined;
    var operands: [sizes.len + 2]abi.Operand = undefined;
    var at: u32 = 0;
    for (sizes, 0..) |size, i| {
        operands[i] = team.contiguous(data[at..][0..size], .f32, &.{size});
        at += size;
    }
    operands[sizes.len] = team.output(team.contiguous(@as([]f32, &out), .f32, &.{}));
    operands[sizes.len + 1] = team.output(team.contiguous(space, .u32, &.{2 * chunks}));
    const ins = team.instruction(.grad_norm, &operands, &.{}, true);
    var first: f32 = undefined;
    for (1..4) |threads| {
        @memset(space, 0xffffffff);
        _ = try team.run(kernels[0], &ins, @intCast(threads));
        if (threads == 1) first = out[0];
        try testing.expectEqual(first, out[0]);
        try testing.expectApproxEqRel(@sqrt(sum), out[0], 6e-8);
    }
    operands[sizes.len + 1].dims[0] -= 1;
    try testing.expect(team.check(kernels[0], &ins) != null);
}

test "not a number and infinity come through" {
    var x: [100]f32 = @splat(1);
    var out: [1]f32 = undefined;
    var space: [2]u32 = undefined;
    const operands = [_]abi.Operand{
        team.contiguous(@as([]f32, &x), .f32, &.{ 10, 10 }),
        team.output(team.contiguous(@as([]f32, &out), .f32, &.{})),
        team.output(team.contiguous(@as([]u32, &space), .u32, &.{2})),
    };
    const ins = team.instruction(.grad_norm, &operands, &.{}, true);
    _ = try team.run(kernels[0], &ins, 1);
    try testing.expectEqual(10, out[0]);
    x[99] = std.math.inf(f32);
    _ = try team.run(kernels[0], &ins, 1);
    try testing.expectEqual(std.math.inf(f32), out[0]);
    x[3] = std.math.nan(f32);
    _ = try team.run(kernels[0], &ins, 1);
    try testing.expect(std.math.isNan(out[0]));
}
