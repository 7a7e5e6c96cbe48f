//! A large text among threads. It is cut into segments (the words between two added tokens, long ones again where a word starts in
//! any case), segments are dealt out in groups, and every group writes where its first byte stands, for no text has more tokens
//! than bytes; then the groups move together.
const std = @import("std");
const failure = @import("../failure.zig");
const scan = @import("scan.zig");
const encode = @import("encode.zig");
const Look = @import("added.zig").Look;
const Model = @import("model.zig").Model;

const Error = failure.Error;
const none = std.math.maxInt(u32);

/// Bytes of a group: enough that dealing them out costs nothing, few enough that the threads end together.
const group_bytes = 128 << 10;
/// How far to look for a place to cut.
const search_bytes = 16 << 10;
pub const threads_max = 64;

/// The words of `text[start..end]` that start in [from, to), then the added token, if one follows.
const Segment = struct { start: usize, end: usize, from: usize, to: usize, token: u32 };

/// Segments [first, last) and how many tokens they became.
const Group = struct { first: usize, last: usize, offset: usize, count: usize = 0 };

pub fn worth(bytes: usize, threads: usize) bool {
    return threads > 1 and bytes >= 2 * group_bytes;
}

pub fn run(
    comptime Token: type,
    allocator: std.mem.Allocator,
    model: *const Model,
    contexts: *encode.Contexts,
    text: []const u8,
    look: Look,
    out: [*]Token,
    threads: usize,
) Error!usize {
    var plan: Plan = .{ .allocator = allocator };
    defer plan.deinit();
    plan.make(model, text, look) catch
        return failure.raise(error.OutOfMemory, "no memory to cut {d} bytes of text", .{text.len});
    var work: Work(Token) = .{
        .allocator = allocator,
        .model = model,
        .contexts = contexts,
        .text = text,
        .plan = &plan,
        .out = out,
    };
    const wanted = @min(threads, threads_max, plan.groups.items.len);
    var helpers: [threads_max]std.Thread = undefined;
    var started: usize = 0;
    // With fewer threads than wanted it only takes longer.
    while (started + 1 < wanted) : (started += 1)
        helpers[started] = std.Thread.spawn(.{}, Work(Token).serve, .{&work}) catch break;
    work.serve();
    for (helpers[0..started]) |helper| helper.join();
    if (work.failed.load(.acquire))
        return failure.raise(error.OutOfMemory, "no memory to encode {d} bytes of text", .{text.len});
    var count: usize = 0;
    for (plan.groups.items) |group| {
        const part = out[group.offset..][0..group.count];
        if (group.offset != count) std.mem.copyForwards(Token, out[count..][0..group.count], part);
        count += group.count;
    }
    return count;
}

const Plan = struct {
    allocator: std.mem.Allocator,
    segments: std.ArrayList(Segment) = .empty,
    groups: std.ArrayList(Group) = .empty,
    /// Bytes before the group that is being filled.
    group_start: usize = 0,
    group_first: usize = 0,

    fn deinit(plan: *Plan) void {
        plan.segments.deinit(plan.allocator);
        plan.groups.deinit(plan.allocator);
    }

    fn make(plan: *Plan, model: *const Model, text: []const u8, look: Look) !void {
        var at: usize = 0;
        while (model.added.next(text, at, look)) |match| {
            try plan.span(text, at, match.start, match.token);
            try plan.close_group(match.end, group_bytes);
            at = match.end;
        }
        try plan.span(text, at, text.len, none);
        try plan.close_group(text.len, 0);
    }

    fn span(plan: *Plan, text: []const u8, start: usize, end: usize, token: u32) !void {
        const whole = text[start..end];
        var from: usize = 0;
        while (cut(whole, from)) |to| : (from = to) {
            try plan.segments.append(plan.allocator, .{
                .start = start,
                .end = end,
                .from = from,
                .to = to,
                .token = none,
            });
            try plan.close_group(start + to, group_bytes);
        }
        try plan.segments.append(plan.allocator, .{
            .start = start,
            .end = end,
            .from = from,
            .to = whole.len,
            .token = token,
        });
    }

    /// Ends the group at this byte of the text if it has enough.
    fn close_group(plan: *Plan, end: usize, least: usize) !void {
        const last = plan.segments.items.len;
        if (end - plan.group_start < least or last == plan.group_first) return;
        try plan.groups.append(plan.allocator, .{
            .first = plan.group_first,
            .last = last,
            .offset = plan.group_start,
        });
        plan.group_first = last;
        plan.group_start = end;
    }
};

/// Where the next part of a long span ends; null: the rest is one part.
fn cut(text: []const u8, from: usize) ?usize {
    if (text.len - from < 2 * group_bytes) return null;
    const start = from + group_bytes;
    for (start..@min(text.len, start + search_bytes)) |at|
        if (scan.is_boundary(text, at)) return at;
    return null;
}

fn Work(comptime Token: type) type {
    return struct {
        const Self = @This();

        allocator: std.mem.Allocator,
        model: *const Model,
        contexts: *encode.Contexts,
        text: []const u8,
        plan: *Plan,
        out: [*]Token,
        next: std.atomic.Value(usize) = .init(0),
        failed: std.atomic.Value(bool) = .init(false),

        fn serve(work: *Self) void {
            work.groups() catch work.failed.store(true, .release);
        }

        fn groups(work: *Self) !void {
            const context = try work.contexts.take(work.allocator);
            defer work.contexts.put(work.allocator, context);
            while (!work.failed.load(.monotonic)) {
                const index = work.next.fetchAdd(1, .monotonic);
                if (index >= work.plan.groups.items.len) return;
                const group = &work.plan.groups.items[index];
                var encoding: encode.Encoding(Token) = .{
                    .allocator = work.allocator,
                    .model = work.model,
                    .context = context,
                    .out = work.out + group.offset,
                };
                for (work.plan.segments.items[group.first..group.last]) |segment| {
                    const span = work.text[segment.start..segment.end];
                    try encoding.words(span, segment.from, segment.to);
                    if (segment.token != none) encoding.append(segment.token);
                }
                group.count = encoding.count;
            }
        }
    };
}
