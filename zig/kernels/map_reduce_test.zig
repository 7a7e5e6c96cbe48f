//! `map_reduce` against plain f64 loops; the same bits for 1, 2 and 3 threads.
const std = @import("std");
const abi = @import("../abi.zig");
const bytecode = @import("../cpu/bytecode.zig");
const team = @import("../cpu/test_team.zig");
const element_offset = @import("map_test.zig").element_offset;
const map_reduce = @import("map_reduce.zig").kernels[0];

const testing = std.testing;
const Dims = []const u32;

/// What the file header of map_reduce.zig promises, written independently of the kernel.
fn workspace_words(dims: Dims, mask: u32) u64 {
    var kept: u64 = 1;
    var length: u64 = 1;
    var rows = true;
    for (dims, 0..) |size, d| {
        const reduced = mask >> @intCast(d) & 1 == 1;
        if (reduced) length *= size else kept *= size;
        if (size > 1) rows = reduced;
    }
    var slot: u64 = if (rows) 16384 else 128;
    while (slot * 64 < length) slot *= 2;
    const slots = (length + slot - 1) / slot;
    const few = kept < @as(u64, if (rows) 256 else 32768);
    return if (slots > 1 and few) 2 * kept * slots else 0;
}

const Case = struct {
    dims: Dims,
    mask: u32,
    /// Strides of the first input; null: contiguous. The second input is always contiguous.
    strides: ?[]const u64 = null,
    sum: bool = true,
    dtype: abi.Dtype = .f32,
    scale: f32 = 1,
    mean: f32 = 0,
};

/// sum or max of x * y (floats), or of x + y (integers).
fn run_case(case: Case) !void {
    var prng = std.Random.DefaultPrng.init(case.dims.len + case.mask);
    const random = prng.random();
    var count: u64 = 1;
    for (case.dims) |size| count *= size;
    const room = count + 64;
    const x = try testing.allocator.alloc(u32, room);
    defer testing.allocator.free(x);
    const y = try testing.allocator.alloc(u32, room);
    defer testing.allocator.free(y);
    const floats = case.dtype == .f32 or case.dtype == .bf16;
    for (x, y) |*a, *b| {
        a.* = if (floats)
            team.word(random.floatNorm(f32) * case.scale + case.mean)
        else
            @bitCast(random.intRangeAtMost(i32, -1000, 1000));
        b.* = if (floats) team.word(1 + random.float(f32)) else random.uintLessThan(u32, 9);
    }
    const register: abi.Dtype = if (case.dtype == .bf16) .f32 else case.dtype;
    var inputs = [_]abi.Operand{
        team.contiguous(x, register, case.dims), team.contiguous(y, register, case.dims),
    };
    if (case.strides) |strides| inputs[0] = team.strided(x, register, case.dims, strides);
    const op: u32 = @intFromEnum(if (floats) abi.MapOp.mul else abi.MapOp.addi);
    const words = [_]u32{
        @intFromBool(!case.sum), case.mask, 2, 1, 0, 1, op | 0 << 8 | 1 << 16, 64,
    };
    try compare(case, &inputs, &words);
}

fn compare(case: Case, inputs: *const [2]abi.Operand, words: []const u32) !void {
    var kept: [8]u32 = undefined;
    var kept_rank: usize = 0;
    var kept_count: u64 = 1;
    for (case.dims, 0..) |size, d| if (case.mask >> @intCast(d) & 1 == 0) {
        kept[kept_rank] = size;
        kept_rank += 1;
        kept_count *= size;
    };
    const space = workspace_words(case.dims, case.mask);
    const workspace = try testing.allocator.alloc(u32, @max(1, space));
    defer testing.allocator.free(workspace);
    const results = try testing.allocator.alloc(u32, 2 * (kept_count + 16));
    defer testing.allocator.free(results);
    for (1..4) |threads| {
        @memset(workspace, 0xffffffff);
        const half = kept_count + 16;
        const part = if (threads == 1) results[0..half] else results[half..];
        @memset(part, 0x5a5a5a5a);
        const operands = [_]abi.Operand{
            inputs[0],
            inputs[1],
            team.output(team.contiguous(part, case.dtype, kept[0..kept_rank])),
            team.output(team.contiguous(workspace, .u32, &.{@intCast(space)})),
        };
        const used: usize = if (space > 0) 4 else 3;
        const ins = team.instruction(.map_reduce, operands[0..used], words, space > 0);
        _ = try team.run(map_reduce, &ins, @intCast(threads));
        if (threads > 1)
            try testing.expectEqualSlices(u32, results[0 .. kept_count + 16], part)
        else
            try check_values(case, &operands);
    }
}

fn check_values(case: Case, operands: []const abi.Operand) !void {
    const floats = case.dtype == .f32 or case.dtype == .bf16;
    const out = &operands[2];
    const start: f64 = if (case.sum) 0 else -std.math.inf(f64);
    const want = try testing.allocator.alloc(f64, out.count());
    defer testing.allocator.free(want);
    const size = try testing.allocator.alloc(f64, out.count());
    defer testing.allocator.free(size);
    @memset(want, if (case.sum or floats) start else std.math.minInt(i32));
    @memset(size, 0);
    for (0..operands[0].count()) |flat| {
        const a = bytecode.load_bits(.u32, operands[0].data, element_offset(&operands[0], flat));
        const b = bytecode.load_bits(.u32, operands[1].data, flat);
        const value: f64 = if (floats)
            @as(f32, @bitCast(a)) * @as(f32, @bitCast(b))
        else
            @floatFromInt(@as(i32, @bitCast(a +% b)));
        var rest = flat;
        var target: u64 = 0;
        var step: u64 = 1;
        var d = case.dims.len;
        while (d > 0) {
            d -= 1;
            if (case.mask >> @intCast(d) & 1 == 0) {
                target += rest % case.dims[d] * step;
                step *= case.dims[d];
            }
            rest /= case.dims[d];
        }
        want[target] = if (case.sum) want[target] + value else @max(want[target], value);
        size[target] += @abs(value);
    }
    for (want, size, 0..) |w, s, k| {
        const bits = bytecode.load_bits(out.dtype, out.data, k);
        const got: f64 = if (floats)
            @as(f32, @bitCast(bits))
        else
            @floatFromInt(@as(i32, @bitCast(bits)));
        // Relative to the sum of magnitudes; bf16 rounds the result itself.
        const tolerance: f64 = if (!floats) 0 else if (case.dtype == .bf16)
            4e-3 * @abs(w) + 1e-6 * s
        else if (case.sum) 3e-7 * s + 1e-30 else 0;
        if (w != got and !(@abs(w - got) <= tolerance)) {
            std.debug.print("{any}: result {}: {} is not {}\n", .{ case, k, got, w });
            return error.Different;
        }
    }
}

test "rows, columns, everything, and mixtures" {
    const cases = [_]Case{
        .{ .dims = &.{ 37, 768 }, .mask = 2 },
        .{ .dims = &.{ 5, 50257 }, .mask = 2 },
        .{ .dims = &.{ 300, 3 }, .mask = 2 },
        .{ .dims = &.{ 700, 24 }, .mask = 2, .sum = false },
        .{ .dims = &.{ 1000, 768 }, .mask = 1 },
        .{ .dims = &.{ 257, 1500 }, .mask = 1 },
        .{ .dims = &.{ 20000, 3 }, .mask = 1 },
        .{ .dims = &.{ 400, 513 }, .mask = 1, .sum = false },
        .{ .dims = &.{ 150, 40000 }, .mask = 1 },
        .{ .dims = &.{1000003}, .mask = 1 },
        .{ .dims = &.{1000003}, .mask = 1, .sum = false },
        .{ .dims = &.{ 100, 200, 11 }, .mask = 7 },
        .{ .dims = &.{ 9, 40, 33 }, .mask = 2 },
        .{ .dims = &.{ 500, 4, 8 }, .mask = 2 },
        .{ .dims = &.{ 9, 40, 33 }, .mask = 5 },
        .{ .dims = &.{ 6, 7, 8, 9 }, .mask = 10 },
        .{ .dims = &.{ 6, 7, 8, 9 }, .mask = 5 },
        .{ .dims = &.{ 300, 1, 65, 1 }, .mask = 9 },
        .{ .dims = &.{ 13, 17 }, .mask = 0 },
        .{ .dims = &.{}, .mask = 0 },
        .{ .dims = &.{ 5, 0 }, .mask = 2 },
        .{ .dims = &.{ 5, 0 }, .mask = 2, .sum = false },
        .{ .dims = &.{ 0, 5 }, .mask = 2 },
        .{ .dims = &.{ 1, 1 }, .mask = 3 },
    };
    for (cases) |case| try run_case(case);
}

test "strided and broadcast inputs, other dtypes" {
    const cases = [_]Case{
        .{ .dims = &.{ 300, 70 }, .mask = 1, .strides = &.{ 1, 300 } },
        .{ .dims = &.{ 300, 70 }, .mask = 2, .strides = &.{ 1, 300 } },
        .{ .dims = &.{ 300, 768 }, .mask = 2, .strides = &.{ 0, 1 } },
        .{ .dims = &.{ 300, 768 }, .mask = 1, .strides = &.{ 1, 0 } },
        .{ .dims = &.{ 300, 768 }, .mask = 1, .strides = &.{ 0, 0 } },
        .{ .dims = &.{ 30, 7, 21 }, .mask = 2, .strides = &.{ 7, 1, 210 } },
        .{ .dims = &.{ 300, 40 }, .mask = 1, .dtype = .bf16, .mean = 1 },
        .{ .dims = &.{ 30, 400 }, .mask = 2, .dtype = .bf16, .mean = 1 },
        .{ .dims = &.{ 300, 40 }, .mask = 1, .dtype = .i32 },
        .{ .dims = &.{ 300, 40 }, .mask = 2, .dtype = .i32, .sum = false },
        .{ .dims = &.{ 70000, 2 }, .mask = 1, .dtype = .i32 },
    };
    for (cases) |case| try run_case(case);
}

test "long sums keep their accuracy" {
    // Same signs: the tolerance of 3e-7 is relative to the result.
    try run_case(.{ .dims = &.{4000001}, .mask = 1, .mean = 100 });
    try run_case(.{ .dims = &.{ 100003, 5 }, .mask = 1, .mean = 100 });
    try run_case(.{ .dims = &.{ 9000, 600 }, .mask = 1, .mean = 100 });
}

test "maxima keep NaN, masks count with u32 and bool" {
    var x: [3000]f32 = @splat(1);
    x[1234] = std.math.nan(f32);
    var out: [3]f32 = undefined;
    const operands = [_]abi.Operand{
        team.contiguous(@as([]f32, &x), .f32, &.{ 3, 1000 }),
        team.output(team.contiguous(@as([]f32, &out), .f32, &.{3})),
    };
    const ins = team.instruction(.map_reduce, &operands, &.{ 1, 2, 1, 1, 0, 0, 0 }, false);
    _ = try team.run(map_reduce, &ins, 2);
    try testing.expect(out[0] == 1 and std.math.isNan(out[1]) and out[2] == 1);

    var flags: [64]u8 = @splat(0);
    flags[5] = 1;
    flags[40] = 1;
    flags[41] = 1;
    var sums: [2]u32 = undefined;
    var any: [2]u8 = undefined;
    const mask = team.contiguous(@as([]u8, &flags), .bool, &.{ 2, 32 });
    const sum = team.output(team.contiguous(@as([]u32, &sums), .u32, &.{2}));
    const counted = [_]abi.Operand{ mask, sum };
    const count = team.instruction(.map_reduce, &counted, &.{ 0, 2, 1, 1, 0, 0, 0 }, false);
    _ = try team.run(map_reduce, &count, 1);
    try testing.expectEqualSlices(u32, &.{ 1, 2 }, &sums);
    const flag = team.output(team.contiguous(@as([]u8, &any), .bool, &.{2}));
    const tested = [_]abi.Operand{ mask, flag };
    const either = team.instruction(.map_reduce, &tested, &.{ 1, 2, 1, 1, 0, 0, 0 }, false);
    _ = try team.run(map_reduce, &either, 1);
    try testing.expectEqualSlices(u8, &.{ 1, 1 }, &any);
}

test "check refuses a small workspace, wrong dims and masks" {
    var data: [40000]f32 = @splat(1);
    var space: [8]u32 = undefined;
    const x = team.contiguous(@as([]f32, &data), .f32, &.{40000});
    const out = team.output(team.contiguous(data[0..1], .f32, &.{}));
    const full = team.output(team.contiguous(@as([]u32, &space), .u32, &.{6}));
    const small = team.output(team.contiguous(@as([]u32, &space), .u32, &.{5}));
    const words = [_]u32{ 0, 1, 1, 1, 0, 0, 0 };
    const good = team.instruction(.map_reduce, &.{ x, out, full }, &words, true);
    try testing.expectEqual(null, team.check(map_reduce, &good));
    const bad = [_]abi.Instruction{
        team.instruction(.map_reduce, &.{ x, out, small }, &words, true),
        team.instruction(.map_reduce, &.{ x, out }, &words, false),
        team.instruction(.map_reduce, &.{ x, out, full }, &.{ 2, 1, 1, 1, 0, 0, 0 }, true),
        team.instruction(.map_reduce, &.{ x, out, full }, &.{ 0, 3, 1, 1, 0, 0, 0 }, true),
        team.instruction(.map_reduce, &.{ x, out, full }, &.{ 0, 0, 1, 1, 0, 0, 0 }, true),
        team.instruction(.map_reduce, &.{ x, out, full }, &.{ 0, 1, 0, 1, 1, 0, 0, 8 }, true),
        team.instruction(.map_reduce, &.{ x, out, full }, &.{0}, true),
    };
    for (bad) |ins| try testing.expect(team.check(map_reduce, &ins) != null);
}
