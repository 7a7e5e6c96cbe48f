//! The C interface, about two dozen functions. Each returns an i64: 0 or more is a handle, ticket, address or length,
//! less is minus an `abi.Status`, with details in `theseus_last_error`. Data moves in buffers and programs, so calls
//! are few and need not be fast. `src/runtime/abi.gen.ts` is generated from the `export fn` lines here.
const std = @import("std");
const abi = @import("abi.zig");
const binding = @import("binding.zig");
const buffers = @import("buffer.zig");
const failure = @import("failure.zig");
const handles = @import("handles.zig");
const info = @import("info.zig");
const opening = @import("opening.zig");
const pool = @import("cpu/pool.zig");
const tokenizers = @import("tokenizer/tokenizer.zig");
const trainers = @import("tokenizer/train.zig");
const Device = @import("runtime.zig").Device;
const Program = binding.Loaded;

const Error = failure.Error;

/// Guards handles and bookkeeping; waiting threads do not hold it.
var lock: std.c.pthread_mutex_t = .{};

fn enter() void {
    _ = std.c.pthread_mutex_lock(&lock);
}

fn leave() void {
    _ = std.c.pthread_mutex_unlock(&lock);
}

fn done(result: Error!void) i64 {
    return if (result) |_| 0 else |e| minus(e);
}

fn value(result: Error!i64) i64 {
    return result catch |e| minus(e);
}

fn minus(e: Error) i64 {
    return -@as(i64, @intFromEnum(failure.status_of(e)));
}

fn bytes_of(pointer: ?[*]const u8, bytes: i64) []const u8 {
    const start = pointer orelse return &.{};
    return if (bytes > 0) start[0..@intCast(bytes)] else &.{};
}

fn room_of(pointer: ?[*]u8, bytes: i64) []u8 {
    const start = pointer orelse return &.{};
    return if (bytes > 0) start[0..@intCast(bytes)] else &.{};
}

export fn theseus_abi_version() i64 {
    return abi.abi_version;
}

/// A number that changes when an enum or flag of `abi.zig`, the wire format, or a function here does.
export fn theseus_abi_hash() i64 {
    return info.abi_hash;
}

/// JSON about the library itself. Texts: returns the full length, writes what fits.
export fn theseus_manifest(text: ?[*]u8, capacity: i64) i64 {
    return value(info.give(text, capacity, info.manifest, .{}));
}

export fn theseus_last_error(text: ?[*]u8, capacity: i64) i64 {
    return value(info.give(text, capacity, failure.write_json, .{}));
}

/// `threads` 0: one per core. `level`: a `cpuid.Level`, 0 the best. `guarded` 1: buffers end at unmapped pages.
export fn theseus_open(threads: i64, level: i64, guarded: i64) i64 {
    enter();
    defer leave();
    return value(opening.open(threads, level, guarded != 0));
}

/// Opens GPU `ordinal`; `path` of libcuda.so.1, empty for the system's; `libraries`: folders of cuBLASLt, one a line.
/// `stepwise` 1: waits after every kernel. `measures` 0: takes cuBLASLt's first proposals instead of the fastest. `witnesses` 0: what
/// a GPU was doing when it died stays unknown.
export fn theseus_open_gpu(
    ordinal: i64,
    path: ?[*]const u8,
    path_bytes: i64,
    libraries: ?[*]const u8,
    library_bytes: i64,
    stepwise: i64,
    measures: i64,
    witnesses: i64,
) i64 {
    enter();
    defer leave();
    return value(opening.open_gpu(.{
        .ordinal = ordinal,
        .path = bytes_of(path, path_bytes),
        .libraries = bytes_of(libraries, library_bytes),
        .stepwise = stepwise != 0,
        .measures = measures != 0,
        .witnesses = witnesses != 0,
    }));
}

export fn theseus_close(device: i64) i64 {
    enter();
    defer leave();
    return done(opening.close(device));
}

export fn theseus_device_info(device: i64, text: ?[*]u8, capacity: i64) i64 {
    enter();
    defer leave();
    const found = handles.get(Device, .device, device) catch |e| return minus(e);
    return value(info.give(text, capacity, info.device, .{found}));
}

/// The algorithms that a GPU's products got so far, as text; an empty one on a CPU.
export fn theseus_device_choices(device: i64, text: ?[*]u8, capacity: i64) i64 {
    enter();
    defer leave();
    const found = handles.get(Device, .device, device) catch |e| return minus(e);
    return value(info.give(text, capacity, info.choices, .{found}));
}

/// Gives a GPU choices of earlier runs, in the form of `theseus_device_choices`; programs that are loaded keep theirs.
export fn theseus_device_choose(device: i64, text: ?[*]const u8, bytes: i64) i64 {
    enter();
    defer leave();
    const found = handles.get(Device, .device, device) catch |e| return minus(e);
    const gpu = found.gpu orelse return 0;
    return done(gpu.products.?.read_choices(bytes_of(text, bytes)));
}

export fn theseus_buffer_alloc(device: i64, bytes: i64) i64 {
    enter();
    defer leave();
    const found = handles.get(Device, .device, device) catch |e| return minus(e);
    return value(buffers.Buffer.alloc(found, bytes, false));
}

/// Memory of the host, also where the device is a GPU: for copies, not for programs.
export fn theseus_buffer_alloc_host(device: i64, bytes: i64) i64 {
    enter();
    defer leave();
    const found = handles.get(Device, .device, device) catch |e| return minus(e);
    return value(buffers.Buffer.alloc(found, bytes, true));
}

export fn theseus_buffer_free(buffer: i64) i64 {
    enter();
    defer leave();
    return done(buffers.Buffer.free(buffer));
}

/// The buffer's address, valid until it is freed.
export fn theseus_buffer_map(buffer: i64) i64 {
    enter();
    defer leave();
    return value(buffers.map(buffer));
}

export fn theseus_buffer_write(buffer: i64, offset: i64, source: ?[*]const u8, bytes: i64) i64 {
    enter();
    defer leave();
    return done(buffers.write(buffer, offset, source, bytes));
}

export fn theseus_buffer_read(buffer: i64, offset: i64, target: ?[*]u8, bytes: i64) i64 {
    enter();
    defer leave();
    return done(buffers.read(buffer, offset, target, bytes, false));
}

/// As `theseus_buffer_read`, but also while runs use the buffer: they must only read it.
export fn theseus_buffer_peek(buffer: i64, offset: i64, target: ?[*]u8, bytes: i64) i64 {
    enter();
    defer leave();
    return done(buffers.read(buffer, offset, target, bytes, true));
}

export fn theseus_buffer_fill(buffer: i64, offset: i64, bytes: i64, byte: i64) i64 {
    enter();
    defer leave();
    return done(buffers.fill(buffer, offset, bytes, @truncate(@as(u64, @bitCast(byte)))));
}

export fn theseus_buffer_copy(
    to: i64,
    to_offset: i64,
    from: i64,
    from_offset: i64,
    bytes: i64,
) i64 {
    enter();
    defer leave();
    return done(buffers.copy(to, to_offset, from, from_offset, bytes));
}

export fn theseus_buffer_save(
    buffer: i64,
    offset: i64,
    bytes: i64,
    path: ?[*]const u8,
    path_bytes: i64,
    position: i64,
) i64 {
    enter();
    defer leave();
    return done(buffers.save(buffer, offset, bytes, bytes_of(path, path_bytes), position));
}

export fn theseus_buffer_load(
    buffer: i64,
    offset: i64,
    bytes: i64,
    path: ?[*]const u8,
    path_bytes: i64,
    position: i64,
) i64 {
    enter();
    defer leave();
    return done(buffers.load(buffer, offset, bytes, bytes_of(path, path_bytes), position));
}

export fn theseus_program_load(device: i64, source: ?[*]const u8, bytes: i64) i64 {
    enter();
    defer leave();
    return value(binding.load(device, bytes_of(source, bytes)));
}

/// Bytes of a GPU's memory that the loaded program would take besides its buffers; 0 on a CPU.
export fn theseus_program_measure(device: i64, source: ?[*]const u8, bytes: i64) i64 {
    enter();
    defer leave();
    return value(binding.measure(device, bytes_of(source, bytes)));
}

export fn theseus_program_free(program: i64) i64 {
    enter();
    defer leave();
    return done(binding.free(program));
}

/// `slot` 0 or 1, or 2 for both.
export fn theseus_program_bind(program: i64, index: i64, slot: i64, buffer: i64) i64 {
    enter();
    defer leave();
    return done(binding.bind(program, index, slot, buffer));
}

/// Returns the run's ticket.
export fn theseus_program_run(program: i64, slot: i64) i64 {
    enter();
    defer leave();
    return value(binding.run(program, slot));
}

export fn theseus_program_info(program: i64, text: ?[*]u8, capacity: i64) i64 {
    enter();
    defer leave();
    const found = handles.get(Program, .program, program) catch |e| return minus(e);
    return value(info.give(text, capacity, info.program, .{found.program}));
}

/// Switches the clock per instruction on (1) or off (0) and sets the times to zero.
export fn theseus_program_profile_enable(program: i64, enabled: i64) i64 {
    enter();
    defer leave();
    return done(binding.profile_enable(program, enabled != 0));
}

/// Nanoseconds per instruction since profiling was enabled; returns how many instructions there are.
export fn theseus_program_profile(program: i64, times_ns: ?[*]f64, capacity: i64) i64 {
    enter();
    defer leave();
    return value(binding.profile(program, times_ns, capacity));
}

/// 1 when the run has ended, 0 when not yet.
export fn theseus_poll(device: i64, ticket: i64) i64 {
    enter();
    defer leave();
    const found = handles.get(Device, .device, device) catch |e| return minus(e);
    return value(found.poll(@intCast(@max(0, ticket))));
}

/// As `theseus_poll` after waiting up to `timeout_ms`, for ever when negative.
export fn theseus_wait(device: i64, ticket: i64, timeout_ms: i64) i64 {
    enter();
    const found = handles.get(Device, .device, device) catch |e| {
        leave();
        return minus(e);
    };
    leave();
    return value(found.wait(@intCast(@max(0, ticket)), timeout_ms));
}

/// `spec`: see zig/tokenizer/spec.zig.
export fn theseus_tokenizer_open(spec: ?[*]const u8, bytes: i64) i64 {
    enter();
    defer leave();
    return value(tokenizers.open(bytes_of(spec, bytes)));
}

export fn theseus_tokenizer_close(tokenizer: i64) i64 {
    enter();
    defer leave();
    return done(tokenizers.close(tokenizer));
}

/// Writes tokens of `width` (2 or 4) bytes and returns how many; `capacity`, in bytes, is a token for each byte of the text.
/// `look`: which added tokens are found in the text (see zig/tokenizer/added.zig).
export fn theseus_tokenizer_encode(
    tokenizer: i64,
    text: ?[*]const u8,
    bytes: i64,
    look: i64,
    width: i64,
    out: ?[*]u8,
    capacity: i64,
    threads: i64,
) i64 {
    enter();
    const found = tokenizers.begin(tokenizer) catch |e| {
        leave();
        return minus(e);
    };
    leave();
    const to = room_of(out, capacity);
    const count = value(tokenizers.encode(found, bytes_of(text, bytes), look, width, to, threads));
    enter();
    defer leave();
    found.users -= 1;
    return count;
}

/// Lines of JSON to tokens (see zig/tokenizer/lines.zig); returns how many bytes of the block are done, and notes of its lines.
export fn theseus_tokenizer_lines(
    tokenizer: i64,
    block: ?[*]const u8,
    bytes: i64,
    options: ?[*]const u8,
    option_bytes: i64,
    width: i64,
    out: ?[*]u8,
    capacity: i64,
    room: ?[*]u8,
    room_bytes: i64,
    notes: ?[*]u8,
    note_bytes: i64,
) i64 {
    enter();
    const found = tokenizers.begin(tokenizer) catch |e| {
        leave();
        return minus(e);
    };
    leave();
    const done_bytes = value(tokenizers.lines(found, .{
        .block = bytes_of(block, bytes),
        .options = bytes_of(options, option_bytes),
        .width = width,
        .out = room_of(out, capacity),
        .room = room_of(room, room_bytes),
        .notes = room_of(notes, note_bytes),
    }));
    enter();
    defer leave();
    found.users -= 1;
    return done_bytes;
}

/// The merges that can happen, as pairs of 32-bit tokens; returns how many there are, writes those that fit into `capacity` bytes.
export fn theseus_tokenizer_merges(tokenizer: i64, out: ?[*]u8, capacity: i64) i64 {
    enter();
    defer leave();
    const Tokenizer = tokenizers.Tokenizer;
    const found = handles.get(Tokenizer, .tokenizer, tokenizer) catch |e| return minus(e);
    return tokenizers.merges(found, room_of(out, capacity));
}

/// `family`: a `scan.Family`. A trainer counts the words of texts and learns a vocabulary from them.
export fn theseus_trainer_open(family: i64, digits: i64) i64 {
    enter();
    defer leave();
    return value(trainers.open(family, digits));
}

export fn theseus_trainer_close(trainer: i64) i64 {
    enter();
    defer leave();
    return done(trainers.close(trainer));
}

/// Counts the words of a text that goes on unless `last`; returns how many bytes it took.
export fn theseus_trainer_add(trainer: i64, text: ?[*]const u8, bytes: i64, last: i64) i64 {
    enter();
    defer leave();
    return value(trainers.add(trainer, bytes_of(text, bytes), last != 0));
}

/// Learns up to `wanted` merges of pairs that occur at least `least` times; returns how many.
export fn theseus_trainer_learn(trainer: i64, wanted: i64, least: i64) i64 {
    enter();
    defer leave();
    return value(trainers.learn(trainer, wanted, least));
}

/// What was learned, as pairs of 32-bit numbers; returns how many there are, writes those that fit into `capacity` bytes.
export fn theseus_trainer_merges(trainer: i64, out: ?[*]u8, capacity: i64) i64 {
    enter();
    defer leave();
    return value(trainers.learned(trainer, room_of(out, capacity)));
}

/// One line that says where, then abort: the state of a panicking thread is not to be trusted further.
fn say_and_abort(message: []const u8, _: ?usize) noreturn {
    @branchHint(.cold);
    var buffer: [1024]u8 = undefined;
    var writer: std.Io.Writer = .fixed(&buffer);
    writer.writeAll("theseus: panic") catch {};
    if (pool.current_job) |job| if (pool.current_instruction) |instruction| {
        const name = @tagName(instruction.opcode);
        const place = .{ job.name, instruction.node, name };
        writer.print(" in program {s}, node {d}, kernel {s}", place) catch {};
    };
    writer.print(": {s}\n", .{message}) catch {};
    const line = writer.buffered();
    _ = std.os.linux.write(2, line.ptr, line.len);
    std.c.abort();
}

pub const panic = std.debug.FullPanic(say_and_abort);

/// For the kernels, which are objects of their own.
fn panic_from_kernel(message: [*]const u8, bytes: usize) callconv(.c) noreturn {
    say_and_abort(message[0..bytes], null);
}

comptime {
    @export(&panic_from_kernel, .{ .name = "theseus_panic", .visibility = .hidden });
}
