//! Root of the basic kernels' tests.
test {
    _ = @import("cpu/strided.zig");
    _ = @import("cpu/map_ops.zig");
    _ = @import("kernels/map.zig");
    _ = @import("kernels/map_reduce.zig");
}
