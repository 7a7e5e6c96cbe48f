//! Pinned memory through which the host writes to a GPU: it fills one piece after the other with what is written, goes on at
//! once, and waits only when it comes to a piece whose last copy is not over.
const std = @import("std");
const failure = @import("../failure.zig");
const driver_file = @import("driver.zig");
const numbers = @import("numbers.zig");

const Driver = driver_file.Driver;
const Error = failure.Error;
const Handle = driver_file.Handle;

pub const piece_bytes = 4 << 20;
const pieces = 4;
const event_without_timing = numbers.CU_EVENT_DISABLE_TIMING;

pub const Ring = struct {
    memory: Handle = null,
    /// After the last copy from each piece.
    copied: [pieces]Handle = @splat(null),
    in_use: [pieces]bool = @splat(false),
    piece: usize = 0,
    /// Of the piece.
    filled: usize = 0,

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

    /// Memory to fill: `bytes`, or a whole piece of what is more.
    pub fn claim(ring: *Ring, driver: *const Driver, bytes: u64) Error![]u8 {
        const size = @min(bytes, piece_bytes);
        if (piece_bytes - ring.filled < size) {
            ring.piece = (ring.piece + 1) % pieces;
            ring.filled = 0;
            if (ring.in_use[ring.piece]) {
                const waited = driver.call.cuEventSynchronize(ring.copied[ring.piece]);
                try driver.check(waited, "a copy to the GPU failed", .{});
                ring.in_use[ring.piece] = false;
            }
        }
        const all: [*]u8 = @ptrCast(ring.memory.?);
        return all[ring.piece * piece_bytes + ring.filled ..][0..size];
    }

    /// Notes that the claimed memory is read by what was put on `stream` so far.
    pub fn sent(ring: *Ring, driver: *const Driver, bytes: u64, stream: Handle) Error!void {
        const recorded = driver.call.cuEventRecord(ring.copied[ring.piece], stream);
        try driver.check(recorded, "a copy to the GPU failed", .{});
        ring.in_use[ring.piece] = true;
        ring.filled = @min(piece_bytes, ring.filled + std.mem.alignForward(u64, bytes, 256));
    }
};
