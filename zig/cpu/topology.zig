//! How many threads to use by default: one per physical core that this process may run on, within its CPU quota.
const std = @import("std");
const linux = std.os.linux;
const cgroup = @import("../cgroup.zig");
const file = @import("../file.zig");

pub const threads_max = 256;

pub fn default_threads() u32 {
    var set: linux.cpu_set_t = undefined;
    const rc = linux.sched_getaffinity(0, @sizeOf(linux.cpu_set_t), &set);
    if (linux.errno(rc) != .SUCCESS) return 1;
    var cores: u32 = 0;
    for (0..@bitSizeOf(linux.cpu_set_t)) |cpu| {
        if (is_in(&set, cpu) and is_first_of_core(&set, cpu)) cores += 1;
    }
    const quota = cgroup.limits().cpus orelse threads_max;
    return std.math.clamp(@min(cores, quota), 1, threads_max);
}

fn is_in(set: *const linux.cpu_set_t, cpu: usize) bool {
    const word_bits = @bitSizeOf(usize);
    if (cpu >= @bitSizeOf(linux.cpu_set_t)) return false;
    return (set[cpu / word_bits] >> @intCast(cpu % word_bits)) & 1 != 0;
}

/// Whether no lower CPU of the same core is allowed. Without the system's word on it every CPU is a core.
fn is_first_of_core(set: *const linux.cpu_set_t, cpu: usize) bool {
    var path: [128]u8 = undefined;
    const name = std.fmt.bufPrintZ(
        &path,
        "/sys/devices/system/cpu/cpu{d}/topology/thread_siblings_list",
        .{cpu},
    ) catch return true;
    var buffer: [256]u8 = undefined;
    return first_allowed(file.read_small(name, &buffer) orelse return true, set) == cpu;
}

/// Lowest CPU of a list such as "0,64" or "0-1" that is in the set.
fn first_allowed(list: []const u8, set: *const linux.cpu_set_t) ?usize {
    var ranges = std.mem.tokenizeAny(u8, list, ",\n");
    while (ranges.next()) |range| {
        var ends = std.mem.splitScalar(u8, range, '-');
        const low = std.fmt.parseInt(usize, ends.next() orelse continue, 10) catch continue;
        const high = std.fmt.parseInt(usize, ends.next() orelse range, 10) catch low;
        var cpu = low;
        while (cpu <= high and cpu < @bitSizeOf(linux.cpu_set_t)) : (cpu += 1) {
            if (is_in(set, cpu)) return cpu;
        }
    }
    return null;
}

test "siblings count once, and only allowed ones" {
    var set: linux.cpu_set_t = @splat(0);
    set[0] = 0b1110;
    try std.testing.expectEqual(2, first_allowed("0,2\n", &set));
    try std.testing.expectEqual(1, first_allowed("0-1\n", &set));
    try std.testing.expectEqual(null, first_allowed("0\n", &set));
    try std.testing.expect(default_threads() >= 1);
}
