//! Memory speed of the basic kernels beside a plain copy and a plain read: GB/s count every stream once.
//! `zig run zig/bench_basic.zig -lc -OReleaseFast -mcpu=native [-- GROUP]`; one thread, by processor time, since neighbours disturb
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

const linux = std.os.linux;
const F = simd.F;
const MapOp = abi.MapOp;
const count_max = 8192 * 3072;
/// Four buffers of 96 MiB, far beyond the caches.
var buffers: [4][]f32 = undefined;

fn now_ns() f64 {
    var ts: linux.timespec = undefined;
    _ = linux.clock_gettime(.THREAD_CPUTIME_ID, &ts);
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
    const half: F = @splat(0.5);
    var i: usize = 0;
    while (i < count_max) : (i += simd.lanes)
        simd.store(f32, buffers[0].ptr + i, simd.load(f32, buffers[0].ptr + i) * half);
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
    // Small operands stay in cache over several runs.
    const repeats: u32 = if (bytes < 1 << 20) 100 else 1;
    var best = std.math.inf(f64);
    for (0..6) |_| {
        const start = now_ns();
        try crew.repeat(repeats);
        best = @min(best, (now_ns() - start) / @as(f64, @floatFromInt(repeats)));
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

fn measure_map(
    name: []const u8,
    operands: []const abi.Operand,
    words: []const u32,
    bytes: u64,
) !void {
    try measure(name, map, team.instruction(.map, operands, words, false), bytes);
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
    try measure_map("scale, in place", &.{ x, output(x) }, &scale, 2 * bytes);
    try measure_map("scale", &.{ x, z }, &scale, 2 * bytes);
    try measure_map("x + y", &.{ x, y, z }, &add, 3 * bytes);
    try measure_map("x + y over x", &.{ x, y, output(x) }, &add, 3 * bytes);
    try measure_map("four operations of x and y", &.{ x, y, z }, &chain, 3 * bytes);
    const bias = view(1, &mn, &.{ 0, 1 });
    const per_row = view(1, &mn, &.{ 1, 0 });
    try measure_map("x + bias", &.{ x, bias, z }, &add, 2 * bytes);
    try measure_map("x + value of the row", &.{ x, per_row, z }, &add, 2 * bytes);
    try measure_map("gelu(x + bias)", &.{ x, bias, z }, &gelu, 2 * bytes);
    try measure_map("f32 to bf16", &.{ x, output(halves(2, &mn)) }, &cast, bytes * 3 / 2);
    try measure_map("bf16 to f32", &.{ halves(0, &mn), z }, &cast, bytes * 3 / 2);
    const small = [_]u32{ 64, 512 };
    const near = [_]abi.Operand{ of(0, &small), of(1, &small), output(of(2, &small)) };
    const near_bytes = 64 * 512 * 4;
    try measure_map("x + y, in cache", &near, &add, 3 * near_bytes);
    try measure_map("four operations, in cache", &near, &chain, 3 * near_bytes);
    try measure_map("gelu(x + y), in cache", &near, &gelu, 3 * near_bytes);
    const narrow = [_]u32{ 393216, 64 };
    const small_bias = view(1, &narrow, &.{ 0, 1 });
    const narrow_operands = [_]abi.Operand{ of(0, &narrow), small_bias, output(of(2, &narrow)) };
    try measure_map("x + bias, 64 columns", &narrow_operands, &add, 2 * bytes);
    const turned = view(1, &.{ 4096, 4096 }, &.{ 1, 4096 });
    const square = of(0, &.{ 4096, 4096 });
    const turned_operands = [_]abi.Operand{ square, turned, output(of(2, &.{ 4096, 4096 })) };
    try measure_map("x + y transposed, 4096 x 4096", &turned_operands, &add, 3 * 4096 * 4096 * 4);
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
    const sums = output(of(2, &.{768}));
    const operands = [_]abi.Operand{ of(0, &dims), of(1, &dims), sums, workspace };
    const ins = team.instruction(.map_reduce, &operands, &words, true);
    try measure("columns of x * y [8192, 768]", map_reduce, ins, 2 * 8192 * 768 * 4);
}

fn bench_copy() !void {
    plain("copy");
    const Case = struct { []const u8, []const u32, []const u64, abi.Dtype };
    const cases = [_]Case{
        .{ "contiguous", &.{ 8192, 3072 }, &.{ 3072, 1 }, .f32 },
        .{ "columns 768..1536 of 2304", &.{ 8192, 768 }, &.{ 2304, 1 }, .f32 },
        .{ "transpose 4096 x 4096", &.{ 4096, 4096 }, &.{ 1, 4096 }, .f32 },
        .{ "transpose 256 x 256, in cache", &.{ 256, 256 }, &.{ 1, 256 }, .f32 },
        .{ "transpose 768 x 3072", &.{ 768, 3072 }, &.{ 1, 768 }, .f32 },
        .{ "transpose 50257 x 256", &.{ 256, 50257 }, &.{ 1, 256 }, .f32 },
        .{ "transpose bf16 4096 x 4096", &.{ 4096, 4096 }, &.{ 1, 4096 }, .bf16 },
        .{ "heads before steps", &.{ 8, 12, 1024, 64 }, &.{ 786432, 64, 768, 1 }, .f32 },
        .{ "heads, features, steps", &.{ 8, 12, 64, 1024 }, &.{ 786432, 64, 1, 768 }, .f32 },
    };
    for (cases) |case| {
        const name, const dims, const strides, const dtype = case;
        var from = view(0, dims, strides);
        var to = output(of(1, dims));
        from.dtype = dtype;
        to.dtype = dtype;
        const ins = team.instruction(.copy, &.{ from, to }, &.{}, false);
        try measure(name, copy, ins, 2 * from.count() * abi.dtype_bytes(dtype));
    }
}

fn bench_optimizer() !void {
    plain("optimizer");
    var scalars = [_]f32{ 1e-3, 0.9, 0.999, 1e-8, 0.1, 1, 10, 1 };
    @memset(buffers[2], 0.01);
    const n = [_]u32{count_max};
    const inputs = [_]abi.Operand{ of(0, &n), of(1, &n), of(2, &n), of(3, &n) };
    const hyper = [_]abi.Operand{team.contiguous(@as([]f32, &scalars), .f32, &.{8})};
    const outputs = [_]abi.Operand{ output(of(0, &n)), output(of(1, &n)), output(of(2, &n)) };
    const operands = inputs ++ hyper ++ outputs;
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
    const table_bytes = 32000 * 768 * 4;
    try measure("embedding_grad of fresh memory", embedding_grad, whole, 3 * bytes + table_bytes);
    var step = [_]u32{1};
    const samples = team.contiguous(ids, .u32, &.{8});
    const words = output(team.contiguous(@as([]u32, @ptrCast(buffers[1])), .u32, &.{ 8, 786432 }));
    const now = team.contiguous(@as([]u32, &step), .u32, &.{});
    const random_operands = [_]abi.Operand{ now, samples, words };
    const random = team.instruction(.random_bits, &random_operands, &.{ 1, 2 }, false);
    try measure("random_bits", random_bits, random, bytes);
}

pub fn main(init: std.process.Init) !void {
    for (&buffers) |*b| {
        // Huge pages, as the library asks for.
        const huge = comptime std.mem.Alignment.fromByteUnits(2 << 20);
        b.* = try team.allocator.alignedAlloc(f32, huge, count_max);
        _ = linux.madvise(@ptrCast(b.ptr), count_max * 4, linux.MADV.HUGEPAGE);
        for (b.*, 0..) |*x, i| x.* = @as(f32, @floatFromInt(i % 1000)) * 1e-3;
    }
    const arguments = try init.minimal.args.toSlice(init.arena.allocator());
    const only: []const u8 = if (arguments.len > 1) arguments[1] else "";
    inline for (groups) |group| {
        if (only.len == 0 or std.mem.eql(u8, only, group[0])) try group[1]();
    }
}

const groups = .{
    .{ "map", bench_map },
    .{ "reduce", bench_reduce },
    .{ "copy", bench_copy },
    .{ "optimizer", bench_optimizer },
    .{ "embedding", bench_embedding },
};
