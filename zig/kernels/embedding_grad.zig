//! `embedding_grad`: gradient of an embedding table, rows of dy added in token order, see zig/cpu/scatter.zig. An id out
//! of range fails the program; its row is left out. No workspace and no scratch.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const expect = @import("../cpu/expect.zig");
const Scatter = @import("../cpu/scatter.zig").Scatter;

const Instruction = kernel.Instruction;

pub const kernels = [_]kernel.Kernel{
    .{ .opcode = .embedding_grad, .run = run, .check = check },
};

fn check(ins: *const Instruction) callconv(.c) ?[*:0]const u8 {
    if (ins.word_count != 1 or ins.word(0) > 1) return "embedding_grad: needs one word, 0 or 1";
    const has_base = ins.word(0) == 1;
    if (!expect.operands(ins, if (has_base) 4 else 3, 1))
        return "embedding_grad: wrong number of operands";
    const ids = ins.operand(0);
    const dy = ins.operand(1);
    const out = ins.operand(ins.operand_count - 1);
    if (!expect.dense_index(ids))
        return "embedding_grad: the ids are not contiguous i32 or u32";
    if (!expect.dense_of(dy, .f32)) return "embedding_grad: dy is not contiguous f32";
    if (!expect.dense_output(out) or out.dtype != .f32 or out.rank != 2)
        return "embedding_grad: the result is not contiguous f32 [V, C]";
    if (!expect.joined_dims(dy, ids, out, 1)) return "embedding_grad: wrong dims of dy";
    if (!has_base) return null;
    const base = ins.operand(2);
    if (!expect.dense_of(base, .f32) or !kernel.same_dims(base, out))
        return "embedding_grad: the base is not like the result";
    return null;
}

fn run(t: *kernel.Thread, ins: *const Instruction) callconv(.c) void {
    const out = ins.operand(ins.operand_count - 1);
    const scatter: Scatter = .{
        .ins = ins,
        .ids = ins.operand(0),
        .updates = ins.operand(1).ptr(f32),
        .base = if (ins.word(0) == 1) ins.operand(2).ptr(f32) else null,
        .out = out.ptr(f32),
        .rows = out.dims[0],
        .columns = out.dims[1],
    };
    scatter.run(t);
}

const testing = std.testing;
const team = @import("../cpu/test_team.zig");

test "with and without a base" {
    const v = 300;
    const c = 260;
    const m = 700;
    const floats = try testing.allocator.alloc(f32, 3 * v * c + m * c);
    defer testing.allocator.free(floats);
    var prng = std.Random.DefaultPrng.init(6);
    const random = prng.random();
    for (floats) |*x| x.* = random.floatNorm(f32);
    var ids: [m]u32 = undefined;
    // Frequent small ids, as in text.
    for (&ids) |*id| id.* = random.uintLessThan(u32, 1 + random.uintLessThan(u32, v));
    const base = floats[0 .. v * c];
    const out = floats[v * c ..][0 .. v * c];
    const want = floats[2 * v * c ..][0 .. v * c];
    const dy = floats[3 * v * c ..];
    const tokens = team.contiguous(@as([]u32, &ids), .i32, &.{m});
    const gradient = team.contiguous(dy, .f32, &.{ m, c });
    const table = team.contiguous(base, .f32, &.{ v, c });
    const result = team.output(team.contiguous(out, .f32, &.{ v, c }));
    for ([_]bool{ false, true }) |has_base| {
        if (has_base) @memcpy(want, base) else @memset(want, 0);
        for (ids, 0..) |id, k| for (0..c) |j| {
            want[id * c + j] += dy[k * c + j];
        };
        const operands: []const abi.Operand = if (has_base)
            &.{ tokens, gradient, table, result }
        else
            &.{ tokens, gradient, result };
        for (1..4) |threads| {
            const words = [_]u32{@intFromBool(has_base)};
            const ins = team.instruction(.embedding_grad, operands, &words, false);
            _ = try team.run(kernels[0], &ins, @intCast(threads));
            try testing.expectEqualSlices(f32, want, out);
        }
    }
    const missing = team.instruction(.embedding_grad, &.{ tokens, gradient, result }, &.{1}, false);
    try testing.expect(team.check(kernels[0], &missing) != null);
}
