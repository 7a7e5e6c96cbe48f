//! Root of the tests of attention, norms, softmax, cross-entropy and rope: `zig test zig/nn_tests.zig -lc`.
test {
    _ = @import("cpu/rows.zig");
    _ = @import("cpu/attention_block.zig");
    _ = @import("test/row_kernels.zig");
    _ = @import("test/guarded_memory.zig");
    _ = @import("test/rope_kernel.zig");
    _ = @import("test/attention_kernels.zig");
}
