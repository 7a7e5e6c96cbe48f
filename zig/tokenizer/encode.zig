//! Text to tokens. Each thread has a context: a cache of the words it met last, which most words of a text are, and the
//! scratch of the merger. A large text is cut among threads where a word starts whatever stands around (scan.is_boundary), so the
//! tokens do not depend on how many there are.
const std = @import("std");
const failure = @import("../failure.zig");
const scan = @import("scan.zig");
const words_file = @import("words.zig");
const Merger = @import("merge.zig").Merger;
const Look = @import("added.zig").Look;
const Model = @import("model.zig").Model;

const Error = failure.Error;

/// Longest word that the cache keeps, and most tokens of one.
const cached_bytes = 16;
const cached_tokens = 3;
const cache_bits = 15;

const Cached = struct {
    low: u64 = 0,
    high: u64 = 0,
    len: u16 = 0,
    count: u16 = 0,
    tokens: [cached_tokens]u32 = undefined,
};

comptime {
    std.debug.assert(@sizeOf(Cached) == 32);
}

pub const Context = struct {
    cache: [1 << cache_bits]Cached,
    merger: Merger,

    pub fn create(allocator: std.mem.Allocator) !*Context {
        const context = try allocator.create(Context);
        @memset(&context.cache, .{});
        context.merger = .{};
        return context;
    }

    pub fn destroy(context: *Context, allocator: std.mem.Allocator) void {
        context.merger.deinit(allocator);
        allocator.destroy(context);
    }
};

/// Contexts between calls, so that their caches stay warm.
pub const Contexts = struct {
    idle: [64]std.atomic.Value(?*Context) = @splat(.init(null)),

    pub fn take(contexts: *Contexts, allocator: std.mem.Allocator) !*Context {
        for (&contexts.idle) |*slot| if (slot.swap(null, .acquire)) |context| return context;
        return Context.create(allocator);
    }

    pub fn put(contexts: *Contexts, allocator: std.mem.Allocator, context: *Context) void {
        for (&contexts.idle) |*slot|
            if (slot.cmpxchgStrong(null, context, .release, .monotonic) == null) return;
        context.destroy(allocator);
    }

    pub fn deinit(contexts: *Contexts, allocator: std.mem.Allocator) void {
        for (&contexts.idle) |*slot|
            if (slot.swap(null, .acquire)) |context| context.destroy(allocator);
    }
};

/// Tokens as written: 16 or 32 bits each.
pub fn Encoding(comptime Token: type) type {
    return struct {
        const Self = @This();

        allocator: std.mem.Allocator,
        model: *const Model,
        context: *Context,
        out: [*]Token,
        count: usize = 0,

        /// A text with its added tokens. `out` has room for a token a byte.
        pub fn text(self: *Self, whole: []const u8, look: Look) Error!void {
            var at: usize = 0;
            while (self.model.added.next(whole, at, look)) |match| {
                try self.words(whole[at..match.start], 0, match.start - at);
                self.append(match.token);
                at = match.end;
            }
            try self.words(whole[at..], 0, whole.len - at);
        }

        /// The words that start in [from, to); both are where words start.
        pub fn words(self: *Self, span: []const u8, from: usize, to: usize) Error!void {
            switch (self.model.pattern.family) {
                inline else => |family| try self.words_of(family, span, from, to),
            }
        }

        fn words_of(
            self: *Self,
            comptime family: scan.Family,
            span: []const u8,
            from: usize,
            to: usize,
        ) Error!void {
            const pattern = self.model.pattern;
            var at = from;
            while (at < to) {
                const end = scan.word_end(family, pattern, span, at);
                try self.word(span, at, end);
                at = end;
            }
            std.debug.assert(at == to);
        }

        inline fn word(self: *Self, span: []const u8, start: usize, end: usize) Error!void {
            const len = end - start;
            if (len > cached_bytes) return self.long_word(span[start..end]);
            var key: [cached_bytes]u8 = @splat(0);
            if (start + cached_bytes <= span.len) {
                key = span[start..][0..cached_bytes].*;
            } else {
                @memcpy(key[0..len], span[start..end]);
            }
            const low = std.mem.readInt(u64, key[0..8], .little) & kept(len);
            const high = std.mem.readInt(u64, key[8..16], .little) & kept(len -| 8);
            const cached = &self.context.cache[place_of(low, high)];
            if (cached.low == low and cached.high == high and cached.len == len) {
                for (cached.tokens[0..cached.count]) |token| self.append(token);
                return;
            }
            const first = self.count;
            try self.long_word(span[start..end]);
            const count = self.count - first;
            if (count > cached_tokens) return;
            cached.low = low;
            cached.high = high;
            cached.len = @intCast(len);
            cached.count = @intCast(count);
            for (cached.tokens[0..count], self.out[first..self.count]) |*to, token| to.* = token;
        }

        /// A word that the cache does not know.
        fn long_word(self: *Self, bytes: []const u8) Error!void {
            const whole = self.model.words.get(bytes);
            if (whole != words_file.none) return self.append(whole);
            const merged = self.context.merger.merge(self.allocator, &self.model.pairs, bytes) catch
                return failure.raise(error.OutOfMemory, "no memory for {d} bytes", .{bytes.len});
            for (merged) |number| self.append(self.model.tokens.items[number]);
        }

        pub inline fn append(self: *Self, token: u32) void {
            self.out[self.count] = @intCast(token);
            self.count += 1;
        }
    };
}

/// Mask of the low `len` bytes of a word.
inline fn kept(len: usize) u64 {
    return if (len >= 8) std.math.maxInt(u64) else (@as(u64, 1) << @intCast(8 * len)) - 1;
}

inline fn place_of(low: u64, high: u64) usize {
    const mixed = (low ^ std.math.rotl(u64, high *% 0x9fb21c651e98df25, 32)) *% 0x9e3779b97f4a7c15;
    return @intCast(mixed >> (64 - cache_bits));
}
