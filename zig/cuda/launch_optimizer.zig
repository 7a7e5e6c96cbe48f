//! The optimizer's launches: AdamW of all parameters that follow each other is one launch over a table of tensors, and the
//! norm of all gradients two.
const std = @import("std");
const abi = @import("../abi.zig");
const failure = @import("../failure.zig");
const launches = @import("launches.zig");

const Instruction = abi.Instruction;
const Operand = abi.Operand;
const Plan = launches.Plan;

/// Elements of a chunk, as ADAMW_CHUNK and NORM_CHUNK of cuda.
const adamw_chunk = 8192;
const norm_chunk = 16384;
const adamw_operands = 8;
const adamw_results = 5;

fn chunks(o: *const Operand, size: u64) u32 {
    return @intCast((o.count() + size - 1) / size);
}

/// Part of the last launch where that is AdamW too and ran just before; else a launch of its own.
pub fn adamw(p: *Plan, ins: *const Instruction) !void {
    const count = chunks(ins.operand(0), adamw_chunk);
    const last = last_adamw(p, ins) orelse {
        return p.all(.adamw, ins, .{ @max(1, count), 1, 1 }, &.{0});
    };
    const tensors = last.word_count;
    for (ins.operands[0..adamw_operands], 0..) |operand, i| {
        const index: u32 = @intCast(tensors * adamw_operands + i);
        try p.parts.append(p.allocator, .{ .index = index, .view = operand });
    }
    try p.words.append(p.allocator, last.grid[0]);
    last.part_count += adamw_operands;
    last.word_count += 1;
    last.grid[0] += count;
}

/// The last launch, if the instruction may run at the same time: what it reads and writes is none of that launch's results.
fn last_adamw(p: *Plan, ins: *const Instruction) ?*launches.Launch {
    const all = p.launches.items;
    if (all.len == 0) return null;
    const last = &all[all.len - 1];
    if (last.kernel != .adamw or last.instruction + last.word_count != p.index) return null;
    const parts = p.parts.items[last.first_part..][0..last.part_count];
    for (parts, 0..) |*part, i| {
        if (i % adamw_operands < adamw_results) continue;
        for (ins.operands[0..adamw_operands]) |*operand|
            if (operand.buffer == part.view.buffer) return null;
    }
    for (ins.operands[adamw_results..adamw_operands]) |*result| {
        for (parts) |*part| if (part.view.buffer == result.buffer) return null;
    }
    return last;
}

pub fn grad_norm(p: *Plan, ins: *const Instruction) !void {
    const inputs = ins.operands[0 .. ins.operand_count - 2];
    const firsts = try p.allocator.alloc(u32, inputs.len);
    defer p.allocator.free(firsts);
    var total: u32 = 0;
    for (firsts, inputs) |*first, *input| {
        first.* = total;
        total += chunks(input, norm_chunk);
    }
    const workspace = ins.workspace();
    if (workspace.count() * 4 < @as(u64, total) * 8 or @intFromPtr(workspace.data) % 8 != 0)
        return failure.raise(error.Unsupported, "the workspace of grad_norm is too small", .{});
    if (total > 0) try p.all(.grad_norm_chunks, ins, .{ total, 1, 1 }, firsts);
    try p.all(.grad_norm, ins, .{ 1, 1, 1 }, &.{total});
}
