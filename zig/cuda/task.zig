//! What a kernel is given, in device memory. The layouts are those of cuda/theseus.h.
const std = @import("std");

/// One launch of an instruction.
pub const Task = extern struct {
    /// Device addresses.
    operands: u64,
    words: u64,
    operand_count: u32,
    word_count: u32,
    place: Place,
};

/// Which instruction of which loaded program; 0 is none.
pub const Place = packed struct(u64) {
    /// Index of the instruction, plus 1.
    instruction: u32,
    program: u32,

    pub const none: Place = .{ .instruction = 0, .program = 0 };
};

/// First failure of the device.
pub const Fault = extern struct {
    place: Place = .none,
    /// position << 33, bit 32 when the value is negative, its low 32 bits.
    detail: u64 = std.math.maxInt(u64),

    pub fn position(fault: Fault) u64 {
        return fault.detail >> 33;
    }

    pub fn value(fault: Fault) i64 {
        const low: u32 = @truncate(fault.detail);
        return if (fault.detail >> 32 & 1 == 1) @as(i32, @bitCast(low)) else low;
    }
};

comptime {
    std.debug.assert(@sizeOf(Task) == 32 and @sizeOf(Fault) == 16);
}

test "details of a fault" {
    const fault: Fault = .{ .detail = 5 << 33 | 1 << 32 | 0xffff_fffe };
    try std.testing.expectEqual(5, fault.position());
    try std.testing.expectEqual(-2, fault.value());
    const large: Fault = .{ .detail = 0xffff_fffe };
    try std.testing.expectEqual(0xffff_fffe, large.value());
}
