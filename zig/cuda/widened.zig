//! A GPU's kernels are checked by the CPU's `check`, but take some operands as bf16 that the CPU has in f32 only, and keep
//! the logits of a loss in the products' dtype. This is the instruction as the CPU would have it.
const std = @import("std");
const abi = @import("../abi.zig");

const Flag = abi.MatmulFlag;
const Instruction = abi.Instruction;
const Operand = abi.Operand;

/// More operands than any of the opcodes below has.
pub const operands_max = 64;

/// Null: a GPU takes nothing else than the CPU. `operands` holds those of the result.
pub fn widened(ins: *const Instruction, operands: *[operands_max]Operand) ?Instruction {
    if (ins.operand_count > operands_max) return null;
    var changed = false;
    for (ins.operands[0..ins.operand_count], 0..) |*from, index| {
        operands[index] = from.*;
        if (from.dtype != .bf16 or !may_be_bf16(ins, index)) continue;
        operands[index].dtype = .f32;
        changed = true;
    }
    if (has_narrow_logits(ins)) {
        const logits = &operands[ins.operand_count - 1];
        logits.dims[0] = std.math.mul(u32, logits.dims[0], 2) catch return null;
        changed = true;
    }
    if (!changed) return null;
    var wide = ins.*;
    wide.operands = operands;
    return wide;
}

fn may_be_bf16(ins: *const Instruction, index: usize) bool {
    return switch (ins.opcode) {
        .matmul => is_aux(ins, index),
        // dy, the residual gradient and dx.
        .layer_norm_grad => index >= 4 and index <= 5 + flag(ins, 1),
        .rms_norm_grad => index >= 3 and index <= 4 + flag(ins, 0),
        // dout, dq, dk and dv.
        .attention_grad => index == 5 or index >= 6 + flag(ins, 1),
        .linear_cross_entropy => index == 1,
        .linear_cross_entropy_grad => index == 1 or index == 6 + flag(ins, 2),
        .embedding_grad => index == 1,
        else => false,
    };
}

/// The value before an activation, read or kept.
fn is_aux(ins: *const Instruction, index: usize) bool {
    const flags = word(ins, 0);
    var next: usize = 2;
    for ([_]u32{ Flag.bias, Flag.residual }) |bit| next += @intFromBool(flags & bit != 0);
    if (flags & Flag.activation_grad != 0) {
        if (index == next) return true;
        next += 1;
    }
    return flags & Flag.save_aux != 0 and index == next + 1;
}

fn has_narrow_logits(ins: *const Instruction) bool {
    const is_loss = ins.opcode == .linear_cross_entropy or ins.opcode == .linear_cross_entropy_grad;
    return is_loss and ins.has_workspace == 1 and word(ins, 0) == 1;
}

/// Nothing of the instruction has been checked yet.
fn word(ins: *const Instruction, index: u32) u32 {
    return if (index < ins.word_count) ins.words[index] else 0;
}

fn flag(ins: *const Instruction, index: u32) usize {
    return @min(1, word(ins, index));
}

test "the value before an activation" {
    const data: [*]align(4) u8 = @ptrFromInt(64);
    const operand: Operand = .{
        .data = data,
        .dims = @splat(1),
        .strides = @splat(1),
        .rank = 3,
        .dtype = .bf16,
        .output = 0,
        .buffer = 0,
    };
    const operands: [5]Operand = @splat(operand);
    const words = [_]u32{ Flag.bias | Flag.activation | Flag.save_aux, 1, 1, 0 };
    var ins: Instruction = .{
        .opcode = .matmul,
        .operand_count = 5,
        .word_count = 4,
        .operands = &operands,
        .words = &words,
        .node = 0,
        .has_workspace = 0,
    };
    var copies: [operands_max]Operand = undefined;
    const wide = widened(&ins, &copies).?;
    const dtypes = [_]abi.Dtype{ .bf16, .bf16, .bf16, .bf16, .f32 };
    for (wide.operands[0..5], dtypes) |o, dtype| try std.testing.expectEqual(dtype, o.dtype);
    ins.opcode = .map;
    try std.testing.expectEqual(null, widened(&ins, &copies));
}
