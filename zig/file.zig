//! File access by position, straight on the system calls: whole transfers (short ones are continued) or an error.
const std = @import("std");
const linux = std.os.linux;
const failure = @import("failure.zig");

const Error = failure.Error;

pub const Path = struct {
    buffer: [linux.PATH_MAX]u8,
    bytes: usize,

    pub fn init(name: []const u8) Error!Path {
        const whole = std.mem.indexOfScalar(u8, name, 0) == null;
        if (name.len == 0 or name.len >= linux.PATH_MAX or !whole)
            return failure.raise(error.InvalidArgument, "a path of {d} bytes cannot be opened", .{name.len});
        var path: Path = .{ .buffer = undefined, .bytes = name.len };
        @memcpy(path.buffer[0..name.len], name);
        path.buffer[name.len] = 0;
        return path;
    }

    fn text(path: *const Path) []const u8 {
        return path.buffer[0..path.bytes];
    }

    fn open(path: *const Path, flags: linux.O) Error!linux.fd_t {
        while (true) {
            const rc = linux.open(path.buffer[0..path.bytes :0], flags, 0o644);
            switch (linux.errno(rc)) {
                .SUCCESS => return @intCast(rc),
                .INTR => continue,
                else => |e| return path.failed("open", e),
            }
        }
    }

    fn failed(path: *const Path, what: []const u8, e: linux.E) Error {
        const parts = .{ what, path.text(), @tagName(e) };
        return failure.raise(error.IoFailed, "cannot {s} {s}: {s}", parts);
    }
};

/// Writes `data` at `position`, creating the file when it is not there. The rest of the file stays as it is.
pub fn write_at(path: *const Path, position: u64, data: []const u8) Error!void {
    const fd = try path.open(.{ .ACCMODE = .WRONLY, .CREAT = true, .CLOEXEC = true });
    var done: usize = 0;
    while (done < data.len) {
        const rc = linux.pwrite(fd, data.ptr + done, data.len - done, @intCast(position + done));
        switch (linux.errno(rc)) {
            .SUCCESS => done += rc,
            .INTR => continue,
            else => |e| {
                _ = linux.close(fd);
                return path.failed("write", e);
            },
        }
    }
    // Network file systems report a failed write only here.
    switch (linux.errno(linux.close(fd))) {
        .SUCCESS, .INTR => {},
        else => |e| return path.failed("close", e),
    }
}

pub fn read_at(path: *const Path, position: u64, into: []u8) Error!void {
    const fd = try path.open(.{ .ACCMODE = .RDONLY, .CLOEXEC = true });
    defer _ = linux.close(fd);
    var done: usize = 0;
    while (done < into.len) {
        const rc = linux.pread(fd, into.ptr + done, into.len - done, @intCast(position + done));
        switch (linux.errno(rc)) {
            .SUCCESS => {
                if (rc == 0) return failure.raise(
                    error.IoFailed,
                    "{s} ends {d} bytes short of byte {d}",
                    .{ path.text(), into.len - done, position + into.len },
                );
                done += rc;
            },
            .INTR => continue,
            else => |e| return path.failed("read", e),
        }
    }
}

/// The start of a small file of the system's (/proc, /sys), or null when it cannot be read.
pub fn read_small(path: [*:0]const u8, buffer: []u8) ?[]const u8 {
    const rc = linux.open(path, .{ .ACCMODE = .RDONLY, .CLOEXEC = true }, 0);
    if (linux.errno(rc) != .SUCCESS) return null;
    const fd: linux.fd_t = @intCast(rc);
    defer _ = linux.close(fd);
    var done: usize = 0;
    while (done < buffer.len) {
        const got = linux.read(fd, buffer.ptr + done, buffer.len - done);
        if (linux.errno(got) == .INTR) continue;
        if (linux.errno(got) != .SUCCESS) return null;
        if (got == 0) break;
        done += got;
    }
    return buffer[0..done];
}

test "what is written at a position is read back, and a short file is an error" {
    const path = try Path.init("/tmp/theseus_file_test");
    defer _ = linux.unlink("/tmp/theseus_file_test");
    try write_at(&path, 10, "hello");
    var back: [5]u8 = undefined;
    try read_at(&path, 10, &back);
    try std.testing.expectEqualStrings("hello", &back);
    try std.testing.expectError(error.IoFailed, read_at(&path, 11, &back));
    try std.testing.expect(std.mem.indexOf(u8, failure.last_message(), "1 bytes short") != null);
    try std.testing.expectError(error.InvalidArgument, Path.init(""));
}
