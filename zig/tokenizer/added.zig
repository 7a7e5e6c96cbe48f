//! Added tokens in a text: the leftmost, of those the longest, by a walk down a tree of bytes.
const std = @import("std");

const none = std.math.maxInt(u32);

const Node = struct {
    byte: u8,
    special: bool = false,
    token: u32 = none,
    first_child: u32 = none,
    next_sibling: u32 = none,
};

/// Which of them are found in a text.
pub const Look = enum(u8) { none = 0, plain = 1, all = 2 };

const Found = struct { node: u32, end: usize };

pub const Match = struct { token: u32, start: usize, end: usize };

pub const Added = struct {
    nodes: std.ArrayList(Node) = .empty,
    /// First child of the root by byte.
    roots: [256]u32 = @splat(none),
    /// The one byte that every added token starts with, if there is one ('<', nearly always).
    first: ?u8 = null,
    /// Whether any of them is found although special ones are not looked for.
    any_plain: bool = false,

    pub fn deinit(added: *Added, allocator: std.mem.Allocator) void {
        added.nodes.deinit(allocator);
    }

    pub fn put(
        added: *Added,
        allocator: std.mem.Allocator,
        content: []const u8,
        token: u32,
        special: bool,
    ) !void {
        std.debug.assert(content.len > 0);
        if (!special) added.any_plain = true;
        if (added.nodes.items.len == 0) added.first = content[0] else if (added.first) |first| {
            if (first != content[0]) added.first = null;
        }
        var at = added.roots[content[0]];
        if (at == none) {
            at = try added.node(allocator, content[0]);
            added.roots[content[0]] = at;
        }
        for (content[1..]) |byte| at = try added.child(allocator, at, byte);
        added.nodes.items[at].token = token;
        added.nodes.items[at].special = special;
    }

    /// The next one at or after `from`. Special ones, when only plain ones are looked for, are stepped over whole, as Hugging Face does.
    pub fn next(added: *const Added, text: []const u8, from: usize, look: Look) ?Match {
        if (added.nodes.items.len == 0 or look == .none) return null;
        if (look == .plain and !added.any_plain) return null;
        var at = from;
        while (at < text.len) {
            if (added.first) |first|
                at = std.mem.indexOfScalarPos(u8, text, at, first) orelse return null;
            const found = added.longest_at(text, at) orelse {
                at += 1;
                continue;
            };
            const node_found = added.nodes.items[found.node];
            if (!node_found.special or look == .all)
                return .{ .token = node_found.token, .start = at, .end = found.end };
            at = found.end;
        }
        return null;
    }

    fn longest_at(added: *const Added, text: []const u8, start: usize) ?Found {
        var node_at = added.roots[text[start]];
        var longest: u32 = none;
        var end = start;
        var at = start + 1;
        while (node_at != none) : (at += 1) {
            const current = &added.nodes.items[node_at];
            if (current.token != none) {
                longest = node_at;
                end = at;
            }
            if (at == text.len) break;
            node_at = added.child_of(current, text[at]);
        }
        return if (longest == none) null else .{ .node = longest, .end = end };
    }

    fn child_of(added: *const Added, parent: *const Node, byte: u8) u32 {
        var at = parent.first_child;
        const nodes = added.nodes.items;
        while (at != none and nodes[at].byte != byte) at = nodes[at].next_sibling;
        return at;
    }

    fn child(added: *Added, allocator: std.mem.Allocator, parent: u32, byte: u8) !u32 {
        const found = added.child_of(&added.nodes.items[parent], byte);
        if (found != none) return found;
        const made = try added.node(allocator, byte);
        added.nodes.items[made].next_sibling = added.nodes.items[parent].first_child;
        added.nodes.items[parent].first_child = made;
        return made;
    }

    fn node(added: *Added, allocator: std.mem.Allocator, byte: u8) !u32 {
        try added.nodes.append(allocator, .{ .byte = byte });
        return @intCast(added.nodes.items.len - 1);
    }
};

fn expect_match(expected: Match, found: ?Match) !void {
    try std.testing.expectEqual(expected, found orelse return error.NothingFound);
}

test "leftmost, then longest; special ones are stepped over" {
    const allocator = std.testing.allocator;
    var added: Added = .{};
    defer added.deinit(allocator);
    try added.put(allocator, "<a>", 1, true);
    try added.put(allocator, "<a><b>", 2, false);
    try added.put(allocator, "<b>", 3, false);
    const text = "x<a><b><a>y<b<b>";
    try expect_match(.{ .token = 2, .start = 1, .end = 7 }, added.next(text, 0, .all));
    try expect_match(.{ .token = 1, .start = 7, .end = 10 }, added.next(text, 7, .all));
    try expect_match(.{ .token = 3, .start = 13, .end = 16 }, added.next(text, 7, .plain));
    try std.testing.expectEqual(null, added.next("<a><", 0, .plain));
    try std.testing.expectEqual(null, added.next(text, 14, .all));
}
