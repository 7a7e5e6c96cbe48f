//! The kernels of one CPU level: `build.zig` compiles this file once per level and the root library finds the
//! table by its symbol. A new kernel file is added to `files`; the check below keeps opcodes and kernels one to one.
const std = @import("std");
const abi = @import("abi.zig");
const kernel = @import("cpu/kernel.zig");
const Table = @import("cpu/table.zig").Table;
const level_name = @import("level").name;

const files = .{
    @import("kernels/adamw.zig"),
    @import("kernels/argmax.zig"),
    @import("kernels/attention.zig"),
    @import("kernels/attention_cached.zig"),
    @import("kernels/attention_grad.zig"),
    @import("kernels/cache_write.zig"),
    @import("kernels/copy.zig"),
    @import("kernels/cross_entropy.zig"),
    @import("kernels/cross_entropy_grad.zig"),
    @import("kernels/cumsum.zig"),
    @import("kernels/dynamic_slice.zig"),
    @import("kernels/dynamic_update.zig"),
    @import("kernels/embedding.zig"),
    @import("kernels/embedding_grad.zig"),
    @import("kernels/fill.zig"),
    @import("kernels/gather.zig"),
    @import("kernels/grad_norm.zig"),
    @import("kernels/iota.zig"),
    @import("kernels/layer_norm.zig"),
    @import("kernels/layer_norm_grad.zig"),
    @import("kernels/linear_cross_entropy.zig"),
    @import("kernels/linear_cross_entropy_grad.zig"),
    @import("kernels/map.zig"),
    @import("kernels/map_reduce.zig"),
    @import("kernels/matmul.zig"),
    @import("kernels/random_bits.zig"),
    @import("kernels/random_normal.zig"),
    @import("kernels/rms_norm.zig"),
    @import("kernels/rms_norm_grad.zig"),
    @import("kernels/rope.zig"),
    @import("kernels/scatter_add.zig"),
    @import("kernels/softmax.zig"),
    @import("kernels/softmax_grad.zig"),
};

pub const kernels = collect();

const table: Table = .{
    .kernels = &kernels,
    .count = kernels.len,
    .lanes = @import("cpu/simd.zig").lanes,
};

fn kernels_of(comptime file: type) []const kernel.Kernel {
    return &file.kernels;
}

fn kernel_count() usize {
    var count: usize = 0;
    for (files) |file| count += kernels_of(file).len;
    return count;
}

fn collect() [kernel_count()]kernel.Kernel {
    var all: [kernel_count()]kernel.Kernel = undefined;
    var count: usize = 0;
    for (files) |file| {
        for (kernels_of(file)) |entry| {
            for (all[0..count]) |earlier| {
                if (earlier.opcode == entry.opcode)
                    @compileError("two kernels for opcode " ++ @tagName(entry.opcode));
            }
            all[count] = entry;
            count += 1;
        }
    }
    return all;
}

comptime {
    for (@typeInfo(abi.Opcode).@"enum".fields) |opcode| {
        for (kernels) |entry| {
            if (@intFromEnum(entry.opcode) == opcode.value) break;
        } else @compileError("no kernel for opcode " ++ opcode.name);
    }
    @export(&table, .{ .name = "theseus_kernels_" ++ level_name, .visibility = .hidden });
}

extern fn theseus_panic(message: [*]const u8, bytes: usize) callconv(.c) noreturn;

/// The root library's handler knows which program and node the thread is at.
pub const panic = std.debug.FullPanic(struct {
    fn call(message: []const u8, _: ?usize) noreturn {
        theseus_panic(message.ptr, message.len);
    }
}.call);
