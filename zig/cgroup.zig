//! What the control groups of this process leave it: batch systems and containers set their limits there, and
//! neither /proc/meminfo nor the CPU affinity shows them. Version 2 and version 1 hierarchies.
const std = @import("std");
const file = @import("file.zig");

pub const Limits = struct {
    /// Bytes that may still be taken; null where there is no limit.
    memory_bytes: ?u64 = null,
    /// CPU time as a number of CPUs, rounded up.
    cpus: ?u32 = null,
};

pub fn limits() Limits {
    var found: Limits = .{};
    var buffer: [4096]u8 = undefined;
    const groups = file.read_small("/proc/self/cgroup", &buffer) orelse return found;
    var lines = std.mem.tokenizeScalar(u8, groups, '\n');
    while (lines.next()) |line| {
        // hierarchy:controllers:/path
        var fields = std.mem.splitScalar(u8, line, ':');
        _ = fields.next();
        const controllers = fields.next() orelse continue;
        const path = fields.rest();
        if (controllers.len == 0) walk(path, .v2, &found);
        if (has(controllers, "memory")) walk(path, .v1_memory, &found);
        if (has(controllers, "cpu")) walk(path, .v1_cpu, &found);
    }
    return found;
}

const Hierarchy = enum { v2, v1_memory, v1_cpu };

/// A limit of any ancestor holds. Inside a container the own group is mounted as the root.
fn walk(path: []const u8, hierarchy: Hierarchy, found: *Limits) void {
    var end = path.len;
    while (true) {
        inspect(path[0..end], hierarchy, found);
        if (end == 0) return;
        end = std.mem.lastIndexOfScalar(u8, path[0..end], '/') orelse 0;
    }
}

fn inspect(group: []const u8, hierarchy: Hierarchy, found: *Limits) void {
    switch (hierarchy) {
        .v2 => {
            memory(group, "", .{ "memory.max", "memory.current", "inactive_file " }, found);
            var buffer: [64]u8 = undefined;
            const text = read(group, "", "cpu.max", &buffer) orelse return;
            var parts = std.mem.tokenizeAny(u8, text, " \n");
            const quota = number(parts.next() orelse return) orelse return;
            cpu(quota, number(parts.next() orelse return) orelse return, found);
        },
        .v1_memory => memory(group, "/memory", .{
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file ",
        }, found),
        .v1_cpu => {
            var buffer: [64]u8 = undefined;
            const quota = read(group, "/cpu", "cpu.cfs_quota_us", &buffer) orelse return;
            const quota_us = number(quota) orelse return;
            const period = read(group, "/cpu", "cpu.cfs_period_us", &buffer) orelse return;
            cpu(quota_us, number(period) orelse return, found);
        },
    }
}

fn memory(group: []const u8, mount: []const u8, names: [3][]const u8, found: *Limits) void {
    var buffer: [8192]u8 = undefined;
    const max = number(read(group, mount, names[0], &buffer) orelse return) orelse return;
    // Version 1 writes "no limit" as a number near 2^63.
    if (max >= 1 << 62) return;
    const used = number(read(group, mount, names[1], &buffer) orelse return) orelse return;
    // Cached file pages are given back under pressure.
    const cached = if (read(group, mount, "memory.stat", &buffer)) |text|
        field(text, names[2]) orelse 0
    else
        0;
    const left = max -| (used -| cached);
    found.memory_bytes = @min(left, found.memory_bytes orelse left);
}

fn cpu(quota_us: u64, period_us: u64, found: *Limits) void {
    if (quota_us == 0 or period_us == 0) return;
    const rounded_up = std.math.divCeil(u64, quota_us, period_us) catch return;
    const cpus: u32 = @intCast(@min(1 << 16, rounded_up));
    found.cpus = @min(cpus, found.cpus orelse cpus);
}

fn read(group: []const u8, mount: []const u8, name: []const u8, buffer: []u8) ?[]const u8 {
    var path: [1024]u8 = undefined;
    const parts = .{ mount, group, name };
    const text = std.fmt.bufPrintZ(&path, "/sys/fs/cgroup{s}{s}/{s}", parts) catch return null;
    return file.read_small(text, buffer);
}

fn number(text: []const u8) ?u64 {
    return std.fmt.parseInt(u64, std.mem.trim(u8, text, " \n"), 10) catch null;
}

/// The number after `key` at the start of a line.
fn field(text: []const u8, key: []const u8) ?u64 {
    var lines = std.mem.tokenizeScalar(u8, text, '\n');
    while (lines.next()) |line| {
        if (std.mem.startsWith(u8, line, key)) return number(line[key.len..]);
    }
    return null;
}

fn has(controllers: []const u8, name: []const u8) bool {
    var names = std.mem.splitScalar(u8, controllers, ',');
    while (names.next()) |each| if (std.mem.eql(u8, each, name)) return true;
    return false;
}

test "numbers are found by key, limits combine to the smallest" {
    try std.testing.expectEqual(42, field("anon 1\ninactive_file 42\n", "inactive_file "));
    try std.testing.expectEqual(null, field("anon 1\n", "inactive_file "));
    var found: Limits = .{};
    cpu(150_000, 100_000, &found);
    try std.testing.expectEqual(2, found.cpus);
    cpu(400_000, 100_000, &found);
    try std.testing.expectEqual(2, found.cpus);
    try std.testing.expect(has("cpu,cpuacct", "cpu"));
    try std.testing.expect(!has("cpuacct", "cpu"));
}
