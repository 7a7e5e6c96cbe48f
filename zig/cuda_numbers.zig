//! Writes C++ that compiles only where NVIDIA's headers agree with what this project declares by itself: numbers, layouts, and the
//! parameters of every function that is opened at run time. `zig build test` compiles it where the headers are.
const std = @import("std");
const cublaslt = @import("cuda/cublaslt.zig");
const driver = @import("cuda/driver.zig");
const numbers = @import("cuda/numbers.zig");

/// All versions of functions are there, and no name stands for another one. Headers of half precision want the C++ library.
const head =
    \\#define __CUDA_API_VERSION_INTERNAL
    \\#define __CUDA_FP16_H__
    \\#define __CUDA_BF16_H__
    \\struct __half;
    \\struct __nv_bfloat16;
    \\#include <cuda.h>
    \\#include <cublasLt.h>
    \\#include "numbers.h"
    \\template <class T> constexpr int kind_of() {
    \\    return (__is_floating_point(T) ? 100 : 0) + (int)sizeof(T);
    \\}
    \\template <class R, class... A>
    \\constexpr bool takes(R (*)(A...), const int (&kinds)[sizeof...(A) + 1]) {
    \\    const int found[] = {kind_of<R>(), kind_of<A>()...};
    \\    for (unsigned i = 0; i <= sizeof...(A); i++)
    \\        if (found[i] != kinds[i]) return false;
    \\    return true;
    \\}
    \\#define AS_THERE(name, value) static_assert((long long)name == value, "numbers.h: " #name);
    \\NUMBERS_OF_CUDA(AS_THERE)
    \\
;

pub fn main(init: std.process.Init) !void {
    var arguments = try init.minimal.args.iterateAllocator(init.gpa);
    defer arguments.deinit();
    _ = arguments.next();
    const path = arguments.next() orelse return error.NoPath;
    var buffer: [1 << 16]u8 = undefined;
    var writer: std.Io.Writer = .fixed(&buffer);
    try write_all(&writer);
    const data = writer.buffered();
    try std.Io.Dir.cwd().writeFile(init.io, .{ .sub_path = path, .data = data });
}

fn write_all(writer: *std.Io.Writer) !void {
    try writer.writeAll(head);
    inline for (@typeInfo(numbers).@"struct".decls) |decl| {
        const value: i64 = @field(numbers, decl.name);
        const form = "static_assert((long long){s} == {d}, \"zig/cuda/numbers.zig: {s}\");\n";
        try writer.print(form, .{ decl.name, value, decl.name });
    }
    try write_functions(driver.Functions, "driver.zig", writer);
    try write_functions(cublaslt.Functions, "cublaslt.zig", writer);
    try write_size(cublaslt.Algorithm, "cublasLtMatmulAlgo_t", writer);
    try write_size(cublaslt.Heuristic, "cublasLtMatmulHeuristicResult_t", writer);
    const fields = .{
        .{ "algorithm", "algo" },
        .{ "workspace_bytes", "workspaceSize" },
        .{ "state", "state" },
        .{ "waves", "wavesCount" },
    };
    inline for (fields) |field| {
        const form = "static_assert(offsetof(cublasLtMatmulHeuristicResult_t, {s}) == {d}, \"{s}\");\n";
        const offset = @offsetOf(cublaslt.Heuristic, field[0]);
        try writer.print(form, .{ field[1], offset, field[1] });
    }
}

fn write_size(T: type, name: []const u8, writer: *std.Io.Writer) !void {
    const form = "static_assert(sizeof({s}) == {d} && alignof({s}) == {d}, \"{s}\");\n";
    try writer.print(form, .{ name, @sizeOf(T), name, @alignOf(T), name });
}

fn write_functions(Functions: type, file: []const u8, writer: *std.Io.Writer) !void {
    inline for (@typeInfo(Functions).@"struct".fields) |field| {
        const function = @typeInfo(@typeInfo(field.type).pointer.child).@"fn";
        const result = kind_of(function.return_type.?);
        try writer.print("static_assert(takes({s}, {{{d}", .{ field.name, result });
        inline for (function.params) |parameter|
            try writer.print(", {d}", .{kind_of(parameter.type.?)});
        try writer.print("}}), \"zig/cuda/{s}: {s}\");\n", .{ file, field.name });
    }
}

/// As `kind_of` of the C++ above: addresses and other integers of their size are passed alike.
fn kind_of(T: type) u32 {
    return @sizeOf(T) + @as(u32, if (@typeInfo(T) == .float) 100 else 0);
}
