//! Runs one kernel on hand-made operands with a team of real threads, as the executor does. For
//! tests and benches only. Scratch starts as NaN, so that a kernel cannot lean on zeros.
const std = @import("std");
const abi = @import("../abi.zig");
const kernel = @import("kernel.zig");

pub const allocator = std.heap.page_allocator;

/// An operand over `data` (a slice or array pointer) whose element type need not match `dtype`
/// (u16 holds bf16, u8 holds bool).
pub fn strided(
    data: anytype,
    dtype: abi.Dtype,
    dims: []const u32,
    strides: []const u64,
) abi.Operand {
    std.debug.assert(dims.len == strides.len and dims.len <= abi.rank_max);
    var o: abi.Operand = .{
        .data = @ptrCast(@constCast(data.ptr)),
        .dims = @splat(0),
        .strides = @splat(0),
        .rank = @intCast(dims.len),
        .dtype = dtype,
        .output = 0,
        .buffer = 0,
    };
    @memcpy(o.dims[0..dims.len], dims);
    @memcpy(o.strides[0..strides.len], strides);
    return o;
}

pub fn contiguous(data: anytype, dtype: abi.Dtype, dims: []const u32) abi.Operand {
    var strides: [abi.rank_max]u64 = @splat(0);
    var step: u64 = 1;
    var i = dims.len;
    while (i > 0) {
        i -= 1;
        strides[i] = step;
        step *= dims[i];
    }
    std.debug.assert(step <= data.len);
    return strided(data, dtype, dims, strides[0..dims.len]);
}

/// Marks an operand as written by the kernel.
pub fn output(o: abi.Operand) abi.Operand {
    var result = o;
    result.output = 1;
    return result;
}

/// `operands` and `words` must outlive the instruction.
pub fn instruction(
    opcode: abi.Opcode,
    operands: []const abi.Operand,
    words: []const u32,
    has_workspace: bool,
) abi.Instruction {
    return .{
        .opcode = opcode,
        .operand_count = @intCast(operands.len),
        .word_count = @intCast(words.len),
        .operands = operands.ptr,
        .words = words.ptr,
        .node = 7,
        .has_workspace = @intFromBool(has_workspace),
    };
}

pub fn word(x: f32) u32 {
    return @bitCast(x);
}

/// The reason `check` gives, or null.
pub fn check(k: kernel.Kernel, ins: *const abi.Instruction) ?[]const u8 {
    return if (k.check(ins)) |reason| std.mem.span(reason) else null;
}

/// Checks and runs the instruction on `threads` threads. The team's `failed` tells of bad data.
pub fn run(k: kernel.Kernel, ins: *const abi.Instruction, threads: u32) !kernel.Team {
    if (check(k, ins)) |reason| {
        std.debug.print("check: {s}\n", .{reason});
        return error.CheckFailed;
    }
    var crew = try Crew.init(k, ins, threads);
    defer crew.deinit();
    try crew.run();
    return crew.team;
}

/// A team with its scratch, to run one instruction many times (benches).
pub const Crew = struct {
    kernel: kernel.Kernel,
    instruction: *const abi.Instruction,
    threads: u32,
    scratch_bytes: u64,
    scratch: []align(64) u8,
    team: kernel.Team = .{},

    pub const threads_max = 64;

    pub fn init(k: kernel.Kernel, ins: *const abi.Instruction, threads: u32) !Crew {
        std.debug.assert(k.opcode == ins.opcode);
        std.debug.assert(threads > 0 and threads <= threads_max);
        const asked = if (k.scratch) |scratch| scratch(ins) else 0;
        const bytes = std.mem.alignForward(u64, asked, 4096);
        const scratch = try allocator.alignedAlloc(u8, .@"64", @max(64, bytes * threads));
        @memset(scratch, 0xff);
        return .{
            .kernel = k,
            .instruction = ins,
            .threads = threads,
            .scratch_bytes = asked,
            .scratch = scratch,
        };
    }

    pub fn deinit(crew: *Crew) void {
        allocator.free(crew.scratch);
    }

    pub fn run(crew: *Crew) !void {
        return crew.repeat(1);
    }

    /// Runs the instruction `times` times on the same threads, with a barrier after each.
    pub fn repeat(crew: *Crew, times: u32) !void {
        var handles: [threads_max]std.Thread = undefined;
        for (1..crew.threads) |i|
            handles[i] = try std.Thread.spawn(.{}, work, .{ crew, @as(u32, @intCast(i)), times });
        work(crew, 0, times);
        for (handles[1..crew.threads]) |handle| handle.join();
    }

    fn work(crew: *Crew, index: u32, times: u32) void {
        const stride = std.mem.alignForward(u64, crew.scratch_bytes, 4096);
        var thread: kernel.Thread = .{
            .team = &crew.team,
            .scratch = @alignCast(crew.scratch.ptr + index * stride),
            .scratch_bytes = crew.scratch_bytes,
            .index = index,
            .count = crew.threads,
        };
        for (0..times) |_| {
            crew.kernel.run(&thread, crew.instruction);
            thread.barrier();
        }
    }
};

fn add_tile(t: *kernel.Thread, ins: *const abi.Instruction) callconv(.c) void {
    const out = ins.operand(0).ptr(u32);
    for (0..3) |round| {
        while (t.claim(ins.operand(0).dims[0])) |tile| out[tile] += @intCast(round + 1);
        t.barrier();
    }
}

fn check_nothing(_: *const abi.Instruction) callconv(.c) ?[*:0]const u8 {
    return null;
}

test "every tile of every phase runs once, with any number of threads" {
    const k: kernel.Kernel = .{ .opcode = .fill, .run = add_tile, .check = check_nothing };
    for ([_]u32{ 1, 2, 3, 5 }) |threads| {
        var data: [100]u32 = @splat(0);
        const operands = [_]abi.Operand{output(contiguous(@as([]u32, &data), .u32, &.{100}))};
        const ins = instruction(.fill, &operands, &.{}, false);
        const team = try run(k, &ins, threads);
        try std.testing.expectEqual(0, team.failed);
        for (data) |x| try std.testing.expectEqual(6, x);
    }
}
