//! What the bytes of each token merge into when they stand alone, by the whole list of merges.
const std = @import("std");
const failure = @import("../failure.zig");
const Spec = @import("spec.zig").Spec;
const Words = @import("words.zig").Words;

const Error = failure.Error;
const none = std.math.maxInt(u32);

/// The merge (its place in the list) that makes a token at last.
pub const Last = struct {
    token: u32,
    merge: u32,

    pub fn before(_: void, a: Last, b: Last) bool {
        return a.merge < b.merge;
    }
};

/// Place in the list and result of the merge of two tokens.
const Merge = struct { place: u32, token: u32 };
const Merges = std.AutoHashMapUnmanaged([2]u32, Merge);

/// Longer tokens take too long this way (the square of their bytes), and none are in use.
const bytes_max = 4096;

pub fn find(
    allocator: std.mem.Allocator,
    spec: *const Spec,
    words: *const Words,
    lasts: *std.ArrayList(Last),
) Error!void {
    var merges: Merges = .empty;
    defer merges.deinit(allocator);
    try read_merges(allocator, spec, words, &merges);
    var row: std.ArrayList(u32) = .empty;
    defer row.deinit(allocator);
    for (0..spec.count()) |i| {
        const token: u32 = @intCast(i);
        const word = spec.bytes_of(token);
        if (spec.kinds[i] != .model or word.len < 2) continue;
        if (word.len > bytes_max)
            return failure.raise(error.Unsupported, "token {d} of {d} bytes", .{ token, word.len });
        row.clearRetainingCapacity();
        for (0..word.len) |at| try row.append(allocator, words.get(word[at..][0..1]));
        var last: u32 = none;
        while (earliest(&merges, row.items)) |found| {
            row.items[found.at] = found.merge.token;
            _ = row.orderedRemove(found.at + 1);
            last = found.merge.place;
        }
        if (row.items.len == 1) try lasts.append(allocator, .{ .token = token, .merge = last });
    }
}

/// Of a pair that is listed twice the later merge counts, as in Hugging Face's tokenizers.
fn read_merges(
    allocator: std.mem.Allocator,
    spec: *const Spec,
    words: *const Words,
    merges: *Merges,
) Error!void {
    try merges.ensureTotalCapacity(allocator, @intCast(spec.merges.len));
    var joined: std.ArrayList(u8) = .empty;
    defer joined.deinit(allocator);
    for (spec.merges, 0..) |merge, place| {
        joined.clearRetainingCapacity();
        for (merge) |part| try joined.appendSlice(allocator, spec.bytes_of(part));
        const token = words.get(joined.items);
        if (token == none)
            return failure.raise(error.InvalidArgument, "merge {d} makes no token", .{place});
        merges.putAssumeCapacity(merge, .{ .place = @intCast(place), .token = token });
    }
}

fn earliest(merges: *const Merges, row: []const u32) ?struct { at: usize, merge: Merge } {
    var best: Merge = .{ .place = none, .token = none };
    var at: usize = 0;
    for (0..row.len - 1) |i| {
        const merge = merges.get(.{ row[i], row[i + 1] }) orelse continue;
        if (merge.place >= best.place) continue;
        best = merge;
        at = i;
    }
    return if (best.place == none) null else .{ .at = at, .merge = best };
}
