//! Memory speed of the basic kernels beside a plain copy and a plain read: GB/s count every stream once.
//! `zig run zig/bench_basic.zig -OReleaseFast -mcpu=native`; one thread, by processor time, since neighbours disturb
//! the clock less that way. The plain figures are taken again before each group.
const std = @import("std");
const abi = @import("abi.zig");
const kernel = @import("cpu/kernel.zig");
const simd = @import("cpu/simd.zig");
const team = @import("cpu/test_team.zig");
const map = @import("kernels/map.zig").kernels[0];
const map_reduce = @import("kernels/map_reduce.zig").kernels[0];
const copy = @import("kernels/copy.zig").kernels[0];
const adamw = @import("kernels/adamw.zig").kernels[0];
const grad_norm = @import("kernels/grad_norm.zig").kernels[0];
const embedding = @import("kernels/embedding.zig").kernels[0];
const embedding_grad = @import("kernels/embedding_grad.zig").kernels[0];
const random_bits = @import("kernels/random_bits.zig").kernels[0];

const F = simd.F;
const MapOp = abi.MapOp;
const count_max = 8192 * 3072;
/// Four buffers of 96 MiB, far beyond the caches.
var buffers: [4][]f32 = undefined;

fn now_ns() f64 {
    var ts: std.os.linux.timespec = undefined;
    _ = std.os.linux.clock_gettime(.THREAD_CPUTIME_ID, &ts);
    return @as(f64, @floatFromInt(ts.sec)) * 1e9 + @as(f64, @floatFromInt(ts.nsec));
}

fn plain_copy() void {
    var i: usize = 0;
    while (i < count_max) : (i += simd.lanes)
        simd.store(f32, buffers[1].ptr + i, simd.load(f32, buffers[0].ptr + i));
}

fn plain_read() void {
    var sums: [8]F = @splat(@splat(0));
    var i: usize = 0;
    while (i < count_max) : (i += 8 * simd.lanes) {
        inline for (&sums, 0..) |*s, c| s.* += simd.load(f32, buffers[0].ptr + i + c * simd.lanes);
    }
    for (sums) |s| std.mem.doNotOptimizeAway(s);
}

fn plain_in_place() void {
    var i: usize = 0;
    while (i < count_max) : (i += simd.lanes)
        simd.store(f32, buffers[0].ptr + i, simd.load(f32, buffers[0].ptr + i) * @as(F, @splat(1.0)));
}

fn best_of(comptime f: fn () void) f64 {
    var best = std.math.inf(f64);
    for (0..5) |_| {
        const start = now_ns();
        f();
        best = @min(best, now_ns() - start);
    }
    return best;
}

fn plain(title: []const u8) void {
    const bytes = count_max * 4.0;
    std.debug.print("\n{s}; plain copy {d:.1}, read {d:.1}, in place {d:.1} GB/s\n", .{
        title,
        2 * bytes / best_of(plain_copy),
        bytes / best_of(plain_read),
        2 * bytes / best_of(plain_in_place),
    });
}

fn measure(name: []const u8, k: kernel.Kernel, ins: abi.Instruction, bytes: u64) !void {
    if (team.check(k, &ins)) |reason| {
        std.debug.print("{s}: {s}\n", .{ name, reason });
        return error.CheckFailed;
    }
    var crew = try team.Crew.init(k, &ins, 1);
    defer crew.deinit();
    var best = std.math.inf(f64);
    for (0..6) |_| {
        const start = now_ns();
        try crew.run();
        best = @min(best, now_ns() - start);
    }
    const gigabytes = @as(f64, @floatFromInt(bytes)) / best;
    std.debug.print("  {s:<44} {d:>7.1} GB/s {d:>9.3} ms\n", .{ name, gigabytes, best / 1e6 });
}

fn of(i: usize, dims: []const u32) abi.Operand {
    return team.contiguous(buffers[i], .f32, dims);
}

fn view(i: usize, dims: []const u32, strides: []const u64) abi.Operand {
    return team.strided(buffers[i], .f32, dims, strides);
}

fn halves(i: usize, dims: []const u32) abi.Operand {
    const all: []u16 = @ptrCast(buffers[i]);
    return team.contiguous(all, .bf16, dims);
}

const output = team.output;

fn code(op: MapOp, a: u32, b: u32, c: u32) u32 {
    return @intFromEnum(op) | a << 8 | b << 16 | c << 24;
}

fn bench_map() !void {
    plain("map");
    const mn = [_]u32{ 8192, 3072 };
    const bytes = 8192 * 3072 * 4;
    const add = [_]u32{ 2, 1, 0, 1, code(.add, 0, 1, 0), 64 };
    const scale = [_]u32{ 1, 1, 1, 1, team.word(0.5), code(.mul, 0, 8, 0), 64 };
    const chain = [_]u32{
        2,                    1,                    1,
        4,                    team.word(0.5),       code(.mul, 0, 8, 0),
        code(.add, 64, 1, 0), code(.fma, 65, 0, 1), code(.max, 66, 8, 0),
        67,
    };
    const gelu = [_]u32{ 2, 1, 0, 2, code(.add, 0, 1, 0), code(.gelu_tanh, 64, 0, 0), 65 };
    const cast = [_]u32{ 1, 1, 0, 0, 0 };
    const x = of(0, &mn);
    const y = of(1, &mn);
    const z = output(of(2, &mn));
    try measure("scale, in place", map, team.instruction(.map, &.{ x, output(x) }, &scale, false), 2 * bytes);
    try measure("scale", map, team.instruction(.map, &.{ x, z }, &scale, false), 2 * bytes);
    try measure("x + y", map, team.instruction(.map, &.{ x, y, z }, &add, false), 3 * bytes);
    try measure("x + y over x", map, team.instruction(.map, &.{ x, y, output(x) }, &add, false), 3 * bytes);
    try measure("four operations of x and y", map, team.instruction(.map, &.{ x, y, z }, &chain, false), 3 * bytes);
    const bias = view(1, &mn, &.{ 0, 1 });
    const per_row = view(1, &mn, &.{ 1, 0 });
    try measure("x + bias", map, team.instruction(.map, &.{ x, bias, z }, &add, false), 2 * bytes);
    try measure("x + value of the row", map, team.instruction(.map, &.{ x, per_row, z }, &add, false), 2 * bytes);
    try measure("gelu(x + bias)", map, team.instruction(.map, &.{ x, bias, z }, &gelu, false), 2 * bytes);
    try measure("f32 to bf16", map, team.instruction(.map, &.{ x, output(halves(2, &mn)) }, &cast, false), bytes * 3 / 2);
    try measure("bf16 to f32", map, team.instruction(.map, &.{ halves(0, &mn), z }, &cast, false), bytes * 3 / 2);
    const narrow = [_]u32{ 393216, 64 };
    const small_bias = view(1, &narrow, &.{ 0, 1 });
    const narrow_add = team.instruction(.map, &.{ of(0, &narrow), small_bias, output(of(2, &narrow)) }, &add, false);
    try measure("x + bias, 64 columns", map, narrow_add, 2 * bytes);
    const turned = view(1, &.{ 4096, 4096 }, &.{ 1, 4096 });
    const square = of(0, &.{ 4096, 4096 });
    const turned_add = team.instruction(.map, &.{ square, turned, output(of(2, &.{ 4096, 4096 })) }, &add, false);
    try measure("x + y transposed, 4096 x 4096", map, turned_add, 3 * 4096 * 4096 * 4);
}

fn bench_reduce() !void {
    plain("map_reduce");
    const space: []u32 = @ptrCast(buffers[3]);
    const workspace = output(team.contiguous(space, .u32, &.{1 << 22}));
    const Case = struct { name: []const u8, dims: []const u32, mask: u32, kept: []const u32 };
    const cases = [_]Case{
        .{ .name = "columns [8192, 768]", .dims = &.{ 8192, 768 }, .mask = 1, .kept = &.{768} },
        .{ .name = "columns [8192, 3072]", .dims = &.{ 8192, 3072 }, .mask = 1, .kept = &.{3072} },
        .{ .name = "columns [500, 50257]", .dims = &.{ 500, 50257 }, .mask = 1, .kept = &.{50257} },
        .{ .name = "columns [1048576, 16]", .dims = &.{ 1048576, 16 }, .mask = 1, .kept = &.{16} },
        .{ .name = "rows [8192, 768]", .dims = &.{ 8192, 768 }, .mask = 2, .kept = &.{8192} },
        .{ .name = "rows [262144, 64]", .dims = &.{ 262144, 64 }, .mask = 2, .kept = &.{262144} },
        .{ .name = "everything", .dims = &.{ 8192, 3072 }, .mask = 3, .kept = &.{} },
    };
    for (cases) |case| {
        const x = of(0, case.dims);
        const words = [_]u32{ 0, case.mask, 1, 1, 0, 0, 0 };
        const operands = [_]abi.Operand{ x, output(of(2, case.kept)), workspace };
        const ins = team.instruction(.map_reduce, &operands, &words, true);
        try measure(case.name, map_reduce, ins, x.count() * 4);
    }
    const dims = [_]u32{ 8192, 768 };
    const words = [_]u32{ 0, 1, 2, 1, 0, 1, code(.mul, 0, 1, 0), 64 };
    const operands = [_]abi.Operand{ of(0, &dims), of(1, &dims), output(of(2, &.{768})), workspace };
    const ins = team.instruction(.map_reduce, &operands, &words, true);
    try measure("columns of x * y [8192, 768]", map_reduce, ins, 2 * 8192 * 768 * 4);
}

fn bench_copy() !void {
    plain("copy");
    const Case = struct { name: []const u8, dims: []const u32, strides: []const u64, bf16: bool = false };
    const cases = [_]Case{
        .{ .name = "contiguous", .dims = &.{ 8192, 3072 }, .strides = &.{ 3072, 1 } },
        .{ .name = "columns 768..1536 of 2304", .dims = &.{ 8192, 768 }, .strides = &.{ 2304, 1 } },
        .{ .name = "transpose 4096 x 4096", .dims = &.{ 4096, 4096 }, .strides = &.{ 1, 4096 } },
        .{ .name = "transpose 768 x 3072", .dims = &.{ 768, 3072 }, .strides = &.{ 1, 768 } },
        .{ .name = "transpose 50257 x 256", .dims = &.{ 256, 50257 }, .strides = &.{ 1, 256 } },
        .{ .name = "transpose bf16 4096 x 4096", .dims = &.{ 4096, 4096 }, .strides = &.{ 1, 4096 }, .bf16 = true },
        .{ .name = "[8, 1024, 12, 64] to [8, 12, 1024, 64]", .dims = &.{ 8, 12, 1024, 64 }, .strides = &.{ 786432, 64, 768, 1 } },
        .{ .name = "[8, 1024, 12, 64] to [8, 12, 64, 1024]", .dims = &.{ 8, 12, 64, 1024 }, .strides = &.{ 786432, 64, 1, 768 } },
    };
    for (cases) |case| {
        var from = view(0, case.dims, case.strides);
        var to = output(of(1, case.dims));
        if (case.bf16) {
            from.dtype = .bf16;
            to.dtype = .bf16;
        }
        const ins = team.instruction(.copy, &.{ from, to }, &.{}, false);
        try measure(case.name, copy, ins, 2 * from.count() * abi.dtype_bytes(from.dtype));
    }
}

fn bench_optimizer() !void {
    plain("optimizer");
    var scalars = [_]f32{ 1e-3, 0.9, 0.999, 1e-8, 0.1, 1, 10, 1 };
    @memset(buffers[2], 0.01);
    const n = [_]u32{count_max};
    var operands = [_]abi.Operand{
        of(0, &n),                                          of(1, &n),         of(2, &n),         of(3, &n),
        team.contiguous(@as([]f32, &scalars), .f32, &.{8}), output(of(0, &n)), output(of(1, &n)), output(of(2, &n)),
    };
    const step = team.instruction(.adamw, &operands, &.{}, false);
    try measure("adamw", adamw, step, 7 * count_max * 4);
    const space: []u32 = @ptrCast(buffers[3]);
    const norm_operands = [_]abi.Operand{
        of(0, &n), output(of(1, &.{})), output(team.contiguous(space, .u32, &.{2048})),
    };
    const norm = team.instruction(.grad_norm, &norm_operands, &.{}, true);
    try measure("grad_norm", grad_norm, norm, count_max * 4);
}

fn bench_embedding() !void {
    plain("embedding, 8192 tokens of 768 over a table of 32000");
    const ids: []u32 = @ptrCast(buffers[3][0..8192]);
    var prng = std.Random.DefaultPrng.init(1);
    // Frequent small ids, roughly as in text.
    for (ids) |*id| {
        const u = prng.random().float(f64);
        id.* = @intFromFloat(std.math.pow(f64, 32000.0, u) - 1);
    }
    const tokens = team.contiguous(ids, .u32, &.{8192});
    const table = of(0, &.{ 32000, 768 });
    const rows = of(1, &.{ 8192, 768 });
    const bytes = 8192 * 768 * 4;
    const look = team.instruction(.embedding, &.{ tokens, table, output(rows) }, &.{}, false);
    try measure("embedding", embedding, look, 2 * bytes);
    const add = [_]abi.Operand{ tokens, rows, table, output(table) };
    const into = team.instruction(.embedding_grad, &add, &.{1}, false);
    try measure("embedding_grad into the gradient", embedding_grad, into, 3 * bytes);
    const fresh = [_]abi.Operand{ tokens, rows, output(table) };
    const whole = team.instruction(.embedding_grad, &fresh, &.{0}, false);
    try measure("embedding_grad of fresh memory", embedding_grad, whole, 3 * bytes + 32000 * 768 * 4);
    var step = [_]u32{1};
    const samples = team.contiguous(ids, .u32, &.{8});
    const words = output(team.contiguous(@as([]u32, @ptrCast(buffers[1])), .u32, &.{ 8, 786432 }));
    const random_operands = [_]abi.Operand{ team.contiguous(@as([]u32, &step), .u32, &.{}), samples, words };
    const random = team.instruction(.random_bits, &random_operands, &.{ 1, 2 }, false);
    try measure("random_bits", random_bits, random, bytes);
}

pub fn main() !void {
    for (&buffers) |*b| {
        b.* = try team.allocator.alloc(f32, count_max);
        for (b.*, 0..) |*x, i| x.* = @as(f32, @floatFromInt(i % 1000)) * 1e-3;
    }
    try bench_map();
    try bench_reduce();
    try bench_copy();
    try bench_optimizer();
    try bench_embedding();
}
