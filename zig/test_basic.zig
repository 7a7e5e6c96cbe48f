//! Root of the basic kernels' tests.
test {
    _ = @import("cpu/strided.zig");
    _ = @import("kernels/map.zig");
    _ = @import("kernels/map_reduce.zig");
    _ = @import("kernels/copy.zig");
    _ = @import("kernels/fill.zig");
    _ = @import("kernels/iota.zig");
    _ = @import("kernels/random_bits.zig");
    _ = @import("kernels/cumsum.zig");
    _ = @import("kernels/argmax.zig");
    _ = @import("kernels/gather.zig");
    _ = @import("kernels/scatter_add.zig");
    _ = @import("kernels/dynamic_slice.zig");
    _ = @import("kernels/dynamic_update.zig");
    _ = @import("kernels/embedding.zig");
    _ = @import("kernels/embedding_grad.zig");
    _ = @import("kernels/adamw.zig");
    _ = @import("kernels/grad_norm.zig");
}
