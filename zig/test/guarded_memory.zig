//! Kernels on random operands that end at a page nobody may touch, scratch too: whatever `check` lets through must
//! stay inside. Values are sometimes random bits, ids often out of range.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("../cpu/kernel.zig");
const team = @import("../cpu/test_team.zig");
const attention = @import("../kernels/attention.zig").kernels[0];
const attention_grad = @import("../kernels/attention_grad.zig").kernels[0];
const cross_entropy = @import("../kernels/cross_entropy.zig").kernels[0];
const cross_entropy_grad = @import("../kernels/cross_entropy_grad.zig").kernels[0];
const layer_norm = @import("../kernels/layer_norm.zig").kernels[0];
const layer_norm_grad = @import("../kernels/layer_norm_grad.zig").kernels[0];
const rms_norm = @import("../kernels/rms_norm.zig").kernels[0];
const rms_norm_grad = @import("../kernels/rms_norm_grad.zig").kernels[0];
const rope = @import("../kernels/rope.zig").kernels[0];
const softmax = @import("../kernels/softmax.zig").kernels[0];
const softmax_grad = @import("../kernels/softmax_grad.zig").kernels[0];

const linux = std.os.linux;
const page_bytes = 4096;
const region_bytes = 1 << 21;
const operands_max = 16;

const Layout = enum { dense, strided };

const Memory = struct {
    rng: std.Random,
    /// The last one is for scratch.
    regions: [operands_max + 1][*]u8,
    used: u32 = 0,

    fn init(rng: std.Random) Memory {
        var memory = Memory{ .rng = rng, .regions = undefined };
        for (&memory.regions) |*region| {
            const flags: linux.MAP = .{ .TYPE = .PRIVATE, .ANONYMOUS = true };
            const both: linux.PROT = .{ .READ = true, .WRITE = true };
            region.* = @ptrFromInt(linux.mmap(null, region_bytes + page_bytes, both, flags, -1, 0));
            std.debug.assert(linux.mprotect(region.* + region_bytes, page_bytes, .{}) == 0);
        }
        return memory;
    }

    fn deinit(memory: *Memory) void {
        for (memory.regions) |region| _ = linux.munmap(region, region_bytes + page_bytes);
    }

    fn float(memory: *Memory) abi.Dtype {
        return if (memory.rng.boolean()) .f32 else .bf16;
    }

    fn index(memory: *Memory) abi.Dtype {
        return if (memory.rng.boolean()) .i32 else .u32;
    }

    /// The next operand of this round; strided inputs have gaps and repeated dims.
    fn take(
        m: *Memory,
        dtype: abi.Dtype,
        dims: []const u32,
        out: bool,
        layout: Layout,
    ) abi.Operand {
        var strides: [abi.rank_max]u64 = @splat(0);
        var step: u64 = 1;
        var last: u64 = 0;
        var d = dims.len;
        while (d > 0) {
            d -= 1;
            const inner = d == dims.len - 1;
            const may_repeat = layout == .strided and !inner and !out;
            const repeats = may_repeat and m.rng.uintLessThan(u32, 6) == 0;
            strides[d] = if (repeats) 0 else step;
            last += (dims[d] - 1) * strides[d];
            step *= dims[d];
            if (layout == .strided and m.rng.boolean()) step += m.rng.uintLessThan(u32, 9);
        }
        const bytes = (last + 1) * abi.dtype_bytes(dtype);
        std.debug.assert(bytes <= region_bytes and m.used < operands_max);
        const data = (m.regions[m.used] + (region_bytes - bytes))[0..bytes];
        m.used += 1;
        m.fill(data, dtype);
        const o = team.strided(data, dtype, dims, strides[0..dims.len]);
        return if (out) team.output(o) else o;
    }

    fn fill(m: *Memory, data: []u8, dtype: abi.Dtype) void {
        m.rng.bytes(data);
        if (m.rng.uintLessThan(u32, 8) == 0 or dtype == .bf16) return;
        for (std.mem.bytesAsSlice(u32, data)) |*word| {
            const wild = m.rng.uintLessThan(u32, 10) == 0;
            if (dtype == .f32) {
                word.* = @bitCast(m.rng.floatNorm(f32));
            } else if (!wild) word.* = m.rng.uintLessThan(u32, 80);
        }
    }

    /// As the only thread, and as if one of 64: that takes the finer tiles.
    fn run(
        m: *Memory,
        k: kernel.Kernel,
        list: []const abi.Operand,
        words: []const u32,
        workspace: bool,
    ) bool {
        const ins = team.instruction(k.opcode, list, words, workspace);
        if (team.check(k, &ins) != null) return false;
        const bytes = if (k.scratch) |scratch| scratch(&ins) else 0;
        std.debug.assert(bytes <= region_bytes and bytes % 64 == 0);
        const scratch = m.regions[operands_max] + (region_bytes - bytes);
        for ([_]u32{ 1, 64 }) |count| {
            // A kernel with phases waits for the others.
            if (workspace and count > 1) break;
            var state = kernel.Team{};
            var thread = kernel.Thread{
                .team = &state,
                .scratch = @alignCast(scratch),
                .scratch_bytes = bytes,
                .index = 0,
                .count = count,
            };
            k.run(&thread, &ins);
        }
        return true;
    }
};

fn run_attention(m: *Memory) u32 {
    const rng = m.rng;
    m.used = 0;
    const b = rng.intRangeAtMost(u32, 1, 2);
    const t = rng.intRangeAtMost(u32, 1, 200);
    const g = rng.intRangeAtMost(u32, 1, 3);
    const h = g * rng.intRangeAtMost(u32, 1, 3);
    const d = rng.intRangeAtMost(u32, 1, 70);
    const documents = rng.boolean();
    const window = if (rng.boolean()) 0 else rng.uintLessThan(u32, 220);
    const scale = if (rng.uintLessThan(u32, 9) == 0) rng.int(u32) else team.word(0.2);
    const bits = [_]u32{ rng.uintLessThan(u32, 2), rng.uintLessThan(u32, 2) };
    const words = [_]u32{ bits[0], @intFromBool(documents), window, scale, bits[1] };
    const q = m.take(m.float(), &.{ b, t, h, d }, false, .strided);
    const k = m.take(m.float(), &.{ b, t, g, d }, false, .strided);
    const v = m.take(m.float(), &.{ b, t, g, d }, false, .strided);
    const out = m.take(m.float(), &.{ b, t, h, d }, true, .strided);
    const lse = m.take(.f32, &.{ b, h, t }, true, .dense);
    const starts = m.take(.u32, &.{ b, t }, false, .strided);
    const dout = m.take(.f32, &.{ b, t, h, d }, false, .strided);
    const dq = m.take(.f32, &.{ b, t, h, d }, true, .strided);
    const dk = m.take(.f32, &.{ b, t, g, d }, true, .strided);
    const dv = m.take(.f32, &.{ b, t, g, d }, true, .strided);
    var ran: u32 = 0;
    const forward: []const abi.Operand = if (documents)
        &.{ q, k, v, starts, out, lse }
    else
        &.{ q, k, v, out, lse };
    ran += @intFromBool(m.run(attention, forward, &words, false));
    const backward: []const abi.Operand = if (documents)
        &.{ q, k, v, out, lse, dout, starts, dq, dk, dv }
    else
        &.{ q, k, v, out, lse, dout, dq, dk, dv };
    ran += @intFromBool(m.run(attention_grad, backward, &words, false));
    const positions = m.take(m.index(), &.{ b, t }, false, .strided);
    const turn = [_]u32{ team.word(rng.float(f32) * 1000), bits[0], rng.uintLessThan(u32, d + 2) };
    ran += @intFromBool(m.run(rope, &.{ q, positions, out }, &turn, false));
    return ran;
}

fn run_rows(memory: *Memory) u32 {
    const rng = memory.rng;
    memory.used = 0;
    const m = rng.intRangeAtMost(u32, 1, 90);
    const c = rng.intRangeAtMost(u32, 1, 90);
    const x = memory.take(memory.float(), &.{ m, c }, false, .dense);
    const y = memory.take(memory.float(), &.{ m, c }, true, .dense);
    const weight = memory.take(.f32, &.{c}, false, .dense);
    const mean = memory.take(.f32, &.{m}, true, .dense);
    const rstd = memory.take(.f32, &.{m}, true, .dense);
    const dy = memory.take(.f32, &.{ m, c }, false, .dense);
    const dx = memory.take(.f32, &.{ m, c }, true, .dense);
    const sums = [_]abi.Operand{
        memory.take(.f32, &.{c}, true, .dense),
        memory.take(.f32, &.{c}, true, .dense),
    };
    // Sometimes an element short for layer_norm_grad, which then must refuse.
    const count = (m + 31) / 32 * c * 2 - rng.uintLessThan(u32, 2);
    const workspace = memory.take(.u32, &.{count}, true, .dense);
    const ids = memory.take(memory.index(), &.{m}, false, .dense);
    const eps = rng.int(u32);
    const grads = [_]abi.Operand{ x, weight, mean, rstd, dy, dy, dx, sums[0], sums[1], workspace };
    const rms_grads = [_]abi.Operand{ x, weight, rstd, dy, dy, dx, sums[0], workspace };
    const ran = [_]bool{
        memory.run(layer_norm, &.{ x, weight, weight, y, mean, rstd }, &.{ eps, 1 }, false),
        memory.run(layer_norm, &.{ x, weight, y, mean, rstd }, &.{ eps, 0 }, false),
        memory.run(rms_norm, &.{ x, weight, y, rstd }, &.{eps}, false),
        memory.run(layer_norm_grad, &grads, &.{ 1, 1 }, true),
        memory.run(rms_norm_grad, &rms_grads, &.{1}, true),
        memory.run(softmax, &.{ x, y }, &.{}, false),
        memory.run(softmax_grad, &.{ x, dy, dx }, &.{}, false),
        memory.run(cross_entropy, &.{ x, ids, mean, rstd }, &.{}, false),
        memory.run(cross_entropy_grad, &.{ x, ids, mean, rstd, dx }, &.{}, false),
    };
    var total: u32 = 0;
    for (ran) |each| total += @intFromBool(each);
    return total;
}

test "kernels stay inside their operands and scratch" {
    var prng = std.Random.DefaultPrng.init(31);
    var memory = Memory.init(prng.random());
    defer memory.deinit();
    var ran: u32 = 0;
    for (0..60) |_| ran += run_attention(&memory);
    for (0..100) |_| ran += run_rows(&memory);
    // Most must get past `check`, or nothing is tested.
    try std.testing.expect(ran > 900);
    try std.testing.expect(ran < 60 * 3 + 100 * 9);
}
