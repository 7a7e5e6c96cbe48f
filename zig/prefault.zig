//! Brings the pages of large blocks into being on a thread of its own, while the host still describes the run: the first
//! step then finds them there. Only a favour: where the kernel does not know the advice, or the queue is full, pages
//! come with their first write as usual. A block that was freed meanwhile makes the advice fail, which is ignored.
const std = @import("std");
const linux = std.os.linux;

/// Linux 5.14; not in std yet.
const MADV_POPULATE_WRITE = 23;
const capacity = 1024;
/// Smaller blocks cost less than the bookkeeping.
pub const bytes_min = 1 << 20;

const Entry = struct { start: [*]align(4096) u8, bytes: usize };

var entries: [capacity]Entry = undefined;
/// Counts up; the word that the worker waits on.
var pushed: u32 = 0;
var done: u32 = 0;
var lock: u32 = 0;
var started = false;

/// `start` is the beginning of a writable private mapping.
pub fn push(start: [*]align(4096) u8, bytes: usize) void {
    std.debug.assert(bytes > 0);
    if (bytes < bytes_min) return;
    while (@cmpxchgWeak(u32, &lock, 0, 1, .acquire, .monotonic) != null) std.atomic.spinLoopHint();
    defer @atomicStore(u32, &lock, 0, .release);
    if (!started) {
        const thread = std.Thread.spawn(.{}, work, .{}) catch return;
        thread.detach();
        started = true;
    }
    const at = @atomicLoad(u32, &pushed, .monotonic);
    if (at -% @atomicLoad(u32, &done, .acquire) >= capacity) return;
    entries[at % capacity] = .{ .start = start, .bytes = bytes };
    @atomicStore(u32, &pushed, at +% 1, .release);
    _ = linux.futex_3arg(&pushed, .{ .cmd = .WAKE, .private = true }, 1);
}

fn work() void {
    while (true) {
        const at = @atomicLoad(u32, &done, .monotonic);
        if (@atomicLoad(u32, &pushed, .acquire) == at) {
            _ = linux.futex_4arg(&pushed, .{ .cmd = .WAIT, .private = true }, at, null);
            continue;
        }
        const entry = entries[at % capacity];
        _ = linux.madvise(entry.start, entry.bytes, MADV_POPULATE_WRITE);
        @atomicStore(u32, &done, at +% 1, .release);
    }
}

test "blocks are zero and writable whether or not the worker has been there" {
    for (0..40) |_| {
        const bytes = 2 << 20;
        const access: linux.PROT = .{ .READ = true, .WRITE = true };
        const flags: linux.MAP = .{ .TYPE = .PRIVATE, .ANONYMOUS = true };
        const rc = linux.mmap(null, bytes, access, flags, -1, 0);
        try std.testing.expectEqual(.SUCCESS, linux.errno(rc));
        const block: [*]align(4096) u8 = @ptrFromInt(rc);
        push(block, bytes);
        block[bytes - 1] = 7;
        try std.testing.expect(std.mem.allEqual(u8, block[0 .. bytes - 1], 0));
        try std.testing.expectEqual(7, block[bytes - 1]);
        _ = linux.munmap(block, bytes);
    }
}
