//! Pinned memory through which the host writes to a GPU, a piece after the other: the host goes on as soon as a piece is
//! filled, and waits only for a piece whose last copy is not over.
const failure = @import("../failure.zig");
const driver_file = @import("driver.zig");

const Driver = driver_file.Driver;
const Error = failure.Error;
const Handle = driver_file.Handle;

pub const piece_bytes = 4 << 20;
const pieces = 4;
const event_without_timing = 2;

pub const Ring = struct {
    memory: Handle = null,
    /// After the last copy from each piece.
    copied: [pieces]Handle = @splat(null),
    in_use: [pieces]bool = @splat(false),
    next: usize = 0,

    pub fn open(ring: *Ring, driver: *const Driver) Error!void {
        const size = pieces * piece_bytes;
        const made = driver.call.cuMemHostAlloc(&ring.memory, size, 0);
        try driver.check(made, "no pinned memory", .{});
        for (&ring.copied) |*event| {
            const created = driver.call.cuEventCreate(event, event_without_timing);
            try driver.check(created, "an event cannot be made", .{});
        }
    }

    pub fn close(ring: *Ring, driver: *const Driver) void {
        for (ring.copied) |event| if (event != null) {
            _ = driver.call.cuEventDestroy_v2(event);
        };
        if (ring.memory != null) _ = driver.call.cuMemFreeHost(ring.memory);
    }

    /// The next piece, free to be filled.
    pub fn claim(ring: *Ring, driver: *const Driver) Error![]u8 {
        const i = ring.next;
        if (ring.in_use[i]) {
            const waited = driver.call.cuEventSynchronize(ring.copied[i]);
            try driver.check(waited, "a copy to the GPU failed", .{});
            ring.in_use[i] = false;
        }
        const all: [*]u8 = @ptrCast(ring.memory.?);
        return all[i * piece_bytes ..][0..piece_bytes];
    }

    /// Notes that the claimed piece is read by what was put on `stream` so far.
    pub fn sent(ring: *Ring, driver: *const Driver, stream: Handle) Error!void {
        const i = ring.next;
        const recorded = driver.call.cuEventRecord(ring.copied[i], stream);
        try driver.check(recorded, "a copy to the GPU failed", .{});
        ring.in_use[i] = true;
        ring.next = (i + 1) % pieces;
    }
};
