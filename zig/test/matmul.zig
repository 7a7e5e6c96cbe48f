//! matmul against sums in f64, over shapes, layouts, storage types, epilogues and batches; and the
//! same bits for any number of threads, any height and with or without a workspace.
const std = @import("std");
const abi = @import("../abi.zig");
const simd = @import("../cpu/simd.zig");
const team = @import("../cpu/test_team.zig");
const matmul = @import("../kernels/matmul.zig").kernels[0];

const Flag = abi.MatmulFlag;
const Layout = enum { plain, transposed, strided };

const Case = struct {
    batch: u32 = 1,
    m: u32,
    n: u32,
    k: u32,
    a: Layout = .plain,
    b: Layout = .plain,
    a_dtype: abi.Dtype = .f32,
    b_dtype: abi.Dtype = .f32,
    out_dtype: abi.Dtype = .f32,
    residual_dtype: abi.Dtype = .f32,
    flags: u32 = 0,
    bf16: bool = false,
    activation: abi.Activation = .gelu_tanh,
    alpha: f32 = 1,
    workspace_bytes: usize = 0,
    share_b: bool = false,
};

/// Memory of one operand, in both storage types, and its strides.
const Memory = struct {
    bytes: []align(64) u8,
    dtype: abi.Dtype,
    strides: [3]u64,
    dims: [3]u32,

    fn init(
        arena: std.mem.Allocator,
        dims: [3]u32,
        dtype: abi.Dtype,
        layout: Layout,
        seed: u64,
    ) !Memory {
        var d: [3]u64 = .{ dims[0], dims[1], dims[2] };
        const gap: u64 = if (layout == .strided) 2 else 1;
        const strides: [3]u64 = switch (layout) {
            .transposed => .{ d[1] * d[2], 1, d[1] },
            else => .{ d[1] * d[2] * gap * gap, d[2] * gap * gap, gap },
        };
        const count: usize = @intCast(d[0] * @max(strides[0], 1) + 16);
        const bytes = try arena.alignedAlloc(u8, .@"64", count * 4);
        d = undefined;
        var random = std.Random.DefaultPrng.init(seed);
        for (0..count) |i| {
            const x = random.random().floatNorm(f32);
            if (dtype == .f32) {
                std.mem.bytesAsSlice(f32, bytes)[i] = x;
            } else std.mem.bytesAsSlice(u16, bytes[0 .. count * 2])[i] = simd.bf16_from_f32(x);
        }
        return .{ .bytes = bytes, .dtype = dtype, .strides = strides, .dims = dims };
    }

    fn operand(x: *const Memory) abi.Operand {
        return team.strided(x.bytes, x.dtype, &x.dims, &x.strides);
    }

    fn at(x: *const Memory, b: usize, i: usize, j: usize) f32 {
        const index = b * x.strides[0] + i * x.strides[1] + j * x.strides[2];
        if (x.dtype == .f32) return std.mem.bytesAsSlice(f32, x.bytes)[index];
        return simd.f32_from_bf16(std.mem.bytesAsSlice(u16, x.bytes)[index]);
    }
};

const Data = struct {
    a: Memory,
    b: Memory,
    bias: Memory,
    residual: Memory,
    aux: Memory,

    fn init(arena: std.mem.Allocator, c: Case) !Data {
        const out = [3]u32{ c.batch, c.m, c.n };
        const b_batch = if (c.share_b) 1 else c.batch;
        var b = try Memory.init(arena, .{ b_batch, c.k, c.n }, c.b_dtype, c.b, 2);
        if (c.share_b) {
            b.dims[0] = c.batch;
            b.strides[0] = 0;
        }
        return .{
            .a = try .init(arena, .{ c.batch, c.m, c.k }, c.a_dtype, c.a, 1),
            .b = b,
            .bias = try .init(arena, .{ 1, 1, c.n }, .f32, .plain, 3),
            .residual = try .init(arena, out, c.residual_dtype, .plain, 4),
            .aux = try .init(arena, out, .f32, .plain, 5),
        };
    }
};

const Result = struct { out: Memory, aux: Memory };

fn run(arena: std.mem.Allocator, c: Case, data: *const Data, threads: u32, in_place: bool) !Result {
    const dims = [3]u32{ c.batch, c.m, c.n };
    var out = try Memory.init(arena, dims, c.out_dtype, .plain, 6);
    const aux = try Memory.init(arena, dims, .f32, .plain, 7);
    if (in_place) @memcpy(out.bytes, data.residual.bytes);
    const workspace = try arena.alignedAlloc(u8, .@"64", @max(64, c.workspace_bytes));
    @memset(workspace, 0xff);
    var operands: [8]abi.Operand = undefined;
    var count: usize = 0;
    const bias = team.contiguous(data.bias.bytes, .f32, &.{c.n});
    const list = .{
        .{ true, data.a.operand() },
        .{ true, data.b.operand() },
        .{ c.flags & Flag.bias != 0, bias },
        .{ c.flags & Flag.residual != 0, if (in_place) out.operand() else data.residual.operand() },
        .{ c.flags & Flag.activation_grad != 0, data.aux.operand() },
        .{ true, team.output(out.operand()) },
        .{ c.flags & Flag.save_aux != 0, team.output(aux.operand()) },
        .{
            c.workspace_bytes > 0,
            team.contiguous(workspace, .u32, &.{@intCast(c.workspace_bytes / 4)}),
        },
    };
    inline for (list) |entry| {
        if (entry[0]) {
            operands[count] = entry[1];
            count += 1;
        }
    }
    const words = [_]u32{
        c.flags, @intFromBool(c.bf16), @intFromEnum(c.activation), team.word(c.alpha),
    };
    const has_workspace = c.workspace_bytes > 0;
    const ins = team.instruction(.matmul, operands[0..count], &words, has_workspace);
    const after = try team.run(matmul, &ins, threads);
    try std.testing.expectEqual(0, after.failed);
    return .{ .out = out, .aux = aux };
}

fn activation(kind: abi.Activation, x: f64) f64 {
    return switch (kind) {
        .none => x,
        .gelu_tanh => x / (1 + @exp(-1.5957691216057308 * (x + 0.044715 * x * x * x))),
        .gelu_erf => 0.5 * x * (1 + erf(x * 0.7071067811865476)),
        .silu => x / (1 + @exp(-x)),
    };
}

fn erf(x: f64) f64 {
    if (@abs(x) > 5) return std.math.sign(x);
    var term: f64 = x;
    var sum: f64 = x;
    for (1..150) |n| {
        const i: f64 = @floatFromInt(n);
        term *= -x * x / i;
        sum += term / (2 * i + 1);
    }
    return sum * 1.1283791670955126;
}

fn slope(kind: abi.Activation, x: f64) f64 {
    const h = 1e-5;
    return (activation(kind, x + h) - activation(kind, x - h)) / (2 * h);
}

fn expect_close(c: Case, data: *const Data, got: *const Result) !void {
    const root: f64 = @sqrt(@as(f64, @floatFromInt(c.k + 1)));
    const out_tolerance: f64 = if (c.out_dtype == .bf16) 1.0 / 128.0 else 0;
    for (0..c.batch) |b| for (0..c.m) |i| for (0..c.n) |j| {
        var sum: f64 = 0;
        for (0..c.k) |p| {
            var x = data.a.at(b, i, p);
            var y = data.b.at(b, p, j);
            if (c.bf16) {
                x = simd.f32_from_bf16(simd.bf16_from_f32(x));
                y = simd.f32_from_bf16(simd.bf16_from_f32(y));
            }
            sum += @as(f64, x) * y;
        }
        var value = sum * c.alpha;
        if (c.flags & Flag.bias != 0) value += data.bias.at(0, 0, j);
        if (c.flags & Flag.save_aux != 0)
            try std.testing.expectApproxEqAbs(value, got.aux.at(b, i, j), 2e-6 * root);
        if (c.flags & Flag.activation_grad != 0) {
            value *= slope(c.activation, data.aux.at(b, i, j));
        } else if (c.flags & Flag.activation != 0) value = activation(c.activation, value);
        if (c.flags & Flag.residual != 0) value += data.residual.at(b, i, j);
        const tolerance = 3e-6 * root + out_tolerance * @abs(value);
        std.testing.expectApproxEqAbs(value, got.out.at(b, i, j), tolerance) catch |e| {
            std.debug.print("at {d} {d} {d} of {any}\n", .{ b, i, j, c });
            return e;
        };
    };
}

fn check(c: Case) !void {
    var arena_state = std.heap.ArenaAllocator.init(std.heap.page_allocator);
    defer arena_state.deinit();
    const arena = arena_state.allocator();
    const data = try Data.init(arena, c);
    const one = try run(arena, c, &data, 1, false);
    try expect_close(c, &data, &one);
    for ([_]u32{ 2, 3 }) |threads| {
        const more = try run(arena, c, &data, threads, false);
        const expected = one.out.bytes[0..used(c)];
        try std.testing.expectEqualSlices(u8, expected, more.out.bytes[0..used(c)]);
    }
    if (c.flags & Flag.residual != 0 and c.out_dtype == c.residual_dtype) {
        const aliased = try run(arena, c, &data, 2, true);
        const expected = one.out.bytes[0..used(c)];
        try std.testing.expectEqualSlices(u8, expected, aliased.out.bytes[0..used(c)]);
    }
    var other = c;
    other.workspace_bytes = if (c.workspace_bytes == 0) (c.k + 1) * 4 * 1024 else 0;
    const unlike = try run(arena, other, &data, 2, false);
    try std.testing.expectEqualSlices(u8, one.out.bytes[0..used(c)], unlike.out.bytes[0..used(c)]);
}

fn used(c: Case) usize {
    return @as(usize, c.batch) * c.m * c.n * abi.dtype_bytes(c.out_dtype);
}

test "matmul: shapes around the tile sizes" {
    for ([_]u32{ 1, 5, 6, 13, 67, 130 }) |m| for ([_]u32{ 1, 15, 48, 97, 129 }) |n| {
        try check(.{ .m = m, .n = n, .k = 19 });
    };
    for ([_]u32{ 1, 2, 3, 255, 257, 513, 700 }) |k| try check(.{ .m = 21, .n = 70, .k = k });
    try check(.{ .m = 300, .n = 500, .k = 20 });
    try check(.{ .m = 700, .n = 40, .k = 20 });
}

test "matmul: layouts, storage and rounding" {
    const layouts = [_]Layout{ .plain, .transposed, .strided };
    for (layouts) |a| for (layouts) |b| {
        try check(.{ .m = 37, .n = 83, .k = 45, .a = a, .b = b, .workspace_bytes = 1 << 16 });
        try check(.{ .m = 83, .n = 37, .k = 45, .a = a, .b = b, .workspace_bytes = 1 << 16 });
        try check(.{ .m = 20, .n = 300, .k = 259, .a = a, .b = b, .bf16 = true });
        try check(.{
            .m = 30,
            .n = 50,
            .k = 33,
            .a = a,
            .b = b,
            .a_dtype = .bf16,
            .b_dtype = .bf16,
            .bf16 = true,
        });
    };
    try check(.{ .m = 30, .n = 50, .k = 33, .a_dtype = .bf16 });
    try check(.{ .m = 30, .n = 50, .k = 33, .b_dtype = .bf16, .b = .transposed });
}

test "matmul: epilogues" {
    const all = Flag.bias | Flag.residual | Flag.activation | Flag.save_aux;
    for ([_]u32{ 30, 300 }) |k| for ([_]abi.Activation{ .gelu_tanh, .gelu_erf, .silu }) |kind| {
        const base: Case = .{ .m = 23, .n = 75, .k = k, .activation = kind };
        const each = [_]u32{ all, Flag.activation, Flag.activation_grad, Flag.residual, Flag.bias };
        for (each) |flags| {
            var c = base;
            c.flags = flags;
            try check(c);
            c.alpha = 0.25;
            c.out_dtype = .bf16;
            try check(c);
            c.residual_dtype = .bf16;
            try check(c);
        }
    };
    try check(.{ .m = 23, .n = 64, .k = 300, .flags = Flag.residual, .out_dtype = .bf16 });
    try check(.{ .m = 23, .n = 64, .k = 30, .flags = Flag.residual });
    const grad = Flag.activation_grad | Flag.residual | Flag.bias;
    try check(.{ .m = 19, .n = 50, .k = 40, .flags = grad });
}

test "matmul: batches, shared and not" {
    try check(.{ .batch = 3, .m = 17, .n = 50, .k = 21 });
    try check(.{ .batch = 4, .m = 9, .n = 33, .k = 30, .b = .transposed, .flags = Flag.residual });
    try check(.{ .batch = 3, .m = 17, .n = 50, .k = 21, .share_b = true });
    try check(.{ .batch = 3, .m = 17, .n = 50, .k = 21, .a = .transposed, .share_b = true });
    try check(.{ .batch = 2, .m = 8, .n = 20, .k = 300, .flags = Flag.activation | Flag.save_aux });
}

test "matmul: small workspaces hold the operand by chunks" {
    for ([_]u32{ 600, 1100 }) |size| {
        for ([_]usize{ 64, 40_000, 60_000, 120_000, 1 << 20 }) |bytes| {
            try check(.{ .m = 40, .n = size, .k = 18, .workspace_bytes = bytes });
            try check(.{ .m = size, .n = 40, .k = 18, .workspace_bytes = bytes });
            const n = size / 5;
            try check(.{ .m = size, .n = n, .k = 18, .workspace_bytes = bytes, .bf16 = true });
        }
    }
}

test "matmul: few rows, along the rows of B and along its columns" {
    const epilogue = Flag.bias | Flag.activation | Flag.residual;
    for ([_]Layout{ .plain, .transposed, .strided }) |layout| {
        for ([_]abi.Dtype{ .f32, .bf16 }) |dtype| for ([_]bool{ false, true }) |rounds| {
            for ([_][3]u32{ .{ 1, 70, 300 }, .{ 3, 15, 37 }, .{ 8, 64, 259 }, .{ 5, 1, 7 } }) |d| {
                var c: Case = .{ .m = d[0], .n = d[1], .k = d[2], .b = layout, .bf16 = rounds };
                c.b_dtype = dtype;
                try check(c);
                c.a = .transposed;
                c.flags = epilogue;
                try check(c);
                c.a_dtype = .bf16;
                c.flags = Flag.residual;
                try check(c);
            }
        };
    }
    try check(.{ .batch = 3, .m = 4, .n = 40, .k = 50, .b = .transposed, .flags = Flag.residual });
    try check(.{ .batch = 3, .m = 2, .n = 130, .k = 50, .bf16 = true });
    // Too long an A to be converted.
    try check(.{ .m = 8, .n = 17, .k = 9000, .bf16 = true });
}

test "matmul: an element does not depend on the rows beside it" {
    for ([_]Layout{ .plain, .transposed }) |layout| for ([_]bool{ false, true }) |rounds| {
        for ([_]u32{ 0, Flag.residual, Flag.bias | Flag.residual }) |flags| {
            for ([_][2]u32{ .{ 70, 300 }, .{ 64, 400 }, .{ 133, 90 } }) |d| {
                try check_rows(.{
                    .m = 65,
                    .n = d[0],
                    .k = d[1],
                    .b = layout,
                    .bf16 = rounds,
                    .flags = flags,
                    .workspace_bytes = 1 << 17,
                });
            }
        }
    };
}

/// The first rows of a tall product are those of a low one, to the bit.
fn check_rows(tall: Case) !void {
    var arena_state = std.heap.ArenaAllocator.init(std.heap.page_allocator);
    defer arena_state.deinit();
    const arena = arena_state.allocator();
    const data = try Data.init(arena, tall);
    const whole = try run(arena, tall, &data, 2, false);
    for ([_]u32{ 1, 3, 8, 9 }) |m| {
        var low = tall;
        low.m = m;
        var few = data;
        few.a.dims[1] = m;
        few.residual.dims[1] = m;
        const part = try run(arena, low, &few, 1, false);
        const bytes = m * tall.n * 4;
        try std.testing.expectEqualSlices(u8, whole.out.bytes[0..bytes], part.out.bytes[0..bytes]);
    }
}

test "matmul: an empty sum is zero and bad operands are named" {
    try check(.{ .m = 5, .n = 20, .k = 0, .flags = Flag.bias });
    var data: [64]f32 = @splat(1);
    const all: []f32 = &data;
    const a = team.contiguous(all, .f32, &.{ 1, 2, 3 });
    const b = team.contiguous(all, .f32, &.{ 1, 4, 5 });
    const out = team.output(team.contiguous(all, .f32, &.{ 1, 2, 5 }));
    const words = [_]u32{ 0, 0, 0, team.word(1) };
    const ins = team.instruction(.matmul, &.{ a, b, out }, &words, false);
    const reason = team.check(matmul, &ins).?;
    try std.testing.expectEqualStrings("contracted dims of A and B differ", reason);
    const c = team.contiguous(all, .f32, &.{ 1, 3, 5 });
    const overlapping = team.output(team.strided(all, .f32, &.{ 1, 2, 5 }, &.{ 10, 3, 1 }));
    const bad = team.instruction(.matmul, &.{ a, c, overlapping }, &words, false);
    const overlap = team.check(matmul, &bad).?;
    try std.testing.expectEqualStrings("rows of the result must not overlap", overlap);
}
