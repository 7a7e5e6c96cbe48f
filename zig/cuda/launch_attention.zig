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

/// As FLASH_QUERIES of cuda/flash_attention.cu and `queries` of cuda/flash_attention_wgmma.cu.
const forward_queries = 128;
/// Rows of the tiles that a block goes over; two of each kind are in shared memory.
const tile_rows = 64;
/// What a row of queries brings with it in cuda/flash_attention_grad_keys.cu, and where its operands lie.
const row_bytes = 12;
const place_bytes = 256;
/// Word 4: weights are rounded to bf16 for their product with the values.
const compute_bf16 = 1;
/// Rows whose gradients a block of cuda/flash_attention_grad_wgmma.cu makes: as `grad_rows` of their width.
const wgmma_grad_rows = 128;
/// Of cuda/flash_attention_wgmma.cu: keys of a tile, two of which are in shared memory with as many values, and what says where
/// they come from.
const wgmma_keys = std.EnumArray(Width, u32).init(.{ .w32 = 0, .w64 = 64, .w96 = 0, .w128 = 128 });
const wgmma_rows_bytes = 64;
const grid_max = std.math.maxInt(i32);

/// Dims of the tiles' rows.
const Width = enum(u32) {
    w32 = 32,
    w64 = 64,
    w96 = 96,
    w128 = 128,

    fn bytes(width: Width) u32 {
        return @intFromEnum(width) * 2;
    }

    /// Warps of a block of the gradient's kernels: as many as registers have room for.
    fn grad_warps(width: Width) u32 {
        return if (@intFromEnum(width) <= 64) 8 else 4;
    }

    /// Queries or keys whose gradients a block makes.
    fn grad_rows(width: Width) u32 {
        return 16 * width.grad_warps();
    }
};

const Part = enum { forward, grad_keys, grad_queries };

/// The kernel of each width.
const kernels = std.EnumArray(Part, std.EnumArray(Width, Kernel)).init(.{
    .forward = .init(.{
        .w32 = .flash_attention_32,
        .w64 = .flash_attention_64,
        .w96 = .flash_attention_96,
        .w128 = .flash_attention_128,
    }),
    .grad_keys = .init(.{
        .w32 = .flash_attention_grad_keys_32,
        .w64 = .flash_attention_grad_keys_64,
        .w96 = .flash_attention_grad_keys_96,
        .w128 = .flash_attention_grad_keys_128,
    }),
    .grad_queries = .init(.{
        .w32 = .flash_attention_grad_queries_32,
        .w64 = .flash_attention_grad_queries_64,
        .w96 = .flash_attention_grad_queries_96,
        .w128 = .flash_attention_grad_queries_128,
    }),
});

pub fn block_of(kernel: Kernel) ?Block {
    for (std.enums.values(Part)) |each| for (std.enums.values(Width)) |width| {
        if (kernels.get(each).get(width) == kernel) return block(each, width);
    };
    for (std.enums.values(Part)) |each| for (std.enums.values(Width)) |width| {
        if (wgmma_kernel(each, width) == kernel) return wgmma_block(each, width);
    };
    return null;
}

/// Null: heads of this width are left to mma.sync.
fn wgmma_kernel(each: Part, width: Width) ?Kernel {
    return switch (width) {
        .w64 => switch (each) {
            .forward => .flash_attention_wgmma_64,
            .grad_keys => .flash_attention_grad_keys_wgmma_64,
            .grad_queries => .flash_attention_grad_queries_wgmma_64,
        },
        .w128 => if (each == .forward) .flash_attention_wgmma_128 else null,
        .w32, .w96 => null,
    };
}

fn wgmma_block(each: Part, width: Width) Block {
    const rows = switch (each) {
        .forward => forward_queries + 4 * wgmma_keys.get(width),
        .grad_keys, .grad_queries => 2 * wgmma_grad_rows + 4 * tile_rows,
    };
    const beside: u32 = switch (each) {
        .forward => wgmma_rows_bytes,
        .grad_keys => 2 * tile_rows * row_bytes + place_bytes,
        .grad_queries => wgmma_rows_bytes + 2 * wgmma_grad_rows * @sizeOf(f32),
    };
    return .{ .threads = 256, .shared_bytes = rows * width.bytes() + beside };
}

fn kernel_of(p: *const Plan, each: Part, width: Width) Kernel {
    const wgmma = if (p.wgmma) wgmma_kernel(each, width) else null;
    return wgmma orelse kernels.get(each).get(width);
}

fn block(each: Part, width: Width) Block {
    const tiles = 4 * tile_rows * width.bytes();
    return switch (each) {
        .forward => .{ .threads = 128, .shared_bytes = forward_queries * width.bytes() + tiles },
        .grad_queries => .{
            .threads = 32 * width.grad_warps(),
            .shared_bytes = 2 * width.grad_rows() * width.bytes() + tiles,
        },
        .grad_keys => .{
            .threads = 32 * width.grad_warps(),
            .shared_bytes = 2 * width.grad_rows() * width.bytes() + tiles +
                2 * tile_rows * row_bytes + place_bytes,
        },
    };
}

pub fn forward(p: *Plan, ins: *const Instruction) !void {
    const q = ins.operand(0);
    const results: u32 = 3 + ins.word(1);
    const blocks = blocks_of(q, forward_queries);
    var fits = blocks <= grid_max and ins.word(4) == compute_bf16 and has_chunks(p, ins, results);
    for (0..3) |index| fits = fits and is_half(p, ins, @intCast(index));
    if (fits) if (width_of(q)) |width| {
        return p.whole(kernel_of(p, .forward, width), ins, .{ @intCast(blocks), 1, 1 });
    };
    try p.whole(.attention, ins, launches.warps(q.count() / q.dims[3]));
}

pub fn backward(p: *Plan, ins: *const Instruction) !void {
    const q = ins.operand(0);
    const k = ins.operand(1);
    const rows = q.count() / q.dims[3];
    if (try flash_backward(p, ins, q, k)) return;
    try p.whole(.attention_grad_queries, ins, launches.warps(rows));
    try p.whole(.attention_grad_keys, ins, launches.warps(k.count() / k.dims[3]));
}

/// False: the operands are not for tensor cores.
fn flash_backward(p: *Plan, ins: *const Instruction, q: *const Operand, k: *const Operand) !bool {
    const width = width_of(q) orelse return false;
    if (ins.word(4) != compute_bf16) return false;
    for ([_]u32{ 0, 1, 2, dout }) |index| if (!is_half(p, ins, index)) return false;
    const results: u32 = 6 + ins.word(1);
    for ([_]u32{ out, results, results + 1, results + 2 }) |index|
        if (!has_chunks(p, ins, index)) return false;
    const queries = blocks_of(q, width.grad_rows());
    const keys = blocks_of(k, width.grad_rows());
    if (@max(queries, keys) > grid_max) return false;
    const rows = q.count() / q.dims[3];
    try p.whole(.flash_attention_delta, ins, launches.warps((rows + 3) / 4));
    try p.whole(kernel_of(p, .grad_keys, width), ins, .{ @intCast(keys), 1, 1 });
    try p.whole(kernel_of(p, .grad_queries, width), ins, .{ @intCast(queries), 1, 1 });
    return true;
}

/// Operands of the gradient.
const out = 3;
const dout = 5;

/// Blocks that have `rows` positions of one head each.
fn blocks_of(o: *const Operand, rows: u64) u64 {
    return (o.dims[1] + rows - 1) / rows * o.dims[0] * o.dims[2];
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

/// The first kernel of an operation on [2, 300, 4, size] over 2 key heads, packed in one tensor that begins at `offset`.
fn chosen(opcode: abi.Opcode, size: u32, dtype: abi.Dtype, compute: u32, offset: u64) !Kernel {
    return chosen_by(false, opcode, size, dtype, compute, offset);
}

fn chosen_by(
    wgmma: bool,
    opcode: abi.Opcode,
    size: u32,
    dtype: abi.Dtype,
    compute: u32,
    offset: u64,
) !Kernel {
    var arena: std.heap.ArenaAllocator = .init(std.testing.allocator);
    defer arena.deinit();
    var operands: [9]Operand = @splat(.{
        .data = @ptrFromInt(64),
        .dims = .{ 2, 300, 4, size, 0, 0, 0, 0 },
        .strides = .{ 300 * 8 * size, 8 * size, size, 1, 0, 0, 0, 0 },
        .rank = 4,
        .dtype = dtype,
        .output = 0,
        .buffer = 0,
    });
    for ([_]u32{ 1, 2, 7, 8 }) |i| operands[i].dims[2] = 2;
    const words = [_]u32{ 1, 0, 0, @bitCast(@as(f32, 0.1)), compute };
    const ins: Instruction = .{
        .opcode = opcode,
        .operand_count = if (opcode == .attention) 5 else 9,
        .word_count = words.len,
        .operands = &operands,
        .words = &words,
        .node = 0,
        .has_workspace = 0,
    };
    var plan: Plan = .{ .allocator = arena.allocator(), .wgmma = wgmma };
    const offsets: [9]u64 = @splat(offset);
    try plan.add(0, &ins, offsets[0..ins.operand_count]);
    return plan.launches.items[0].kernel;
}

test "tensor cores take bf16 heads of whole chunks" {
    const expectEqual = std.testing.expectEqual;
    try expectEqual(Kernel.flash_attention_32, chosen(.attention, 16, .bf16, 1, 0));
    try expectEqual(Kernel.flash_attention_64, chosen(.attention, 48, .bf16, 1, 32));
    try expectEqual(Kernel.flash_attention_96, chosen(.attention, 80, .bf16, 1, 0));
    try expectEqual(Kernel.flash_attention_128, chosen(.attention, 128, .bf16, 1, 0));
    try expectEqual(Kernel.attention, chosen(.attention, 128, .bf16, 1, 8));
    try expectEqual(Kernel.attention, chosen(.attention, 64, .bf16, 0, 0));
    try expectEqual(Kernel.attention, chosen(.attention, 64, .f32, 1, 0));
    try expectEqual(Kernel.attention, chosen(.attention, 20, .bf16, 1, 0));
    try expectEqual(Kernel.attention, chosen(.attention, 144, .bf16, 1, 0));
    const grad = abi.Opcode.attention_grad;
    try expectEqual(Kernel.flash_attention_delta, chosen(grad, 64, .bf16, 1, 0));
    try expectEqual(Kernel.attention_grad_queries, chosen(grad, 64, .bf16, 0, 0));
    try expectEqual(Kernel.attention_grad_queries, chosen(grad, 64, .bf16, 1, 8));
    try expectEqual(Kernel.attention_grad_queries, chosen(grad, 8, .bf16, 1, 0));
}

test "wgmma takes the widths that it has kernels for, where it is asked for" {
    const expectEqual = std.testing.expectEqual;
    const attention = abi.Opcode.attention;
    try expectEqual(Kernel.flash_attention_wgmma_64, chosen_by(true, attention, 64, .bf16, 1, 0));
    try expectEqual(Kernel.flash_attention_wgmma_128, chosen_by(true, attention, 112, .bf16, 1, 0));
    try expectEqual(Kernel.flash_attention_32, chosen_by(true, attention, 32, .bf16, 1, 0));
    try expectEqual(Kernel.flash_attention_96, chosen_by(true, attention, 96, .bf16, 1, 0));
    try expectEqual(Kernel.attention, chosen_by(true, attention, 64, .f32, 1, 0));
    var plan: Plan = .{ .allocator = std.testing.allocator, .wgmma = true };
    const keys = Kernel.flash_attention_grad_keys_wgmma_64;
    const queries = Kernel.flash_attention_grad_queries_wgmma_64;
    try expectEqual(keys, kernel_of(&plan, .grad_keys, .w64));
    try expectEqual(queries, kernel_of(&plan, .grad_queries, .w64));
    try expectEqual(Kernel.flash_attention_grad_keys_128, kernel_of(&plan, .grad_keys, .w128));
    plan.wgmma = false;
    try expectEqual(Kernel.flash_attention_grad_keys_64, kernel_of(&plan, .grad_keys, .w64));
}

test "shared memory is enough for every GPU" {
    for (std.enums.values(Part)) |each| for (std.enums.values(Width)) |width|
        try std.testing.expect(block(each, width).shared_bytes <= 99 << 10);
    try std.testing.expectEqual(48 << 10, block(.forward, .w64).shared_bytes);
    // Of compute capability 9.0.
    const wgmma = block_of(.flash_attention_wgmma_128).?;
    try std.testing.expect(wgmma.shared_bytes <= 227 << 10);
    try std.testing.expectEqual(wgmma_grad_rows, Width.grad_rows(.w64));
    try std.testing.expectEqual(null, block_of(.matmul));
}
