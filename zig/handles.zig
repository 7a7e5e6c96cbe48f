//! Handles instead of pointers: 20 bits of index, 12 bits of generation, so that a handle that was freed or made up
//! is an error and not a wild access. Callers hold the library's lock.
const std = @import("std");
const failure = @import("failure.zig");

const Error = failure.Error;

pub const Kind = enum(u8) { none, device, buffer, program, tokenizer, trainer };

const Entry = struct {
    pointer: ?*anyopaque,
    kind: Kind,
    /// 1 .. 4095, so that no handle is 0.
    generation: u16,
    /// Index + 1 of the next free entry; 0 ends the list.
    next_free: u32,
};

const capacity = 1 << 20;
/// Zero pages until they are used.
var entries: [capacity]Entry = std.mem.zeroes([capacity]Entry);
var used: u32 = 0;
var first_free: u32 = 0;

pub fn add(kind: Kind, pointer: *anyopaque) Error!i64 {
    std.debug.assert(kind != .none);
    var index = used;
    if (first_free != 0) {
        index = first_free - 1;
        first_free = entries[index].next_free;
    } else {
        if (used == capacity)
            return failure.raise(error.OutOfMemory, "more than {d} handles", .{capacity});
        used += 1;
    }
    const entry = &entries[index];
    std.debug.assert(entry.kind == .none);
    entry.pointer = pointer;
    entry.kind = kind;
    entry.generation = if (entry.generation == 4095) 1 else entry.generation + 1;
    return handle_of(index);
}

pub fn get(comptime T: type, kind: Kind, handle: i64) Error!*T {
    const index = try index_of(kind, handle);
    return @ptrCast(@alignCast(entries[index].pointer.?));
}

pub fn is_live(kind: Kind, handle: i64) bool {
    return find(kind, handle) != null;
}

pub fn remove(kind: Kind, handle: i64) Error!void {
    const index = try index_of(kind, handle);
    entries[index].kind = .none;
    entries[index].pointer = null;
    entries[index].next_free = first_free;
    first_free = index + 1;
}

/// Walks the live handles of a kind; `cursor` starts at 0. Removing the handle just returned is fine.
pub fn next(comptime T: type, kind: Kind, cursor: *u32) ?struct { handle: i64, pointer: *T } {
    while (cursor.* < used) {
        const index = cursor.*;
        cursor.* += 1;
        if (entries[index].kind != kind) continue;
        const pointer: *T = @ptrCast(@alignCast(entries[index].pointer.?));
        return .{ .handle = handle_of(index), .pointer = pointer };
    }
    return null;
}

fn handle_of(index: u32) i64 {
    return (@as(i64, entries[index].generation) << 20) | index;
}

fn index_of(kind: Kind, handle: i64) Error!u32 {
    return find(kind, handle) orelse
        failure.raise(error.InvalidHandle, "{d} is not the handle of a {s}", .{ handle, @tagName(kind) });
}

fn find(kind: Kind, handle: i64) ?u32 {
    if (handle <= 0 or handle >= 1 << 32) return null;
    const index: u32 = @intCast(handle & (capacity - 1));
    const entry = &entries[index];
    const live = index < used and entry.kind == kind and entry.generation == handle >> 20;
    return if (live) index else null;
}

test "a freed handle stays dead when its place is used again" {
    var thing: u32 = 7;
    const first = try add(.buffer, &thing);
    try std.testing.expectEqual(&thing, try get(u32, .buffer, first));
    try std.testing.expectError(error.InvalidHandle, get(u32, .program, first));
    try remove(.buffer, first);
    const second = try add(.buffer, &thing);
    defer remove(.buffer, second) catch unreachable;
    try std.testing.expect(first != second and first & 0xfffff == second & 0xfffff);
    try std.testing.expectError(error.InvalidHandle, get(u32, .buffer, first));
    for ([_]i64{ 0, -1, std.math.maxInt(i64), std.math.minInt(i64), 1 << 32, 0xfffff }) |handle|
        try std.testing.expectError(error.InvalidHandle, get(u32, .buffer, handle));
}
