//! A binary heap: the item that comes `before` all others is on top.
const std = @import("std");

pub fn Heap(comptime T: type, comptime before: fn (T, T) bool) type {
    return struct {
        items: std.ArrayList(T) = .empty,

        const Self = @This();

        pub fn deinit(heap: *Self, allocator: std.mem.Allocator) void {
            heap.items.deinit(allocator);
        }

        pub fn push(heap: *Self, allocator: std.mem.Allocator, value: T) !void {
            try heap.items.ensureUnusedCapacity(allocator, 1);
            heap.push_assume_capacity(value);
        }

        pub fn push_assume_capacity(heap: *Self, value: T) void {
            var at = heap.items.items.len;
            heap.items.appendAssumeCapacity(value);
            const items = heap.items.items;
            while (at > 0) {
                const parent = (at - 1) / 2;
                if (!before(value, items[parent])) break;
                items[at] = items[parent];
                at = parent;
            }
            items[at] = value;
        }

        pub fn pop(heap: *Self) ?T {
            const value = heap.items.pop() orelse return null;
            const items = heap.items.items;
            if (items.len == 0) return value;
            const top = items[0];
            var at: usize = 0;
            while (true) {
                var child = 2 * at + 1;
                if (child >= items.len) break;
                if (child + 1 < items.len and before(items[child + 1], items[child])) child += 1;
                if (!before(items[child], value)) break;
                items[at] = items[child];
                at = child;
            }
            items[at] = value;
            return top;
        }
    };
}

fn less(a: u64, b: u64) bool {
    return a < b;
}

/// Of numbers, the smallest on top.
pub const Smallest = Heap(u64, less);

test "a heap gives its items in order" {
    const allocator = std.testing.allocator;
    var heap: Smallest = .{};
    defer heap.deinit(allocator);
    var prng: std.Random.DefaultPrng = .init(1);
    for (0..500) |_| try heap.push(allocator, prng.random().uintLessThan(u64, 100));
    var last: u64 = 0;
    for (0..500) |_| {
        const value = heap.pop().?;
        try std.testing.expect(value >= last);
        last = value;
    }
    try std.testing.expectEqual(null, heap.pop());
}
