//! Tokens by their bytes: a hash table over the block that holds them all.
const std = @import("std");

pub const none = std.math.maxInt(u32);

/// 16 bytes, so that a look at a slot and at its bytes is two cache lines.
const Slot = struct { hash: u32, token: u32, start: u32, len: u32 };

pub const Words = struct {
    slots: []Slot,
    bytes: []const u8,
    longest: usize = 0,

    pub fn init(allocator: std.mem.Allocator, count: usize, bytes: []const u8) !Words {
        const wanted = @max(16, count * 2);
        const size = std.math.ceilPowerOfTwo(usize, wanted) catch return error.OutOfMemory;
        const slots = try allocator.alloc(Slot, size);
        @memset(slots, .{ .hash = 0, .token = none, .start = 0, .len = 0 });
        return .{ .slots = slots, .bytes = bytes };
    }

    pub fn deinit(words: *Words, allocator: std.mem.Allocator) void {
        allocator.free(words.slots);
    }

    /// False when there is a token of the same bytes. At most `count` tokens.
    pub fn put(words: *Words, start: u32, len: u32, token: u32) bool {
        const word = words.bytes[start..][0..len];
        const hash = hash_of(word);
        var at: usize = hash & (words.slots.len - 1);
        while (words.slots[at].token != none) : (at = (at + 1) & (words.slots.len - 1))
            if (words.is(words.slots[at], hash, word)) return false;
        words.slots[at] = .{ .hash = hash, .token = token, .start = start, .len = len };
        words.longest = @max(words.longest, len);
        return true;
    }

    pub fn get(words: *const Words, word: []const u8) u32 {
        if (word.len > words.longest) return none;
        const hash = hash_of(word);
        var at: usize = hash & (words.slots.len - 1);
        while (true) : (at = (at + 1) & (words.slots.len - 1)) {
            const slot = words.slots[at];
            if (slot.token == none) return none;
            if (words.is(slot, hash, word)) return slot.token;
        }
    }

    inline fn is(words: *const Words, slot: Slot, hash: u32, word: []const u8) bool {
        return slot.hash == hash and slot.len == word.len and
            std.mem.eql(u8, words.bytes[slot.start..][0..slot.len], word);
    }
};

fn hash_of(word: []const u8) u32 {
    return @truncate(std.hash.Wyhash.hash(0, word));
}

test "words are found by their bytes" {
    const allocator = std.testing.allocator;
    const bytes = "abcabcdbcd";
    var words: Words = try .init(allocator, 8, bytes);
    defer words.deinit(allocator);
    try std.testing.expect(words.put(0, 3, 1));
    try std.testing.expect(!words.put(3, 3, 2));
    try std.testing.expect(words.put(3, 4, 3));
    try std.testing.expect(words.put(7, 3, 4));
    try std.testing.expectEqual(1, words.get("abc"));
    try std.testing.expectEqual(3, words.get("abcd"));
    try std.testing.expectEqual(4, words.get("bcd"));
    try std.testing.expectEqual(none, words.get("abcde"));
    try std.testing.expectEqual(none, words.get(""));
}
