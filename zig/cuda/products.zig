//! cuBLASLt on one GPU: its workspace, and which algorithm each product gets. Choices are made once, by time, and kept by what the
//! product is; the TypeScript side brings those of earlier runs and takes the new ones away (see `write_choices`).
const std = @import("std");
const failure = @import("../failure.zig");
const lt_file = @import("cublaslt.zig");
const product_file = @import("product.zig");
const search_file = @import("search.zig");
const Gpu = @import("device.zig").Gpu;

const Algorithm = lt_file.Algorithm;
const CublasLt = lt_file.CublasLt;
const Descriptors = product_file.Descriptors;
const Error = failure.Error;
const Product = product_file.Product;

/// In front of the workspace: a bias as bf16.
pub const bias_bytes = 1 << 19;

pub const Choice = struct {
    algorithm: Algorithm,
    workspace_bytes: u64,
    /// Of one run when it was chosen; 0: it was not measured.
    microseconds: f32 = 0,
    /// By a program of this process.
    is_used: bool = false,
};

/// A product with its algorithm, ready to be launched.
pub const Prepared = struct {
    product: Product,
    descriptors: Descriptors,
    choice: Choice,
    alpha: f32,

    pub fn free(prepared: *const Prepared, products: *const Products) void {
        prepared.descriptors.deinit(&products.lt);
    }

    pub fn launch(
        prepared: *const Prepared,
        lt: *const CublasLt,
        at: product_file.Addresses,
        workspace: u64,
        stream: lt_file.Handle,
    ) Error!void {
        const p = &prepared.product;
        try prepared.descriptors.point(lt, p, at.bias, at.aux);
        const status = search_file.run(lt, prepared, at, workspace, stream);
        try lt.check(status, "cuBLASLt does not compute a product", .{});
    }
};

pub const Products = struct {
    lt: CublasLt,
    gpu: *Gpu,
    /// The bias and, behind it, the workspace. Work of the compute stream alone may use it.
    scratch: u64,
    workspace_bytes: u64,
    /// False: the library's first proposal is taken without measuring.
    measures: bool,
    choices: std.StringHashMapUnmanaged(Choice) = .empty,
    /// Products for which algorithms were searched in this process.
    searches: u64 = 0,

    pub fn open(gpu: *Gpu, folders: []const u8, measures: bool) Error!*Products {
        const allocator = std.heap.c_allocator;
        const x = allocator.create(Products) catch
            return failure.raise(error.OutOfMemory, "no memory for a device", .{});
        errdefer allocator.destroy(x);
        const lt: CublasLt = try .open(folders, gpu.driver.is_virtual);
        errdefer lt.close();
        const bytes = workspace_bytes_of(gpu);
        x.* = .{
            .lt = lt,
            .gpu = gpu,
            .scratch = try gpu.alloc(bias_bytes + bytes),
            .workspace_bytes = bytes,
            .measures = measures,
        };
        return x;
    }

    pub fn close(x: *Products) void {
        const allocator = std.heap.c_allocator;
        x.gpu.free(x.scratch, bias_bytes + x.workspace_bytes);
        x.lt.close();
        var each = x.choices.keyIterator();
        while (each.next()) |key| allocator.free(key.*);
        x.choices.deinit(allocator);
        allocator.destroy(x);
    }

    pub fn workspace(x: *const Products) u64 {
        return x.scratch + bias_bytes;
    }

    /// Null: cuBLASLt does not have this product. `counts`: it will not run, so that no algorithm is searched for it.
    pub fn prepare(
        x: *Products,
        product: *const Product,
        alpha: f32,
        counts: bool,
    ) Error!?Prepared {
        const descriptors: Descriptors = try .init(&x.lt, product);
        errdefer descriptors.deinit(&x.lt);
        var prepared: Prepared = .{
            .product = product.*,
            .descriptors = descriptors,
            .choice = undefined,
            .alpha = alpha,
        };
        var buffer: [product_file.key_bytes_max]u8 = undefined;
        const key = product.key(&buffer);
        if (x.choices.getPtr(key)) |choice| {
            prepared.choice = choice.*;
            if (x.is_sound(&prepared)) {
                choice.is_used = choice.is_used or !counts;
                return prepared;
            }
        }
        prepared.choice = try search_file.search(x, &prepared, x.measures and !counts) orelse {
            descriptors.deinit(&x.lt);
            return null;
        };
        if (counts) return prepared;
        prepared.choice.is_used = true;
        x.searches += 1;
        x.keep(key, prepared.choice) catch
            return failure.raise(error.OutOfMemory, "no memory for the choice of an algorithm", .{});
        return prepared;
    }

    /// Whether the library still takes a kept choice for this product.
    fn is_sound(x: *const Products, prepared: *const Prepared) bool {
        var result: lt_file.Heuristic = undefined;
        const of = &prepared.descriptors;
        const choice = &prepared.choice;
        const status = x.lt.call.cublasLtMatmulAlgoCheck(
            x.lt.handle,
            of.operation,
            of.a,
            of.b,
            of.c,
            of.d,
            &choice.algorithm,
            &result,
        );
        return status == lt_file.success and result.workspace_bytes <= choice.workspace_bytes and
            choice.workspace_bytes <= x.workspace_bytes;
    }

    fn keep(x: *Products, key: []const u8, choice: Choice) !void {
        const allocator = std.heap.c_allocator;
        const place = try x.choices.getOrPut(allocator, key);
        if (!place.found_existing) {
            place.key_ptr.* = allocator.dupe(u8, key) catch |e| {
                _ = x.choices.remove(key);
                return e;
            };
        }
        place.value_ptr.* = choice;
    }

    /// A line a choice that is used: the algorithm in hexadecimal digits, bytes of workspace, microseconds, the product.
    pub fn write_choices(x: *const Products, writer: *std.Io.Writer) std.Io.Writer.Error!void {
        var each = x.choices.iterator();
        while (each.next()) |entry| {
            const choice = entry.value_ptr;
            if (!choice.is_used) continue;
            try writer.print("{x} {d} {d:.1} {s}\n", .{
                std.mem.asBytes(&choice.algorithm),
                choice.workspace_bytes,
                choice.microseconds,
                entry.key_ptr.*,
            });
        }
    }

    /// Takes choices in the form of `write_choices`; they replace what is known of the same products. A line may also say
    /// which kernels attention gets: `attention mma` or `attention wgmma`.
    pub fn read_choices(x: *Products, text: []const u8) Error!void {
        var lines = std.mem.tokenizeScalar(u8, text, '\n');
        const attention = "attention ";
        while (lines.next()) |line| {
            if (std.mem.startsWith(u8, line, attention)) {
                try x.gpu.choose_attention(line[attention.len..]);
            } else x.read_choice(line) catch return failure.raise(
                error.InvalidArgument,
                "a choice of an algorithm is malformed",
                .{},
            );
        }
    }

    fn read_choice(x: *Products, line: []const u8) !void {
        var words = std.mem.splitScalar(u8, line, ' ');
        var choice: Choice = .{ .algorithm = undefined, .workspace_bytes = 0 };
        const digits = words.next() orelse return error.Malformed;
        const bytes = std.mem.asBytes(&choice.algorithm);
        if (digits.len != 2 * bytes.len) return error.Malformed;
        _ = try std.fmt.hexToBytes(bytes, digits);
        choice.workspace_bytes = try std.fmt.parseInt(u64, words.next() orelse "", 10);
        choice.microseconds = try std.fmt.parseFloat(f32, words.next() orelse "");
        const key = words.rest();
        if (key.len == 0 or key.len > product_file.key_bytes_max) return error.Malformed;
        try x.keep(key, choice);
    }
};

/// As much as NVIDIA advises for each generation, twice that on Hopper for sums in pieces; little for the tests.
fn workspace_bytes_of(gpu: *const Gpu) u64 {
    if (gpu.driver.is_virtual) return 1 << 18;
    return if (gpu.capability == 90) 64 << 20 else 32 << 20;
}
