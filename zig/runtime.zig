//! Devices and their timeline. A device has one submission thread, which is thread 0 of its pool and runs the
//! submitted programs in order; tickets are their positions on that timeline. A run that fails poisons the
//! timeline: later runs are skipped and every later wait reports the first error.
const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
const failure = @import("failure.zig");
const handles = @import("handles.zig");
const memory = @import("memory.zig");
const kernel = @import("cpu/kernel.zig");
const cpuid = @import("cpu/cpuid.zig");
const pool_file = @import("cpu/pool.zig");
const topology = @import("cpu/topology.zig");
const Lookup = @import("cpu/table.zig").Lookup;
const Program = @import("program.zig").Program;
const cuda = @import("cuda/device.zig");
const Buffer = @import("buffer.zig").Buffer;

const Error = failure.Error;

/// Runs that may wait on the timeline.
const queue_max = cuda.marks_max;

const Run = struct {
    program: *Program,
    slot: u1,
    /// On a GPU: it begins after what was written before it was submitted.
    after_writes: bool = false,
};

pub const Options = struct {
    level: cpuid.Level,
    threads: u32,
    /// Every buffer ends at an inaccessible page (tests).
    guarded: bool,
    /// The device is this GPU; it becomes the device's.
    gpu: ?*cuda.Gpu = null,
};

pub const Device = struct {
    level: cpuid.Level,
    lookup: Lookup,
    guarded: bool,
    /// Set: memory and programs are on this GPU, and the only thread hands out its work.
    gpu: ?*cuda.Gpu,
    pool: pool_file.Pool,
    states: [topology.threads_max]kernel.Thread,
    workers: [topology.threads_max]std.Thread,
    thread_count: u32,
    submitter: std.Thread,
    scratch: ?memory.Block = null,
    scratch_bytes: u64 = 0,
    buffer_bytes: u64 = 0,
    buffer_count: u64 = 0,
    /// What the machine could give when the device was opened.
    memory_bytes: u64,

    queue: [queue_max]Run = undefined,
    /// Tickets run from 1. Counts, also of the runs that were skipped.
    submitted: u64 align(64) = 0,
    completed: u64 align(64) = 0,
    submitter_parked: u32 = 0,
    waiters: u32 = 0,
    stopping: bool = false,
    /// Ticket of the run that failed; 0 while all is well. `failure` is written before it.
    failed_ticket: u64 = 0,
    failed: failure.Record = .{},

    pub fn open(options: Options, lookup: Lookup) Error!*Device {
        std.debug.assert(options.threads >= 1 and options.threads <= topology.threads_max);
        const allocator = std.heap.c_allocator;
        const device = allocator.create(Device) catch
            return failure.raise(error.OutOfMemory, "no memory for a device", .{});
        errdefer allocator.destroy(device);
        device.* = .{
            .level = options.level,
            .lookup = lookup,
            .guarded = options.guarded,
            .gpu = options.gpu,
            .pool = undefined,
            .states = undefined,
            .workers = undefined,
            .thread_count = options.threads,
            .submitter = undefined,
            .memory_bytes = if (options.gpu) |gpu| gpu.free_bytes else memory.available(),
        };
        const count = options.threads;
        device.pool.start(device.states[0..count], device.workers[0 .. count - 1]) catch |e|
            return failure.raise(error.OutOfMemory, "cannot start threads: {s}", .{@errorName(e)});
        errdefer device.pool.stop();
        device.submitter = std.Thread.spawn(.{}, serve, .{device}) catch |e|
            return failure.raise(error.OutOfMemory, "cannot start a thread: {s}", .{@errorName(e)});
        return device;
    }

    /// Waits for what was submitted, then gives everything back. Buffers and programs must be gone.
    pub fn close(device: *Device) void {
        _ = device.wait_until(@atomicLoad(u64, &device.submitted, .acquire), null);
        device.stopping = true;
        // A ticket that nobody submitted wakes the submitter, which then sees `stopping`.
        @atomicStore(u64, &device.submitted, device.submitted + 1, .seq_cst);
        wake_low(&device.submitted, &device.submitter_parked);
        device.submitter.join();
        device.pool.stop();
        if (device.scratch) |block| memory.release(block);
        if (device.gpu) |gpu| gpu.close();
        std.heap.c_allocator.destroy(device);
    }

    /// Puts a run on the timeline and returns its ticket.
    pub fn submit(device: *Device, program: *Program, slot: u1) Error!u64 {
        try device.check_timeline();
        const ticket = device.submitted + 1;
        if (ticket - @atomicLoad(u64, &device.completed, .acquire) > queue_max)
            return failure.raise(error.Busy, "{d} runs are waiting already; wait for a ticket first", .{queue_max});
        const writes = if (device.gpu) |gpu| gpu.mark(ticket % queue_max) catch |e| {
            try device.explained(e);
            return e;
        } else false;
        program.runs += 1;
        program.last_ticket = ticket;
        device.queue[ticket % queue_max] = .{
            .program = program,
            .slot = slot,
            .after_writes = writes,
        };
        @atomicStore(u64, &device.submitted, ticket, .seq_cst);
        wake_low(&device.submitted, &device.submitter_parked);
        return ticket;
    }

    pub fn is_done(device: *const Device, ticket: u64) bool {
        return @atomicLoad(u64, &device.completed, .acquire) >= ticket;
    }

    /// 1 when the run has ended well, 0 when it has not ended.
    pub fn poll(device: *Device, ticket: u64) Error!i64 {
        try device.check_ticket(ticket);
        return if (device.is_done(ticket)) device.outcome(ticket) else 0;
    }

    /// As `poll`, but waits up to `timeout_ms` (for ever when negative).
    pub fn wait(device: *Device, ticket: u64, timeout_ms: i64) Error!i64 {
        try device.check_ticket(ticket);
        const limit_ns = @as(u64, @intCast(@max(0, timeout_ms))) *| std.time.ns_per_ms;
        const limit: ?u64 = if (timeout_ms < 0) null else limit_ns;
        return if (device.wait_until(ticket, limit)) device.outcome(ticket) else 0;
    }

    /// The runs that are submitted and not completed, in a program or buffer that must not change meanwhile.
    pub fn is_in_flight(device: *const Device, buffer: i64) bool {
        const completed = @atomicLoad(u64, &device.completed, .acquire);
        for (completed + 1..device.submitted + 1) |ticket| {
            const run = device.queue[ticket % queue_max];
            const bound = run.program.bindings[run.slot];
            if (std.mem.indexOfScalar(i64, bound, buffer) != null) return true;
        }
        return false;
    }

    /// Makes every thread's scratch at least this large. Waits until nothing runs.
    pub fn reserve_scratch(device: *Device, bytes: u64) Error!void {
        if (device.gpu != null) return;
        const rounded = std.mem.alignForward(u64, bytes, memory.alignment);
        if (rounded <= device.scratch_bytes) return;
        try device.check_memory((rounded - device.scratch_bytes) * device.thread_count);
        _ = device.wait_until(device.submitted, null);
        const block = memory.allocate(rounded * device.thread_count, device.guarded) orelse
            return failure.raise(error.OutOfMemory, "no memory for {d} bytes of scratch", .{rounded});
        if (device.scratch) |old| memory.release(old);
        device.scratch = block;
        device.scratch_bytes = rounded;
        for (device.states[0..device.thread_count], 0..) |*state, i| {
            state.scratch = @alignCast(block.data + i * rounded);
            state.scratch_bytes = rounded;
        }
    }

    /// Refuses what the machine cannot give; the pages themselves are taken only when they are touched.
    pub fn check_memory(device: *const Device, bytes: u64) Error!void {
        const taken = device.buffer_bytes + device.scratch_bytes * device.thread_count;
        if (bytes > device.memory_bytes -| taken) return failure.raise(
            error.OutOfMemory,
            "{d} bytes more than the {d} in use do not fit into the {d} that this machine had free",
            .{ bytes, taken, device.memory_bytes },
        );
    }

    fn check_ticket(device: *const Device, ticket: u64) Error!void {
        if (ticket == 0 or ticket > device.submitted)
            return failure.raise(error.InvalidArgument, "ticket {d} was never given out", .{ticket});
    }

    fn check_timeline(device: *Device) Error!void {
        if (@atomicLoad(u64, &device.failed_ticket, .acquire) != 0) {
            return failure.adopt(&device.failed);
        }
    }

    /// A GPU that fails in a program fails in every copy from then on: what is told is the program's failure.
    pub fn explained(device: *Device, result: Error!void) Error!void {
        return result catch |e| {
            _ = device.wait_until(device.submitted, 2 * std.time.ns_per_s);
            try device.check_timeline();
            return e;
        };
    }

    fn outcome(device: *Device, ticket: u64) Error!i64 {
        const failed = @atomicLoad(u64, &device.failed_ticket, .acquire);
        return if (failed != 0 and ticket >= failed) failure.adopt(&device.failed) else 1;
    }

    /// Spins briefly (a decode step is short), then sleeps. False when the time is up.
    fn wait_until(device: *Device, ticket: u64, limit_ns: ?u64) bool {
        for (0..1000) |_| {
            if (device.is_done(ticket)) return true;
            std.atomic.spinLoopHint();
        }
        const begin_ns = pool_file.now_ns();
        _ = @atomicRmw(u32, &device.waiters, .Add, 1, .seq_cst);
        defer _ = @atomicRmw(u32, &device.waiters, .Sub, 1, .seq_cst);
        while (true) {
            const completed = @atomicLoad(u64, &device.completed, .seq_cst);
            if (completed >= ticket) return true;
            var left: linux.timespec = undefined;
            if (limit_ns) |limit| {
                const spent = pool_file.now_ns() - begin_ns;
                if (spent >= limit) return false;
                left = .{
                    .sec = @intCast((limit - spent) / std.time.ns_per_s),
                    .nsec = @intCast((limit - spent) % std.time.ns_per_s),
                };
            }
            wait_low(&device.completed, completed, if (limit_ns != null) &left else null);
        }
    }

    /// The submission thread.
    fn serve(device: *Device) void {
        pool_file.ready_thread("theseus-0");
        if (device.gpu) |gpu| gpu.enter();
        var ticket: u64 = 1;
        while (true) : (ticket += 1) {
            device.wait_for_submission(ticket);
            if (device.stopping) return;
            const run = device.queue[ticket % queue_max];
            if (device.gpu != null) {
                device.start_on_gpu(run, ticket);
                device.finish_on_gpu(ticket);
                continue;
            }
            if (device.failed_ticket == 0) device.execute(run, ticket);
            device.complete(ticket);
        }
    }

    fn complete(device: *Device, ticket: u64) void {
        @atomicStore(u64, &device.completed, ticket, .seq_cst);
        wake_low(&device.completed, &device.waiters);
    }

    fn start_on_gpu(device: *Device, run: Run, ticket: u64) void {
        if (device.failed_ticket != 0) return;
        device.put_on_gpu(run, ticket) catch {
            const own = failure.last_record();
            // A failure of the run before shows in whatever comes after it, unless each kernel was waited for.
            const before = if (device.gpu.?.stepwise) ticket else device.completed + 1;
            while (before < ticket and !device.has_ended(before)) nap(20 * std.time.ns_per_us);
            if (device.failed_ticket == 0) device.poison(ticket, own);
        };
    }

    fn put_on_gpu(device: *Device, run: Run, ticket: u64) Error!void {
        if (run.after_writes) try device.gpu.?.wait_for_mark(ticket % queue_max);
        const executable = run.program.executable.?;
        try executable.start(run.program, run.slot, ticket % cuda.runs_max);
    }

    /// Completes the runs up to `ticket`, but returns early when another one came and the GPU has room behind the last.
    fn finish_on_gpu(device: *Device, ticket: u64) void {
        while (device.completed < ticket) {
            const oldest = device.completed + 1;
            const submitted = @atomicLoad(u64, &device.submitted, .acquire);
            const room = ticket - device.completed < cuda.runs_max;
            if (room and submitted > ticket and !device.stopping) return;
            if (device.failed_ticket == 0 and !device.has_ended(oldest)) {
                nap(20 * std.time.ns_per_us);
                continue;
            }
            device.complete(oldest);
        }
    }

    /// Whether a started run is over, well or not.
    fn has_ended(device: *Device, ticket: u64) bool {
        const program = device.queue[ticket % queue_max].program;
        const report = ticket % cuda.runs_max;
        const ended = program.executable.?.poll(program, report) catch {
            device.poison(ticket, failure.last_record());
            return true;
        };
        if (!ended) return false;
        const fault = program.executable.?.fault(report) orelse return true;
        const index = fault.place.instruction - 1;
        const place = program.place(index, fault.position(), fault.value());
        device.failed = .at(.index_out_of_range, place);
        @atomicStore(u64, &device.failed_ticket, ticket, .release);
        return true;
    }

    fn poison(device: *Device, ticket: u64, record: failure.Record) void {
        device.failed = record;
        @atomicStore(u64, &device.failed_ticket, ticket, .release);
    }

    fn wait_for_submission(device: *Device, ticket: u64) void {
        for (0..1000) |_| {
            if (@atomicLoad(u64, &device.submitted, .acquire) >= ticket) return;
            std.atomic.spinLoopHint();
        }
        _ = @atomicRmw(u32, &device.submitter_parked, .Add, 1, .seq_cst);
        defer _ = @atomicRmw(u32, &device.submitter_parked, .Sub, 1, .seq_cst);
        while (@atomicLoad(u64, &device.submitted, .seq_cst) < ticket)
            wait_low(&device.submitted, ticket - 1, null);
    }

    fn execute(device: *Device, run: Run, ticket: u64) void {
        const program = run.program;
        const job: pool_file.Job = .{
            .name = program.name,
            .instructions = program.instructions[run.slot],
            .functions = program.functions,
            .profile_ns = if (program.profiling) program.profile_ns else null,
        };
        device.pool.run(&job);
        const team = &device.pool.team;
        if (team.failed == 0) return;
        const first = @intFromPtr(job.instructions.ptr);
        const index: u32 = @intCast((team.failed_instruction - first) / @sizeOf(abi.Instruction));
        const status = std.enums.fromInt(abi.Status, team.failed) orelse .kernel_failed;
        device.failed = .at(status, program.place(index, team.failed_position, team.failed_value));
        @atomicStore(u64, &device.failed_ticket, ticket, .release);
    }
};

fn nap(ns: u32) void {
    const time: linux.timespec = .{ .sec = 0, .nsec = ns };
    _ = linux.nanosleep(&time, null);
}

// The futex compares 32 bits; the low half changes with every ticket.

fn wait_low(word: *u64, value: u64, timeout: ?*const linux.timespec) void {
    const low: *const u32 = @ptrCast(word);
    _ = linux.futex_4arg(low, .{ .cmd = .WAIT, .private = true }, @truncate(value), timeout);
}

fn wake_low(word: *u64, parked: *u32) void {
    if (@atomicLoad(u32, parked, .seq_cst) != 0)
        _ = linux.futex_3arg(word, .{ .cmd = .WAKE, .private = true }, std.math.maxInt(i32));
}
