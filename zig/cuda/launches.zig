//! Which kernels an instruction is on a GPU, with their grids. Most are one launch with the operands as they are; some
//! are several, with operands that are parts of the instruction's. Grids depend on shapes alone.
const std = @import("std");
const abi = @import("../abi.zig");
const failure = @import("../failure.zig");
const launch_attention = @import("launch_attention.zig");
const launch_loss = @import("launch_loss.zig");
const launch_map = @import("launch_map.zig");
const launch_matmul = @import("launch_matmul.zig");
const launch_scatter = @import("launch_scatter.zig");
const norms = @import("launch_norm.zig");
const optimizer = @import("launch_optimizer.zig");
const products_file = @import("products.zig");
const Task = @import("task.zig").Task;

const Error = failure.Error;
const Instruction = abi.Instruction;
const Operand = abi.Operand;

/// Names of the kernels in cuda/*.cu.
pub const Kernel = enum {
    adamw,
    argmax,
    attention,
    attention_cached,
    attention_grad_keys,
    attention_grad_queries,
    bias_bf16,
    cache_write,
    copy,
    cross_entropy,
    cross_entropy_grad,
    cumsum,
    dynamic_slice,
    dynamic_update,
    embedding,
    fill,
    flash_attention_128,
    flash_attention_32,
    flash_attention_64,
    flash_attention_96,
    flash_attention_delta,
    flash_attention_grad_keys_128,
    flash_attention_grad_keys_32,
    flash_attention_grad_keys_64,
    flash_attention_grad_keys_96,
    flash_attention_grad_keys_wgmma_64,
    flash_attention_grad_queries_128,
    flash_attention_grad_queries_32,
    flash_attention_grad_queries_64,
    flash_attention_grad_queries_96,
    flash_attention_grad_queries_wgmma_64,
    flash_attention_wgmma_128,
    flash_attention_wgmma_64,
    gather,
    grad_norm,
    grad_norm_chunks,
    iota,
    join_columns,
    layer_norm_2048,
    layer_norm_256,
    layer_norm_768,
    layer_norm_grad_1024,
    layer_norm_grad_2048,
    layer_norm_grad_256,
    layer_norm_grad_long,
    layer_norm_long,
    linear_cross_entropy,
    linear_cross_entropy_grad,
    map,
    map_reduce_any,
    map_reduce_columns,
    map_reduce_join,
    map_reduce_rows,
    map_single,
    matmul,
    matmul_epilogue,
    random_bits,
    random_normal,
    rms_norm_2048,
    rms_norm_256,
    rms_norm_768,
    rms_norm_grad_1024,
    rms_norm_grad_2048,
    rms_norm_grad_256,
    rms_norm_grad_long,
    rms_norm_long,
    rope,
    scatter_add,
    scatter_count,
    scatter_place,
    scatter_scan,
    softmax,
    softmax_grad,
    sum_columns,
};

/// As THREADS of cuda/theseus.h.
pub const threads = 256;

/// The threads of a kernel's blocks and their shared memory: what all have that do not say otherwise.
pub const Block = struct { threads: u32 = threads, shared_bytes: u32 = 4352 };

pub fn block_of(kernel: Kernel) Block {
    return switch (kernel) {
        .matmul => .{ .shared_bytes = 8192 },
        else => launch_attention.block_of(kernel) orelse .{},
    };
}

const product_alignment = @import("product.zig").alignment_max;
const blocks_max = 4096;
const rows_max = 1 << 16;

/// An operand of a launch: the instruction's operand `index`, from `offset` bytes on, seen through `view`.
pub const Part = struct { index: u32, offset: u64 = 0, view: Operand };

/// As `Part.index`: memory of the device beside the program's, see `Products.scratch`.
pub const device_scratch = std.math.maxInt(u32);

/// Operands of a product that cuBLASLt computes; those that it does not have are the result.
pub const ProductParts = struct { a: Part, b: Part, c: Part, d: Part, bias: Part, aux: Part };

pub const Launch = struct {
    kernel: Kernel,
    /// Instead of the kernel cuBLASLt computes this one of the plan's products; its parts are those of `ProductParts`.
    product: ?u32 = null,
    instruction: u32,
    grid: [3]u32,
    block: Block,
    first_part: u32,
    part_count: u32,
    first_word: u32,
    word_count: u32,
};

pub const Plan = struct {
    allocator: std.mem.Allocator,
    launches: std.ArrayList(Launch) = .empty,
    parts: std.ArrayList(Part) = .empty,
    words: std.ArrayList(u32) = .empty,
    prepared: std.ArrayList(products_file.Prepared) = .empty,
    /// Null: there is no cuBLASLt.
    products: ?*products_file.Products = null,
    /// Attention by the kernels for compute capability 9.0, see `Gpu.wgmma`.
    wgmma: bool = false,
    /// The plan only counts: no algorithm is searched.
    counts: bool = false,
    /// Room beside the launches' own: of launches that another choice of algorithms would have made.
    spare_bytes: u64 = 0,
    /// Of the instruction that is being planned.
    index: u32 = 0,
    /// Where its operands begin in their buffers.
    offsets: []const u64 = &.{},

    /// Appends the launches of one checked instruction; `offsets`: of its operands.
    pub fn add(p: *Plan, index: u32, ins: *const Instruction, offsets: []const u64) Error!void {
        p.index = index;
        p.offsets = offsets;
        p.choose(ins) catch |e| return switch (e) {
            error.Unsupported, error.KernelFailed => |known| known,
            else => failure.raise(error.OutOfMemory, "no memory for a program", .{}),
        };
    }

    /// Gives back what cuBLASLt keeps of the products.
    pub fn free(p: *Plan) void {
        if (p.products) |products| for (p.prepared.items) |*each| each.free(products);
    }

    /// Bytes to whose multiples an operand is aligned. Buffers begin at multiples of `product_alignment` at least.
    pub fn alignment(p: *const Plan, of: Part) u32 {
        const at = p.position(of);
        const best = product_alignment;
        return if (at == 0) best else @intCast(@min(best, at & -%at));
    }

    /// Where a part begins in its buffer.
    pub fn position(p: *const Plan, of: Part) u64 {
        return of.offset + p.offsets[of.index];
    }

    fn choose(p: *Plan, ins: *const Instruction) !void {
        const first = ins.operand(0);
        switch (ins.opcode) {
            .map => try launch_map.map(p, ins),
            .map_reduce => try launch_map.map_reduce(p, ins),
            .copy => try p.whole(.copy, ins, quads(ins.operand(1))),
            .fill => try p.whole(.fill, ins, quads(first)),
            .iota => try p.whole(.iota, ins, elements(first)),
            .random_bits => try p.whole(.random_bits, ins, elements(ins.operand(2))),
            .random_normal => try p.whole(.random_normal, ins, elements(first)),
            .matmul => try p.matmul(ins),
            .cumsum => try p.whole(.cumsum, ins, elements(first)),
            .argmax => try p.whole(.argmax, ins, warps(row_count(first))),
            .gather => try p.whole(.gather, ins, warps(ins.operand(1).count())),
            .embedding => try p.whole(.embedding, ins, warps(first.count())),
            .scatter_add => try launch_scatter.add(p, ins, 1, 2, 0),
            .embedding_grad => {
                try launch_scatter.add(p, ins, 0, 1, if (ins.word(0) == 1) 2 else null);
            },
            .dynamic_slice => try p.whole(.dynamic_slice, ins, elements(ins.operand(2))),
            .dynamic_update => {
                try p.copy_whole(ins, 0, 3);
                try p.whole(.dynamic_update, ins, elements(ins.operand(1)));
            },
            .cache_write => {
                try p.copy_whole(ins, 0, 4);
                try p.whole(.cache_write, ins, rows(ins.operand(3).count()));
            },
            .layer_norm, .rms_norm => try norms.forward(p, ins),
            .layer_norm_grad, .rms_norm_grad => try norms.gradient(p, ins),
            .softmax => try p.whole(.softmax, ins, teams(first)),
            .softmax_grad => try p.whole(.softmax_grad, ins, teams(first)),
            .cross_entropy => try p.whole(.cross_entropy, ins, teams(first)),
            .cross_entropy_grad => try p.whole(.cross_entropy_grad, ins, teams(first)),
            .linear_cross_entropy => try launch_loss.add(p, ins, false),
            .linear_cross_entropy_grad => try launch_loss.add(p, ins, true),
            .attention => try launch_attention.forward(p, ins),
            .attention_grad => try launch_attention.backward(p, ins),
            .attention_cached => {
                try p.whole(.attention_cached, ins, warps(first.count() / first.dims[3]));
            },
            .rope => try p.whole(.rope, ins, rope_grid(ins)),
            .adamw => try optimizer.adamw(p, ins),
            .grad_norm => try optimizer.grad_norm(p, ins),
        }
    }

    /// A launch with the instruction's operands and words.
    pub fn whole(p: *Plan, kernel: Kernel, ins: *const Instruction, grid: [3]u32) !void {
        try p.all(kernel, ins, grid, ins.words[0..ins.word_count]);
    }

    /// A launch with the instruction's operands and other words.
    pub fn all(
        p: *Plan,
        kernel: Kernel,
        ins: *const Instruction,
        grid: [3]u32,
        words: []const u32,
    ) !void {
        const first: u32 = @intCast(p.parts.items.len);
        for (ins.operands[0..ins.operand_count], 0..) |operand, i|
            try p.parts.append(p.allocator, .{ .index = @intCast(i), .view = operand });
        try p.launch(kernel, grid, first, words);
    }

    /// The launch that was added last.
    pub fn last_launch(p: *Plan) *Launch {
        return &p.launches.items[p.launches.items.len - 1];
    }

    pub fn some(
        p: *Plan,
        kernel: Kernel,
        grid: [3]u32,
        parts: []const Part,
        words: []const u32,
    ) !void {
        const first: u32 = @intCast(p.parts.items.len);
        try p.parts.appendSlice(p.allocator, parts);
        try p.launch(kernel, grid, first, words);
    }

    fn launch(p: *Plan, kernel: Kernel, grid: [3]u32, first: u32, words: []const u32) !void {
        const first_word: u32 = @intCast(p.words.items.len);
        try p.words.appendSlice(p.allocator, words);
        try p.launches.append(p.allocator, .{
            .kernel = kernel,
            .instruction = p.index,
            .grid = grid,
            .block = block_of(kernel),
            .first_part = first,
            .part_count = @as(u32, @intCast(p.parts.items.len)) - first,
            .first_word = first_word,
            .word_count = @intCast(words.len),
        });
    }

    const Mark = struct { launches: usize, parts: usize, words: usize };

    pub fn mark(p: *const Plan) Mark {
        return .{
            .launches = p.launches.items.len,
            .parts = p.parts.items.len,
            .words = p.words.items.len,
        };
    }

    /// Takes back the launches since the mark; the bytes that they would have had in a program.
    pub fn rewind(p: *Plan, to: Mark) u64 {
        const words = p.words.items.len - to.words;
        const bytes = (p.launches.items.len - to.launches) * @sizeOf(Task) +
            (p.parts.items.len - to.parts) * @sizeOf(Operand) + words * 4;
        p.launches.shrinkRetainingCapacity(to.launches);
        p.parts.shrinkRetainingCapacity(to.parts);
        p.words.shrinkRetainingCapacity(to.words);
        return bytes;
    }

    pub fn copy_whole(p: *Plan, ins: *const Instruction, from: u32, to: u32) !void {
        const parts = [_]Part{ part(ins, from), part(ins, to) };
        try p.some(.copy, quads(ins.operand(to)), &parts, &.{});
    }

    fn matmul(p: *Plan, ins: *const Instruction) !void {
        var parts: [9]Part = undefined;
        const count = ins.operand_count - ins.has_workspace;
        for (parts[0..count], 0..) |*to, i| to.* = part(ins, @intCast(i));
        try launch_matmul.add(p, parts[0..count], ins.words[0..ins.word_count]);
    }

    /// A product of cuBLASLt instead of a kernel.
    pub fn product(p: *Plan, prepared: products_file.Prepared, parts: ProductParts) !void {
        const number: u32 = @intCast(p.prepared.items.len);
        p.prepared.append(p.allocator, prepared) catch |e| {
            prepared.free(p.products.?);
            return e;
        };
        const first: u32 = @intCast(p.parts.items.len);
        inline for (@typeInfo(ProductParts).@"struct".fields) |field|
            try p.parts.append(p.allocator, @field(parts, field.name));
        try p.launch(.matmul, .{ 1, 1, 1 }, first, &.{});
        p.launches.items[p.launches.items.len - 1].product = number;
    }
};

pub fn part(ins: *const Instruction, index: u32) Part {
    return .{ .index = index, .view = ins.operand(index).* };
}

pub fn elements(o: *const Operand) [3]u32 {
    return elements_of(o.count());
}

/// A thread four neighbouring elements.
pub fn quads(o: *const Operand) [3]u32 {
    return elements_of((o.count() + 3) / 4);
}

/// A thread each of `count` things, as far as there are that many.
pub fn elements_of(count: u64) [3]u32 {
    return .{ @intCast(@max(1, @min(blocks_max, (count + threads - 1) / threads))), 1, 1 };
}

/// Longest row that a warp takes; as WIDE_LOGITS of cuda/logits.h.
pub const wide_row = 1024;

/// A warp a row of the last dim, or a block where rows are long.
fn teams(o: *const Operand) [3]u32 {
    return if (last(o) > wide_row) rows(row_count(o)) else warps(row_count(o));
}

/// As cuda/rope.cu: a block takes as many tokens at once as it has angles for, and begins with the frequencies, so that
/// there are no more blocks than run at a time.
fn rope_grid(ins: *const Instruction) [3]u32 {
    const half = ins.word(2) / 2;
    const angles = 256;
    const x = ins.operand(0);
    if (half > angles) return elements(x);
    const tokens = @as(u64, x.dims[0]) * x.dims[1];
    return .{ @min(1056, ceil(tokens, angles / half)), 1, 1 };
}

/// A warp a row.
pub fn warps(count: u64) [3]u32 {
    return rows((count + threads / 32 - 1) / (threads / 32));
}

/// A block a row.
pub fn rows(count: u64) [3]u32 {
    return .{ @intCast(@max(1, @min(rows_max, count))), 1, 1 };
}

pub fn ceil(n: u64, each: u64) u32 {
    return @intCast(@max(1, (n + each - 1) / each));
}

pub fn last(o: *const Operand) u64 {
    return o.dim_last(0);
}

pub fn row_count(o: *const Operand) u64 {
    return o.count() / @max(1, last(o));
}
