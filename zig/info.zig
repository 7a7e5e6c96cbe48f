//! What the library says about itself, a device or a program, as JSON; and the hash by which the TypeScript side
//! notices that it was generated from another version.
const std = @import("std");
const abi = @import("abi.zig");
const failure = @import("failure.zig");
const wire = @import("wire.zig");
const cpuid = @import("cpu/cpuid.zig");
const opening = @import("opening.zig");
const Gpu = @import("cuda/device.zig").Gpu;
const cuda_image = @import("cuda_image");
const Device = @import("runtime.zig").Device;
const Program = @import("program.zig").Program;

const Writer = std.Io.Writer;
const Json = std.json.Stringify;

pub const abi_hash: u32 = hash: {
    @setEvalBranchQuota(1_000_000);
    var hash: u32 = fnv(0x811c_9dc5, std.fmt.comptimePrint("wire={d};", .{wire.version}));
    for (.{ "Dtype", "Status", "Opcode", "MapOp", "Activation" }) |name| {
        hash = fnv(hash, name ++ ":");
        for (@typeInfo(@field(abi, name)).@"enum".fields) |each| {
            hash = fnv(hash, std.fmt.comptimePrint("{s}={d},", .{ each.name, each.value }));
        }
    }
    hash = fnv(hash, "MatmulFlag:");
    for (@typeInfo(abi.MatmulFlag).@"struct".decls) |each| {
        const value: u32 = @field(abi.MatmulFlag, each.name);
        hash = fnv(hash, std.fmt.comptimePrint("{s}={d},", .{ each.name, value }));
    }
    break :hash fnv_signatures(hash);
};

/// The functions' names and parameters, without spaces.
fn fnv_signatures(start: u32) u32 {
    const head = "\nexport fn ";
    var hash = start;
    var rest: []const u8 = @embedFile("library.zig");
    while (std.mem.find(u8, rest, head)) |at| {
        const signature = rest[at + head.len ..];
        rest = signature[std.mem.findScalar(u8, signature, ')').? + 1 ..];
        for (signature[0 .. signature.len - rest.len]) |byte| {
            if (!std.ascii.isWhitespace(byte)) hash = fnv(hash, &.{byte});
        }
    }
    return hash;
}

/// FNV-1a, 32 bits; `scripts/generate_abi.ts` computes the same.
fn fnv(start: u32, text: []const u8) u32 {
    var hash = start;
    for (text) |byte| hash = (hash ^ byte) *% 0x0100_0193;
    return hash;
}

/// Writes a text that `function` makes into `capacity` bytes, cut where it does not fit. Returns its full length.
pub fn give(
    text: ?[*]u8,
    capacity: i64,
    comptime function: anytype,
    args: anytype,
) failure.Error!i64 {
    var whole: Writer.Allocating = .init(std.heap.c_allocator);
    defer whole.deinit();
    @call(.auto, function, .{&whole.writer} ++ args) catch
        return failure.raise(error.OutOfMemory, "no memory for a text", .{});
    const written = whole.written();
    if (text) |target| {
        const bytes = @min(written.len, @as(u64, @intCast(@max(0, capacity))));
        @memcpy(target[0..bytes], written[0..bytes]);
    }
    return @intCast(written.len);
}

fn field(json: *Json, name: []const u8, value: anytype) Writer.Error!void {
    try json.objectField(name);
    try json.write(value);
}

fn numbers(json: *Json, comptime Enum: type) Writer.Error!void {
    try json.beginObject();
    inline for (@typeInfo(Enum).@"enum".fields) |each|
        try field(json, each.name, @as(u32, each.value));
    try json.endObject();
}

pub fn manifest(writer: *Writer) Writer.Error!void {
    var json: Json = .{ .writer = writer };
    try json.beginObject();
    try field(&json, "abi_version", abi.abi_version);
    try field(&json, "abi_hash", abi_hash);
    try field(&json, "wire_version", wire.version);
    inline for (.{ "Dtype", "Status", "Opcode", "MapOp", "Activation" }) |name| {
        try json.objectField(name);
        try numbers(&json, @field(abi, name));
    }
    try json.objectField("struct_bytes");
    try json.beginObject();
    inline for (.{ "Header", "Buffer", "Instruction", "Operand", "Slot" }) |name|
        try field(&json, name, @sizeOf(@field(wire, name)));
    try json.endObject();
    try json.objectField("levels");
    try json.beginArray();
    for (std.enums.values(cpuid.Level)) |level| {
        if (opening.is_built(level)) try json.write(@tagName(level));
    }
    try json.endArray();
    try field(&json, "cuda", cuda_image.architectures);
    try field(&json, "cpu_level", @tagName(cpuid.detect().level()));
    var brand: [48]u8 = undefined;
    try field(&json, "cpu", cpuid.brand(&brand));
    try json.endObject();
}

fn gpu_info(json: *Json, gpu: *const Gpu) Writer.Error!void {
    try json.beginObject();
    try field(json, "ordinal", gpu.ordinal);
    try field(json, "count", gpu.count);
    try field(json, "name", gpu.name_text());
    try field(json, "capability", gpu.capability);
    try field(json, "cuda_version", gpu.driver.version);
    try field(json, "virtual", gpu.driver.is_virtual);
    try field(json, "total_bytes", gpu.total_bytes);
    try field(json, "allocated_bytes", gpu.allocated_bytes);
    try field(json, "own_bytes", gpu.own_bytes);
    const products = gpu.products.?;
    try field(json, "cublaslt", products.lt.path_text());
    try field(json, "cublaslt_version", products.lt.version);
    try field(json, "workspace_bytes", products.workspace_bytes);
    try field(json, "searches", products.searches);
    try field(json, "attention", gpu.attention_name());
    try json.endObject();
}

pub fn choices(writer: *Writer, of: *const Device) Writer.Error!void {
    if (of.gpu) |gpu| try gpu.products.?.write_choices(writer);
}

pub fn device(writer: *Writer, of: *const Device) Writer.Error!void {
    var json: Json = .{ .writer = writer };
    try json.beginObject();
    var brand: [48]u8 = undefined;
    try field(&json, "cpu", cpuid.brand(&brand));
    try json.objectField("gpu");
    if (of.gpu) |gpu| try gpu_info(&json, gpu) else try json.write(null);
    var level: [16]u8 = undefined;
    try field(&json, "level", if (of.gpu) |gpu|
        std.fmt.bufPrint(&level, "sm_{d}", .{gpu.capability}) catch unreachable
    else
        @tagName(of.level));
    try field(&json, "threads", of.thread_count);
    try field(&json, "memory_bytes", of.memory_bytes);
    try field(&json, "buffer_bytes", of.buffer_bytes);
    try field(&json, "buffer_count", of.buffer_count);
    try field(&json, "scratch_bytes", of.scratch_bytes * of.thread_count);
    try json.objectField("kernels");
    try json.beginArray();
    for (std.enums.values(abi.Opcode)) |opcode| {
        if (of.lookup.find(opcode) != null) try json.write(@tagName(opcode));
    }
    try json.endArray();
    try json.endObject();
}

pub fn program(writer: *Writer, of: *const Program) Writer.Error!void {
    var json: Json = .{ .writer = writer };
    try json.beginObject();
    try field(&json, "name", of.name);
    try field(&json, "instructions", of.functions.len);
    try field(&json, "operands", of.offsets.len);
    try field(&json, "elements_max", of.elements_max);
    try field(&json, "scratch_bytes_per_thread", of.scratch_bytes);
    try field(&json, "host_bytes", of.memory_bytes());
    try field(&json, "runs", of.runs);
    try json.objectField("buffers");
    try json.beginArray();
    for (of.buffers) |buffer| {
        try json.beginObject();
        try field(&json, "kind", @tagName(buffer.kind));
        try field(&json, "name", buffer.name);
        try field(&json, "bytes", buffer.bytes);
        try json.endObject();
    }
    try json.endArray();
    try json.endObject();
}
