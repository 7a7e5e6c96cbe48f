//! Kernels of attention: those on tensor cores where their tiles fit the operands, else those that take anything. Heads of
//! other sizes than the tiles' use the next larger one, whose last dims are then zeros.
const std = @import("std");
const abi = @import("../abi.zig");
const launches = @import("launches.zig");

const Block = launches.Block;
const Instruction = abi.Instruction;
const Kernel = launches.Kernel;
const Operand = abi.Operand;
const Plan = launches.Plan;

/// As FLASH_QUERIES of cuda/flash_attention.cu.
const forward_queries = 128;
/// Keys of a tile; two tiles of keys and of values are in shared memory.
const forward_keys = 64;
/// Word 4: weights are rounded to bf16 for their product with the values.
const compute_bf16 = 1;
const grid_max = std.math.maxInt(i32);

/// Dims of the tiles' rows.
const Width = enum(u32) { w32 = 32, w64 = 64, w96 = 96, w128 = 128 };

pub fn block_of(kernel: Kernel) ?Block {
    return switch (kernel) {
        .flash_attention_32 => forward_block(.w32),
        .flash_attention_64 => forward_block(.w64),
        .flash_attention_96 => forward_block(.w96),
        .flash_attention_128 => forward_block(.w128),
        else => null,
    };
}

fn forward_block(width: Width) Block {
    const rows = forward_queries + 4 * forward_keys;
    return .{ .threads = 128, .shared_bytes = rows * @intFromEnum(width) * 2 };
}

pub fn forward(p: *Plan, ins: *const Instruction) !void {
    const q = ins.operand(0);
    const tiles = std.math.divCeil(u64, q.dims[1], forward_queries) catch unreachable;
    const blocks = tiles * q.dims[0] * q.dims[2];
    const results: u32 = 3 + ins.word(1);
    var fits = blocks <= grid_max and ins.word(4) == compute_bf16 and has_chunks(p, ins, results);
    for (0..3) |index| fits = fits and is_half(p, ins, @intCast(index));
    const width = width_of(q) orelse return general(p, ins);
    if (!fits) return general(p, ins);
    const kernel: Kernel = switch (width) {
        .w32 => .flash_attention_32,
        .w64 => .flash_attention_64,
        .w96 => .flash_attention_96,
        .w128 => .flash_attention_128,
    };
    try p.whole(kernel, ins, .{ @intCast(blocks), 1, 1 });
}

fn general(p: *Plan, ins: *const Instruction) !void {
    const q = ins.operand(0);
    try p.whole(.attention, ins, launches.warps(q.count() / q.dims[3]));
}

fn width_of(q: *const Operand) ?Width {
    const size = q.dims[3];
    if (size == 0 or size % 16 != 0) return null;
    for (std.enums.values(Width)) |width| if (size <= @intFromEnum(width)) return width;
    return null;
}

fn is_half(p: *const Plan, ins: *const Instruction, index: u32) bool {
    return ins.operand(index).dtype == .bf16 and has_chunks(p, ins, index);
}

/// Whether 16 bytes of every row can be moved at once, and rows lie as near as the kernels' 32-bit offsets reach.
fn has_chunks(p: *const Plan, ins: *const Instruction, index: u32) bool {
    const o = ins.operand(index);
    const bytes = abi.dtype_bytes(o.dtype);
    if (p.offsets[index] % 16 != 0) return false;
    for (o.dims[0..3], o.strides[0..3]) |dim, stride|
        if (dim > 1 and (stride * bytes % 16 != 0)) return false;
    return o.dims[1] <= 1 or o.strides[1] * bytes < 4 << 20;
}

/// The kernel of a [2, 300, 4, size] attention over 2 key heads, packed in one tensor, that begins at `offset`.
fn chosen(size: u32, dtype: abi.Dtype, compute: u32, offset: u64) !Kernel {
    var arena: std.heap.ArenaAllocator = .init(std.testing.allocator);
    defer arena.deinit();
    var operands: [5]Operand = @splat(.{
        .data = @ptrFromInt(64),
        .dims = .{ 2, 300, 4, size, 0, 0, 0, 0 },
        .strides = .{ 300 * 8 * size, 8 * size, size, 1, 0, 0, 0, 0 },
        .rank = 4,
        .dtype = dtype,
        .output = 0,
        .buffer = 0,
    });
    for (operands[1..3]) |*o| o.dims[2] = 2;
    const words = [_]u32{ 1, 0, 0, @bitCast(@as(f32, 0.1)), compute };
    const ins: Instruction = .{
        .opcode = .attention,
        .operand_count = operands.len,
        .word_count = words.len,
        .operands = &operands,
        .words = &words,
        .node = 0,
        .has_workspace = 0,
    };
    var plan: Plan = .{ .allocator = arena.allocator() };
    try plan.add(0, &ins, &.{ offset, offset, offset, offset, 0 });
    try std.testing.expectEqual(1, plan.launches.items.len);
    return plan.launches.items[0].kernel;
}

test "tensor cores take bf16 heads of whole chunks" {
    const expectEqual = std.testing.expectEqual;
    try expectEqual(Kernel.flash_attention_32, chosen(16, .bf16, 1, 0));
    try expectEqual(Kernel.flash_attention_64, chosen(48, .bf16, 1, 32));
    try expectEqual(Kernel.flash_attention_96, chosen(80, .bf16, 1, 0));
    try expectEqual(Kernel.flash_attention_128, chosen(128, .bf16, 1, 0));
    try expectEqual(Kernel.attention, chosen(128, .bf16, 1, 8));
    try expectEqual(Kernel.attention, chosen(64, .bf16, 0, 0));
    try expectEqual(Kernel.attention, chosen(64, .f32, 1, 0));
    try expectEqual(Kernel.attention, chosen(20, .bf16, 1, 0));
    try expectEqual(Kernel.attention, chosen(144, .bf16, 1, 0));
}
