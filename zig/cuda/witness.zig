//! Which launch of a GPU began last, so that the message about a GPU that died names the node and its module.
//!
//! A failed kernel takes the context along, and with it all memory of the device; pinned memory of the host stays readable. Every
//! kernel of cuda/ begins with one store of the address of its task (its own in each slot of each program) into a pinned word.
//! Nobody waits for that store: it costs eight bytes over the bus a launch.
//!
//! Why the word is enough: all programs run on one stream, and a kernel begins only after the one before it has ended
//! well. The launch that failed is therefore the one in the word or a later one; where the last store did not arrive any more, the
//! one after it. Kernels of cuBLASLt write nothing: those between the word's launch and the next of our own are named too.
//! With two runs in flight the word tells whose turn it was, whichever of them the host was asking about.
const std = @import("std");
const driver_file = @import("driver.zig");
const device_file = @import("device.zig");
const failure = @import("../failure.zig");
const numbers = @import("numbers.zig");
const Executable = @import("executable.zig").Executable;
const Program = @import("../program.zig").Program;

const Address = driver_file.Address;
const Driver = driver_file.Driver;
const Error = failure.Error;
const Writer = std.Io.Writer;

const Run = struct { executable: *const Executable, program: *const Program, slot: u1 };
const Place = struct { run: usize, launch: usize };

/// More are only counted.
const named_max = 7;

pub const Witness = struct {
    /// Null: kernels are not asked to write.
    word: ?*volatile Address = null,
    /// Where kernels see the word; 0 tells them to write nothing.
    address: Address = 0,
    /// Runs that were started and have not been seen to end, the oldest first. Only the thread that starts runs looks at them;
    /// their programs stay as long as they run.
    runs: [device_file.runs_max]Run = undefined,
    count: usize = 0,

    pub fn open(w: *Witness, driver: *const Driver) Error!void {
        const flags = numbers.CU_MEMHOSTALLOC_PORTABLE | numbers.CU_MEMHOSTALLOC_DEVICEMAP;
        var memory: driver_file.Handle = null;
        const made = driver.call.cuMemHostAlloc(&memory, @sizeOf(Address), flags);
        try driver.check(made, "no pinned memory", .{});
        w.word = @ptrCast(@alignCast(memory));
        w.word.?.* = 0;
        const found = driver.call.cuMemHostGetDevicePointer_v2(&w.address, memory, 0);
        try driver.check(found, "pinned memory is not seen by the GPU", .{});
    }

    pub fn close(w: *Witness, driver: *const Driver) void {
        if (w.word) |word| _ = driver.call.cuMemFreeHost(@ptrCast(@volatileCast(word)));
    }

    pub fn begin(w: *Witness, run: Run) void {
        w.runs[w.count] = run;
        w.count += 1;
    }

    /// The oldest run is over.
    pub fn end(w: *Witness) void {
        w.count -= 1;
        std.mem.copyForwards(Run, w.runs[0..w.count], w.runs[1..][0..w.count]);
    }

    /// A sentence without its end on where the GPU died; false: nothing is known.
    pub fn tell(w: *const Witness, gpu: *const device_file.Gpu, writer: *Writer) Writer.Error!bool {
        var buffer: [64]Place = undefined;
        const places = w.suspects(&buffer);
        if (places.len == 0) return false;
        const first = &w.runs[places[0].run];
        const at = "program {s} failed on GPU {d} at or right after ";
        try writer.print(at, .{ first.program.name, gpu.ordinal });
        try w.name(writer, places[0]);
        if (places.len == 1) return true;
        for (places[1..@min(places.len, named_max + 1)], 0..) |place, i| {
            try writer.writeAll(if (i == 0) " (or at " else "; ");
            try w.name(writer, place);
            if (w.runs[place.run].program != first.program)
                try writer.print(" of program {s}", .{w.runs[place.run].program.name});
        }
        if (places.len > named_max + 1)
            try writer.print("; and {d} more", .{places.len - named_max - 1});
        try writer.writeAll(")");
        return true;
    }

    fn name(w: *const Witness, writer: *Writer, place: Place) Writer.Error!void {
        const run = &w.runs[place.run];
        const launch = &run.executable.plan.launches.items[place.launch];
        const scope = run.program.scopes[launch.instruction];
        try writer.print("node {d}, kernel {s}{s}{s}", .{
            run.program.instructions[0][launch.instruction].node,
            @tagName(launch.kernel),
            if (scope.len > 0) ", " else "",
            scope,
        });
    }

    /// The launch in the word and the products that come directly after it, also in the next run. Nothing of ours has begun in any
    /// of the runs: what the oldest one begins with.
    fn suspects(w: *const Witness, buffer: []Place) []const Place {
        var list: std.ArrayList(Place) = .initBuffer(buffer);
        if (w.count == 0) return list.items;
        const found = w.locate((w.word orelse return list.items).*);
        if (found) |place| list.appendAssumeCapacity(place);
        var next: Place = if (found) |place|
            .{ .run = place.run, .launch = place.launch + 1 }
        else
            .{ .run = 0, .launch = 0 };
        while (next.run < w.count) : (next = .{ .run = next.run + 1, .launch = 0 }) {
            if (!w.append_products(&list, next)) return list.items;
        }
        // The word may be of an earlier run of the same program.
        if (found != null) _ = w.append_products(&list, .{ .run = 0, .launch = 0 });
        return list.items;
    }

    fn locate(w: *const Witness, word: Address) ?Place {
        for (w.runs[0..w.count], 0..) |*run, i| {
            const launch = run.executable.launch_at(word, run.slot) orelse continue;
            return .{ .run = i, .launch = launch };
        }
        return null;
    }

    /// From `from` on; whether the run's end came before a kernel of ours. Such a kernel is named when nothing is before it: its
    /// store was on the way.
    fn append_products(w: *const Witness, list: *std.ArrayList(Place), from: Place) bool {
        const all = w.runs[from.run].executable.plan.launches.items;
        for (all[from.launch..], from.launch..) |*launch, i| {
            const place: Place = .{ .run = from.run, .launch = i };
            if (launch.product == null and list.items.len > 0) return false;
            list.appendBounded(place) catch return false;
            if (launch.product == null) return false;
        }
        return true;
    }
};
