//! `map` against an interpreter of one element at a time: random programs, shapes, strides and dtypes, exact bits.
const std = @import("std");
const abi = @import("../abi.zig");
const bytecode = @import("../cpu/bytecode.zig");
const simd = @import("../cpu/simd.zig");
const team = @import("../cpu/test_team.zig");
const map = @import("map.zig").kernels[0];

const MapOp = abi.MapOp;
const testing = std.testing;

/// One element of a program whose registers hold f32 (bits) or integers; only the ops of `float_ops` and `integer_ops`.
pub const Scalar = struct {
    registers: [96]u32 = @splat(0),

    pub fn run(s: *Scalar, words: []const u32) void {
        const p = bytecode.Program.decode(words).?;
        for (p.constants, 0..) |bits, i| s.registers[8 + i] = bits;
        for (p.instructions, 0..) |word, k| {
            const a = s.registers[(word >> 8) & 0xff];
            const b = s.registers[(word >> 16) & 0xff];
            const c = s.registers[word >> 24];
            s.registers[64 + k] = apply(@enumFromInt(word & 0xff), a, b, c);
        }
    }

    fn apply(op: MapOp, a: u32, b: u32, c: u32) u32 {
        const x: f32 = @bitCast(a);
        const y: f32 = @bitCast(b);
        const i: i32 = @bitCast(a);
        const j: i32 = @bitCast(b);
        const value: f32 = switch (op) {
            .add => x + y,
            .sub => x - y,
            .mul => x * y,
            .div => x / y,
            .max => if (x != x or y != y) std.math.nan(f32) else if (x > y) x else y,
            .min => if (x != x or y != y) std.math.nan(f32) else if (x < y) x else y,
            .fma => @mulAdd(f32, x, y, @as(f32, @bitCast(c))),
            .neg => -x,
            .abs => @abs(x),
            .floor => @floor(x),
            .sqrt => @sqrt(x),
            .rsqrt => 1.0 / @sqrt(x),
            .round_bf16 => simd.f32_from_bf16(simd.bf16_from_f32(x)),
            .i_to_f => @floatFromInt(i),
            .u_to_f => @floatFromInt(a),
            .select => return if (a != 0) b else c,
            .lt => return @intFromBool(x < y),
            .eq => return @intFromBool(x == y),
            .ne => return @intFromBool(x != y),
            .le => return @intFromBool(x <= y),
            .addi => return a +% b,
            .subi => return a -% b,
            .muli => return a *% b,
            .divi => return if (b == 0) 0 else @truncate(
                @as(u64, @bitCast(@divTrunc(@as(i64, i), @as(i64, j)))),
            ),
            .divu => return if (b == 0) 0 else a / b,
            .maxi => return @bitCast(@max(i, j)),
            .minu => return @min(a, b),
            .lti => return @intFromBool(i < j),
            .leu => return @intFromBool(a <= b),
            .andi => return a & b,
            .ori => return a | b,
            .negi => return 0 -% a,
            .absi => return if (i < 0) 0 -% a else a,
            .f_to_i => return @bitCast(std.math.lossyCast(i32, x)),
            .f_to_u => return std.math.lossyCast(u32, x),
            .to_bool_f => return @intFromBool(x != 0),
            .to_bool_i => return @intFromBool(a != 0),
            else => unreachable,
        };
        return @bitCast(value);
    }
};

const to_float = [_]MapOp{
    .add, .sub,   .mul,  .div,   .max,        .min, .fma, .neg,
    .abs, .floor, .sqrt, .rsqrt, .round_bf16,
};
const to_integer = [_]MapOp{
    .addi, .subi, .muli, .divi, .divu, .maxi, .minu,
    .lti,  .leu,  .andi, .ori,  .negi, .absi, .to_bool_i,
};
const float_to_integer = [_]MapOp{ .lt, .eq, .ne, .le, .f_to_i, .f_to_u, .to_bool_f };
const integer_to_float = [_]MapOp{ .i_to_f, .u_to_f };

const is_float = simd.is_float;

/// A random program over inputs of the given dtypes whose results have the given dtypes.
const Generator = struct {
    random: std.Random,
    words: [4 + 32 + 32 + 4]u32 = undefined,
    length: u32 = 0,
    floats: [96]u8 = undefined,
    float_count: u32 = 0,
    integers: [96]u8 = undefined,
    integer_count: u32 = 0,

    fn push(g: *Generator, word: u32) void {
        g.words[g.length] = word;
        g.length += 1;
    }

    fn define(g: *Generator, register: u32, float: bool) void {
        if (float) {
            g.floats[g.float_count] = @intCast(register);
            g.float_count += 1;
        } else {
            g.integers[g.integer_count] = @intCast(register);
            g.integer_count += 1;
        }
    }

    fn pick(g: *Generator, float: bool) u32 {
        const from = if (float) g.floats[0..g.float_count] else g.integers[0..g.integer_count];
        // Mostly recent values, so that some lives are short and some are long.
        const reach: usize = if (g.random.boolean()) 3 else 40;
        const back = @min(from.len - 1, g.random.uintLessThan(usize, reach));
        return from[from.len - 1 - back];
    }

    fn make(
        g: *Generator,
        inputs: []const abi.Dtype,
        results: []const abi.Dtype,
        count: u32,
    ) []u32 {
        g.length = 0;
        g.push(@intCast(inputs.len));
        g.push(@intCast(results.len));
        g.push(3);
        g.push(count);
        g.push(team.word(1.5));
        g.push(@bitCast(@as(i32, -3)));
        g.push(0);
        for (inputs, 0..) |dtype, i| g.define(@intCast(i), is_float(dtype));
        g.define(8, true);
        g.define(9, false);
        g.define(10, false);
        for (0..count) |k| {
            const kind = g.random.uintLessThan(u32, 8);
            const float = kind < 5;
            const from_float = kind < 4 or kind == 5;
            const op: MapOp = if (float)
                (if (from_float) g.one(&to_float) else g.one(&integer_to_float))
            else if (from_float) g.one(&float_to_integer) else g.one(&to_integer);
            if (kind == 0) {
                g.push(36 | g.pick(false) << 8 | g.pick(true) << 16 | g.pick(true) << 24);
            } else {
                const a = g.pick(from_float);
                const b = g.pick(from_float);
                const c = g.pick(from_float);
                g.push(@intFromEnum(op) | a << 8 | b << 16 | c << 24);
            }
            g.define(@intCast(64 + k), float);
        }
        for (results) |dtype| g.push(g.pick(is_float(dtype)));
        return g.words[0..g.length];
    }

    fn one(g: *Generator, ops: []const MapOp) MapOp {
        return ops[g.random.uintLessThan(usize, ops.len)];
    }
};

fn bits_of(o: *const abi.Operand, offset: u64) u32 {
    return bytecode.load_bits(o.dtype, o.data, offset);
}

fn fill(random: std.Random, dtype: abi.Dtype, bytes: []u8) void {
    switch (dtype) {
        .f32 => for (std.mem.bytesAsSlice(f32, bytes)) |*x| {
            x.* = random.floatNorm(f32) * 3;
        },
        .bf16 => for (std.mem.bytesAsSlice(u16, bytes)) |*x| {
            x.* = simd.bf16_from_f32(random.floatNorm(f32));
        },
        .i32, .u32 => for (std.mem.bytesAsSlice(i32, bytes)) |*x| {
            x.* = random.intRangeAtMost(i32, -20, 20);
        },
        .bool => for (bytes) |*x| {
            x.* = random.uintLessThan(u8, 2);
        },
    }
}

const buffer_bytes = 1 << 19;
const shapes = [_][]const u32{
    &.{},
    &.{1},
    &.{7},
    &.{1000},
    &.{70000},
    &.{ 3, 5 },
    &.{ 40, 768 },
    &.{ 33, 530 },
    &.{ 300, 6 },
    &.{ 2, 3, 4, 5 },
    &.{ 5, 1, 64 },
    &.{ 4, 3, 257 },
    &.{ 2, 2, 2, 2, 2, 2, 2, 2 },
    &.{ 9, 0, 4 },
    &.{ 17, 31, 13 },
};

/// Random strides: contiguous, some dims broadcast, or two dims exchanged.
fn random_strides(random: std.Random, dims: []const u32, strides: *[8]u64) void {
    var order: [8]u32 = .{ 0, 1, 2, 3, 4, 5, 6, 7 };
    const kind = random.uintLessThan(u32, 5);
    if (kind == 0 and dims.len > 1) random.shuffle(u32, order[0..dims.len]);
    var step: u64 = 1;
    var i = dims.len;
    while (i > 0) {
        i -= 1;
        const d = order[i];
        strides[d] = step;
        if (kind == 1 and random.boolean() or kind == 2) strides[d] = 0 else step *= dims[d];
        if (kind == 3 and i + 1 == dims.len) step += 3;
    }
}

fn same(dtype: abi.Dtype, a: u32, b: u32) bool {
    if (a == b) return true;
    if (!is_float(dtype)) return false;
    const x: f32 = @bitCast(a);
    const y: f32 = @bitCast(b);
    return x != x and y != y;
}

fn expected_bits(dtype: abi.Dtype, value: u32) u32 {
    return switch (dtype) {
        .bf16 => @as(u32, simd.bf16_from_f32(@bitCast(value))) << 16,
        .bool => @intFromBool(value != 0),
        else => value,
    };
}

test "random programs, shapes, strides and dtypes" {
    var prng = std.Random.DefaultPrng.init(1);
    const random = prng.random();
    const memory = try testing.allocator.alignedAlloc(u8, .@"64", 13 * buffer_bytes);
    defer testing.allocator.free(memory);
    for (0..300) |case| {
        const dims = shapes[case % shapes.len];
        var operands: [12]abi.Operand = undefined;
        var dtypes: [12]abi.Dtype = undefined;
        const inputs = random.intRangeAtMost(u32, if (case % 9 == 0) 0 else 1, 8);
        const results = random.intRangeAtMost(u32, 1, 4);
        for (0..inputs + results) |i| {
            const bytes = memory[i * buffer_bytes ..][0..buffer_bytes];
            dtypes[i] = @enumFromInt(random.uintLessThan(u8, 5));
            var strides: [8]u64 = @splat(0);
            if (i < inputs) {
                fill(random, dtypes[i], bytes);
                random_strides(random, dims, &strides);
                operands[i] = team.strided(bytes, dtypes[i], dims, strides[0..dims.len]);
            } else {
                @memset(bytes, 0x5a);
                operands[i] = team.output(team.contiguous(bytes, dtypes[i], dims));
            }
        }
        var generator: Generator = .{ .random = random };
        const length = random.intRangeAtMost(u32, 0, 32);
        const words = generator.make(dtypes[0..inputs], dtypes[inputs..][0..results], length);
        const ins = team.instruction(.map, operands[0 .. inputs + results], words, false);
        _ = try team.run(map, &ins, 1 + @as(u32, @intCast(case % 3)));
        try compare(operands[0..inputs], operands[inputs..][0..results], words);
    }
}

fn compare(inputs: []const abi.Operand, results: []const abi.Operand, words: []const u32) !void {
    const program = bytecode.Program.decode(words).?;
    const count = results[0].count();
    for (0..count) |flat| {
        var s: Scalar = .{};
        for (inputs, 0..) |*o, i| s.registers[i] = bits_of(o, element_offset(o, flat));
        s.run(words);
        for (results, program.results) |*o, register| {
            const want = expected_bits(o.dtype, s.registers[register]);
            const got = bits_of(o, flat);
            if (!same(o.dtype, want, got)) {
                std.debug.print("element {} of {}: {x} is not {x}\n", .{ flat, count, got, want });
                return error.Different;
            }
        }
    }
    // Nothing beyond the result was written.
    for (results) |*o| {
        const end = count * abi.dtype_bytes(o.dtype);
        for (o.data[end..][0..64]) |byte| try testing.expectEqual(0x5a, byte);
    }
}

pub fn element_offset(o: *const abi.Operand, flat: u64) u64 {
    var rest = flat;
    var at: u64 = 0;
    var d: u32 = o.rank;
    while (d > 0) {
        d -= 1;
        at += rest % o.dims[d] * o.strides[d];
        rest /= o.dims[d];
    }
    return at;
}

test "results over their inputs, exchanged" {
    // r0 = a + b over b, r1 = a - b over a: both need both inputs.
    const n = 5003;
    var a: [n]f32 = undefined;
    var b: [n]f32 = undefined;
    for (0..n) |i| {
        a[i] = @floatFromInt(i);
        b[i] = @floatFromInt(3 * i + 1);
    }
    const x = team.contiguous(@as([]f32, &a), .f32, &.{n});
    const y = team.contiguous(@as([]f32, &b), .f32, &.{n});
    const operands = [_]abi.Operand{ x, y, team.output(y), team.output(x) };
    const words = [_]u32{ 2, 2, 0, 2, 0 | 0 << 8 | 1 << 16, 1 | 0 << 8 | 1 << 16, 64, 65 };
    const ins = team.instruction(.map, &operands, &words, false);
    _ = try team.run(map, &ins, 2);
    for (0..n) |i| {
        const p: f32 = @floatFromInt(i);
        const q: f32 = @floatFromInt(3 * i + 1);
        try testing.expectEqual(p + q, b[i]);
        try testing.expectEqual(p - q, a[i]);
    }
    // An exchange: each result is an input whose memory the other result takes.
    const swap_words = [_]u32{ 2, 2, 0, 0, 0, 1 };
    const swap = team.instruction(.map, &operands, &swap_words, false);
    const before = a[17];
    _ = try team.run(map, &swap, 2);
    try testing.expectEqual(before, b[17]);
    try testing.expectEqual(17.0 + 3 * 17 + 1, a[17]);
}

test "check refuses what run could not survive" {
    var data: [64]f32 = @splat(1);
    const x = team.contiguous(@as([]f32, &data), .f32, &.{16});
    const y = team.output(x);
    const add = 0 | 0 << 8 | 1 << 16;
    const good = [_]u32{ 2, 1, 0, 1, add, 64 };
    const Case = struct { operands: []const abi.Operand, words: []const u32 };
    var wide = x;
    wide.rank = 8;
    wide.dims = @splat(0xffffffff);
    wide.strides = @splat(0);
    var wide_out = wide;
    wide_out.output = 1;
    const other = team.contiguous(@as([]f32, &data), .f32, &.{15});
    const gaps = team.output(team.strided(@as([]f32, &data), .f32, &.{16}, &.{2}));
    const bad = [_]Case{
        .{ .operands = &.{ x, x, y }, .words = &.{ 2, 1, 0, 1, add } },
        .{ .operands = &.{ x, x, y }, .words = &.{ 2, 1, 0, 0xffffffff, add, 64 } },
        .{ .operands = &.{ x, x, y }, .words = &.{ 2, 1, 0, 1, 0 | 64 << 8 | 1 << 16, 64 } },
        .{ .operands = &.{ x, x, y }, .words = &.{ 2, 1, 0, 1, 0 | 2 << 8 | 1 << 16, 64 } },
        .{ .operands = &.{ x, x, y }, .words = &.{ 2, 1, 0, 1, 0 | 8 << 8 | 1 << 16, 64 } },
        .{ .operands = &.{ x, x, y }, .words = &.{ 2, 1, 0, 1, 0 | 200 << 8 | 1 << 16, 64 } },
        .{ .operands = &.{ x, x, y }, .words = &.{ 2, 1, 0, 1, 30 | 0 << 8 | 1 << 16, 64 } },
        .{ .operands = &.{ x, x, y }, .words = &.{ 2, 1, 0, 1, add, 65 } },
        .{ .operands = &.{ x, x, y }, .words = &.{ 9, 1, 0, 1, add, 64 } },
        .{ .operands = &.{ x, x, x }, .words = &good },
        .{ .operands = &.{ x, other, y }, .words = &good },
        .{ .operands = &.{ x, y }, .words = &good },
        .{ .operands = &.{ x, x, gaps }, .words = &good },
        .{ .operands = &.{ wide, wide, wide_out }, .words = &good },
        .{ .operands = &.{}, .words = &.{} },
    };
    for (bad, 0..) |case, i| {
        const ins = team.instruction(.map, case.operands, case.words, false);
        if (team.check(map, &ins) == null) {
            std.debug.print("case {} passed\n", .{i});
            return error.Passed;
        }
    }
    const ins = team.instruction(.map, &.{ x, x, y }, &good, false);
    try testing.expectEqual(null, team.check(map, &ins));
}

test "damaged programs are refused or run within bounds" {
    var prng = std.Random.DefaultPrng.init(2);
    const random = prng.random();
    const bytes = 3000 * 4;
    const memory = try testing.allocator.alignedAlloc(u8, .@"64", 4 * bytes);
    defer testing.allocator.free(memory);
    var ran: u32 = 0;
    for (0..4000) |_| {
        fill(random, .f32, memory);
        var operands: [4]abi.Operand = undefined;
        const dtypes = [4]abi.Dtype{ .f32, .i32, .bool, .f32 };
        for (&operands, dtypes, 0..) |*o, dtype, i|
            o.* = team.contiguous(memory[i * bytes ..][0..bytes], dtype, &.{ 3, 700 });
        operands[3].output = 1;
        var generator: Generator = .{ .random = random };
        const words = generator.make(dtypes[0..3], dtypes[3..], random.intRangeAtMost(u32, 0, 8));
        for (0..random.uintLessThan(usize, 3)) |_| {
            const word = &words[random.uintLessThan(usize, words.len)];
            word.* ^= @as(u32, 1) << random.int(u5);
        }
        const length = words.len - random.uintLessThan(usize, 2) * random.uintLessThan(usize, 2);
        const ins = team.instruction(.map, &operands, words[0..length], false);
        if (team.check(map, &ins) != null) continue;
        ran += 1;
        const guard = memory[3 * bytes + 4 * 3 * 700 ..];
        @memset(guard, 0x5a);
        _ = try team.run(map, &ins, 1);
        for (guard) |byte| try testing.expectEqual(0x5a, byte);
    }
    try testing.expect(ran > 400 and ran < 3900);
}
