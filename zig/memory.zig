//! Zeroed memory for buffers and scratch: small blocks from malloc, large ones from the kernel with huge pages asked
//! for. `guarded` blocks end at an inaccessible page and start behind one, so that a stray access faults at once.
const std = @import("std");
const linux = std.os.linux;
const cgroup = @import("cgroup.zig");
const file = @import("file.zig");
const prefault = @import("prefault.zig");

pub const alignment = 64;
const page = 4096;
const huge_page = 2 << 20;
/// From here on a block gets its own mapping.
const mapping_bytes_min = 256 << 10;
const canary: u8 = 0xa5;

pub const Block = struct {
    data: [*]align(alignment) u8,
    bytes: u64,
    /// What to unmap; empty for a block from malloc.
    mapping: []align(page) u8 = &.{},
    guarded: bool = false,

    pub fn slice(block: *const Block) []u8 {
        return block.data[0..block.bytes];
    }

    /// False when something was written between the end of a guarded block and its guard page.
    pub fn is_intact(block: *const Block) bool {
        if (!block.guarded) return true;
        const end = round_up(block.bytes, alignment);
        return std.mem.allEqual(u8, block.data[block.bytes..end], canary);
    }
};

pub fn allocate(bytes: u64, guarded: bool) ?Block {
    if (guarded) return allocate_guarded(bytes);
    if (bytes >= mapping_bytes_min) return allocate_mapping(bytes);
    const align_to = comptime std.mem.Alignment.fromByteUnits(alignment);
    const size = padded(bytes);
    const data = std.heap.c_allocator.alignedAlloc(u8, align_to, size) catch return null;
    @memset(data, 0);
    return .{ .data = data.ptr, .bytes = bytes };
}

pub fn release(block: Block) void {
    if (block.mapping.len > 0) {
        _ = linux.munmap(block.mapping.ptr, block.mapping.len);
    } else {
        std.heap.c_allocator.free(block.data[0..padded(block.bytes)]);
    }
}

fn allocate_mapping(bytes: u64) ?Block {
    const size = round_up(bytes, page);
    // Huge pages need an aligned start: map too much, give back both ends.
    const slack: u64 = if (size >= huge_page) huge_page else 0;
    const whole = map(size + slack) orelse return null;
    const address = @intFromPtr(whole.ptr);
    const skip = if (slack > 0) round_up(address, huge_page) - address else 0;
    if (skip > 0) _ = linux.munmap(whole.ptr, skip);
    if (slack > skip) _ = linux.munmap(whole.ptr + skip + size, slack - skip);
    const start: [*]align(page) u8 = @alignCast(whole.ptr + skip);
    // Advice: where huge pages are switched off, ordinary ones serve.
    if (slack > 0) _ = linux.madvise(start, size, linux.MADV.HUGEPAGE);
    prefault.push(start, size);
    return .{ .data = start, .bytes = bytes, .mapping = start[0..size] };
}

fn allocate_guarded(bytes: u64) ?Block {
    const used = round_up(@max(1, bytes), page);
    const whole = map(used + 2 * page) orelse return null;
    const none: linux.PROT = .{};
    _ = linux.mprotect(whole.ptr, page, none);
    _ = linux.mprotect(whole.ptr + page + used, page, none);
    const end = @intFromPtr(whole.ptr) + page + used;
    const data: [*]align(alignment) u8 = @ptrFromInt(end - round_up(bytes, alignment));
    @memset(data[bytes..round_up(bytes, alignment)], canary);
    return .{ .data = data, .bytes = bytes, .mapping = whole, .guarded = true };
}

fn map(bytes: u64) ?[]align(page) u8 {
    const access: linux.PROT = .{ .READ = true, .WRITE = true };
    const flags: linux.MAP = .{ .TYPE = .PRIVATE, .ANONYMOUS = true, .NORESERVE = true };
    const rc = linux.mmap(null, bytes, access, flags, -1, 0);
    if (linux.errno(rc) != .SUCCESS) return null;
    return @as([*]align(page) u8, @ptrFromInt(rc))[0..bytes];
}

fn padded(bytes: u64) u64 {
    return round_up(@max(1, bytes), alignment);
}

fn round_up(value: u64, multiple: u64) u64 {
    return (value + multiple - 1) / multiple * multiple;
}

/// Bytes that this process may take before the system runs short: mappings come into being lazily, so asking for
/// too much would fail only in the middle of a run.
pub fn available() u64 {
    var buffer: [4096]u8 = undefined;
    var bytes: u64 = std.math.maxInt(u64);
    if (file.read_small("/proc/meminfo", &buffer)) |text| {
        var lines = std.mem.tokenizeScalar(u8, text, '\n');
        while (lines.next()) |line| {
            if (!std.mem.startsWith(u8, line, "MemAvailable:")) continue;
            const digits = std.mem.trim(u8, line["MemAvailable:".len..], " kB");
            bytes = 1024 * (std.fmt.parseInt(u64, digits, 10) catch continue);
        }
    }
    return @min(bytes, cgroup.limits().memory_bytes orelse bytes);
}

test "blocks are aligned, zeroed, and large ones start at a huge page" {
    for ([_]u64{ 0, 1, 63, 4096, 300_000, 5 << 20 }) |bytes| {
        for ([_]bool{ false, true }) |guarded| {
            const block = allocate(bytes, guarded).?;
            defer release(block);
            try std.testing.expect(std.mem.allEqual(u8, block.slice(), 0));
            try std.testing.expectEqual(0, @intFromPtr(block.data) % alignment);
            if (bytes >= huge_page and !guarded)
                try std.testing.expectEqual(0, @intFromPtr(block.data) % huge_page);
            @memset(block.slice(), 1);
            try std.testing.expect(block.is_intact());
        }
    }
    const block = allocate(100, true).?;
    defer release(block);
    block.data[100] = 7;
    try std.testing.expect(!block.is_intact());
    try std.testing.expect(available() > 1 << 20);
}
