//! Everything with unit tests, for `zig build test`. Kernels come in through `level.zig`.
test {
    _ = @import("abi.zig");
    _ = @import("cgroup.zig");
    _ = @import("failure.zig");
    _ = @import("file.zig");
    _ = @import("handles.zig");
    _ = @import("info.zig");
    _ = @import("level.zig");
    _ = @import("memory.zig");
    _ = @import("program.zig");
    _ = @import("runtime.zig");
    _ = @import("wire.zig");
    _ = @import("cpu/cpuid.zig");
    _ = @import("cpu/pool.zig");
    _ = @import("cpu/table.zig");
    _ = @import("cpu/topology.zig");
}
