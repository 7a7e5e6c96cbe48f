//! Which two tokens merge into which: a hash table of 64-bit entries (left, right, result: 21 bits each). Tokens are numbered
//! by the order of their merges, the bytes first, so a lower result is an earlier merge.
const std = @import("std");

pub const id_bits = 21;
pub const id_max = (1 << id_bits) - 2;
/// No merge: larger than any token, so that the smallest of a row is the merge to do next.
pub const none = std.math.maxInt(u32);

const empty = std.math.maxInt(u64);
/// Bits of the filter for each slot, of which there are two to four a merge.
const filter_shift = 2;
const filter_bits = 1 << filter_shift;
const mask: u64 = (1 << id_bits) - 1;

pub const Pairs = struct {
    slots: []u64,
    shift: u6,
    /// A bit for every pair that is there, and for few that are not: most pairs that a rare word asks for are none, and the bits fit
    /// the cache of a core where the slots do not.
    bits: []u64,
    /// Merges of two bytes, which every unknown word asks for at every byte.
    of_bytes: *[1 << 16]u32,

    pub fn init(allocator: std.mem.Allocator, merges: usize) !Pairs {
        const bits: u6 = @intCast(@max(6, std.math.log2_int_ceil(usize, @max(1, merges)) + 1));
        const slots = try allocator.alloc(u64, @as(usize, 1) << bits);
        errdefer allocator.free(slots);
        @memset(slots, empty);
        const filter = try allocator.alloc(u64, slots.len * filter_bits / 64);
        errdefer allocator.free(filter);
        @memset(filter, 0);
        const of_bytes = try allocator.create([1 << 16]u32);
        @memset(of_bytes, none);
        return .{
            .slots = slots,
            .shift = @intCast(@as(u7, 64) - bits),
            .bits = filter,
            .of_bytes = of_bytes,
        };
    }

    pub fn deinit(pairs: *Pairs, allocator: std.mem.Allocator) void {
        allocator.free(pairs.slots);
        allocator.free(pairs.bits);
        allocator.destroy(pairs.of_bytes);
    }

    /// There are at most as many as `init` was told.
    pub fn put(pairs: *Pairs, left: u32, right: u32, result: u32) void {
        std.debug.assert(left <= id_max and right <= id_max and result <= id_max);
        if (left < 256 and right < 256) pairs.of_bytes[left << 8 | right] = result;
        const key = key_of(left, right);
        const mixed = mix(key);
        const bit = pairs.bit_of(mixed);
        pairs.bits[bit / 64] |= @as(u64, 1) << @intCast(bit % 64);
        var at = pairs.place(mixed);
        while (pairs.slots[at] != empty) at = (at + 1) & (pairs.slots.len - 1);
        pairs.slots[at] = key | result;
    }

    pub inline fn get(pairs: *const Pairs, left: u32, right: u32) u32 {
        const key = key_of(left, right);
        const mixed = mix(key);
        const bit = pairs.bit_of(mixed);
        if (pairs.bits[bit / 64] >> @intCast(bit % 64) & 1 == 0) return none;
        var at = pairs.place(mixed);
        while (true) {
            const slot = pairs.slots[at];
            if (slot & ~mask == key) return @intCast(slot & mask);
            if (slot == empty) return none;
            at = (at + 1) & (pairs.slots.len - 1);
        }
    }

    inline fn place(pairs: *const Pairs, mixed: u64) usize {
        return @intCast(mixed >> pairs.shift);
    }

    /// The place with more of the bits below it.
    inline fn bit_of(pairs: *const Pairs, mixed: u64) usize {
        return @intCast(mixed >> (pairs.shift - filter_shift));
    }
};

inline fn mix(key: u64) u64 {
    return key *% 0x9e3779b97f4a7c15;
}

inline fn key_of(left: u32, right: u32) u64 {
    return @as(u64, left) << (2 * id_bits) | @as(u64, right) << id_bits;
}

test "pairs are found, others are not" {
    const allocator = std.testing.allocator;
    var pairs: Pairs = try .init(allocator, 1000);
    defer pairs.deinit(allocator);
    for (0..1000) |i| pairs.put(@intCast(i * 7 % 991), @intCast(i), @intCast(256 + i));
    for (0..1000) |i| {
        try std.testing.expectEqual(256 + i, pairs.get(@intCast(i * 7 % 991), @intCast(i)));
        try std.testing.expectEqual(none, pairs.get(@intCast(i * 7 % 991 + 1), @intCast(i)));
    }
    try std.testing.expectEqual(pairs.get(7, 1), pairs.of_bytes[7 << 8 | 1]);
    try std.testing.expectEqual(none, pairs.get(id_max, id_max));
}
