//! A matrix product as cuBLASLt is asked for it. The library's matrices are column-major, so it is asked for the transpose: its
//! A is our B and the other way round, its rows are our columns, and a bias along our columns is one along its rows.
const std = @import("std");
const abi = @import("../abi.zig");
const lt_file = @import("cublaslt.zig");

const CublasLt = lt_file.CublasLt;
const Handle = lt_file.Handle;
const Epilogue = lt_file.Epilogue;
const Error = @import("../failure.zig").Error;
const Operand = abi.Operand;

/// Vectors of 16 bytes are the widest that kernels load; what is aligned better counts as this.
pub const alignment_max = 16;
const size_max = std.math.maxInt(i32);

/// A column-major matrix and how it is read.
pub const Matrix = struct {
    dtype: lt_file.Type,
    rows: u64,
    columns: u64,
    leading: u64,
    batch_stride: u64 = 0,
    transposed: bool = false,
    alignment: u32,
};

pub const Product = struct {
    m: u64,
    n: u64,
    k: u64,
    batch: u32,
    a: Matrix,
    b: Matrix,
    /// Added to the product before anything else; null: nothing is.
    c: ?Matrix = null,
    d: Matrix,
    epilogue: u32 = Epilogue.none,
    /// Leading dim and batch stride of the value before an activation, of d's dtype.
    aux_leading: u64 = 0,
    aux_batch_stride: u64 = 0,
    /// The columns of A are added up by a kernel that follows and reads so many bytes; its time is part of the product's.
    summed_bytes: u64 = 0,

    /// Tells products apart for which different algorithms may be best.
    pub fn key(p: *const Product, buffer: []u8) []const u8 {
        var writer: std.Io.Writer = .fixed(buffer);
        // The buffer is larger than the numbers can be long.
        p.write_key(&writer) catch unreachable;
        return writer.buffered();
    }

    fn write_key(p: *const Product, writer: *std.Io.Writer) !void {
        try writer.print("{d}x{d}x{d}", .{ p.m, p.n, p.k });
        if (p.batch > 1) try writer.print(" batch {d}", .{p.batch});
        for ([_][]const u8{ "a", "b", "c", "d" }, [_]?Matrix{ p.a, p.b, p.c, p.d }) |name, of| {
            const matrix = of orelse continue;
            try writer.print(" {s} {s}{s} {d}", .{
                name,
                @tagName(matrix.dtype),
                if (matrix.transposed) "^T" else "",
                matrix.leading,
            });
            if (p.batch > 1) try writer.print("+{d}", .{matrix.batch_stride});
            if (matrix.alignment < alignment_max) try writer.print("/{d}", .{matrix.alignment});
        }
        if (p.epilogue != Epilogue.none) try writer.print(" epilogue {d}", .{p.epilogue});
        if (p.epilogue & Epilogue.aux != 0) try writer.print(" aux {d}", .{p.aux_leading});
        if (p.summed_bytes > 0) try writer.writeAll(" then sums");
    }
};

pub const key_bytes_max = 400;

/// An operand [batch, rows, columns] of the instruction, as cuBLASLt's rows and columns.
pub const View = struct {
    operand: *const Operand,
    alignment: u32,
    rows: u64,
    columns: u64,
    row_stride: u64,
    column_stride: u64,
    batch_stride: u64,

    /// Our rows are cuBLASLt's columns.
    pub fn of(o: *const Operand, alignment: u32) View {
        return .{
            .operand = o,
            .alignment = alignment,
            .rows = o.dims[2],
            .columns = o.dims[1],
            .row_stride = o.strides[2],
            .column_stride = o.strides[1],
            .batch_stride = o.strides[0],
        };
    }

    /// Whether the batch only makes the matrix wider (more of our rows).
    pub fn is_flat(v: *const View) bool {
        return v.columns == 1 or v.batch_stride == v.columns * v.column_stride;
    }

    pub fn flat(v: View, batch: u64) View {
        var wide = v;
        if (v.columns == 1) wide.column_stride = v.batch_stride;
        wide.columns = v.columns * batch;
        wide.batch_stride = 0;
        return wide;
    }

    /// Null where no leading dim describes it.
    pub fn matrix(v: *const View) ?Matrix {
        const dtype: lt_file.Type = switch (v.operand.dtype) {
            .f32 => .f32,
            .bf16 => .bf16,
            else => return null,
        };
        var found: Matrix = .{
            .dtype = dtype,
            .rows = v.rows,
            .columns = v.columns,
            .leading = if (v.columns == 1) v.rows else v.column_stride,
            .batch_stride = v.batch_stride,
            .alignment = v.alignment,
        };
        const plain = v.rows == 1 or v.row_stride == 1;
        if (!plain or found.leading < v.rows) {
            if (v.columns > 1 and v.column_stride != 1) return null;
            std.mem.swap(u64, &found.rows, &found.columns);
            found.leading = if (found.columns == 1) found.rows else v.row_stride;
            found.transposed = true;
            if (found.leading < found.rows) return null;
        }
        const sizes = .{ found.rows, found.columns, found.leading };
        inline for (sizes) |size| if (size == 0 or size > size_max) return null;
        return found;
    }
};

/// Where the operands of a product lie.
pub const Addresses = struct {
    a: u64 = 0,
    b: u64 = 0,
    c: u64 = 0,
    d: u64 = 0,
    bias: u64 = 0,
    aux: u64 = 0,
};

/// The library's descriptors of a product.
pub const Descriptors = struct {
    operation: Handle = null,
    a: Handle = null,
    b: Handle = null,
    c: Handle = null,
    d: Handle = null,

    pub fn init(lt: *const CublasLt, p: *const Product) Error!Descriptors {
        var made: Descriptors = .{};
        errdefer made.deinit(lt);
        const call = &lt.call;
        const created = call.cublasLtMatmulDescCreate(&made.operation, lt_file.compute_f32, 0);
        try lt.check(created, "a matrix product cannot be described", .{});
        try made.set(lt, .transpose_a, @as(i32, @intFromBool(p.a.transposed)));
        try made.set(lt, .transpose_b, @as(i32, @intFromBool(p.b.transposed)));
        try made.set(lt, .epilogue, p.epilogue);
        if (p.epilogue & Epilogue.aux != 0) {
            try made.set(lt, .aux_leading, @as(i64, @intCast(p.aux_leading)));
            try made.set(lt, .aux_batch_stride, @as(i64, @intCast(p.aux_batch_stride)));
        }
        // Until a launch these say how well the pointers will be aligned.
        try made.point(lt, p, 1 << 20, 1 << 20);
        made.a = try layout(lt, p.a, p.batch);
        made.b = try layout(lt, p.b, p.batch);
        made.c = try layout(lt, p.c orelse p.d, p.batch);
        made.d = try layout(lt, p.d, p.batch);
        return made;
    }

    pub fn deinit(made: *const Descriptors, lt: *const CublasLt) void {
        if (made.operation != null) _ = lt.call.cublasLtMatmulDescDestroy(made.operation);
        for ([_]Handle{ made.a, made.b, made.c, made.d }) |each| {
            if (each != null) _ = lt.call.cublasLtMatrixLayoutDestroy(each);
        }
    }

    pub fn point(
        made: *const Descriptors,
        lt: *const CublasLt,
        p: *const Product,
        bias: u64,
        aux: u64,
    ) Error!void {
        if (p.epilogue & (Epilogue.bias | Epilogue.sums_a) != 0)
            try made.set(lt, .bias_pointer, bias);
        if (p.epilogue & Epilogue.aux != 0) try made.set(lt, .aux_pointer, aux);
    }

    fn set(
        made: *const Descriptors,
        lt: *const CublasLt,
        attribute: lt_file.DescriptorAttribute,
        value: anytype,
    ) Error!void {
        const call = lt.call.cublasLtMatmulDescSetAttribute;
        const size = @sizeOf(@TypeOf(value));
        const status = call(made.operation, @intFromEnum(attribute), &value, size);
        try lt.check(status, "cuBLASLt does not know {s}", .{@tagName(attribute)});
    }
};

fn layout(lt: *const CublasLt, matrix: Matrix, batch: u32) Error!Handle {
    var made: Handle = null;
    const call = &lt.call;
    const what = "a matrix cannot be described";
    try lt.check(call.cublasLtMatrixLayoutCreate(
        &made,
        @intCast(@intFromEnum(matrix.dtype)),
        matrix.rows,
        matrix.columns,
        @intCast(matrix.leading),
    ), what, .{});
    errdefer _ = call.cublasLtMatrixLayoutDestroy(made);
    if (batch == 1) return made;
    const count: i32 = @intCast(batch);
    const stride: i64 = @intCast(matrix.batch_stride);
    const set = call.cublasLtMatrixLayoutSetAttribute;
    const counted = set(made, @intFromEnum(lt_file.LayoutAttribute.batch_count), &count, 4);
    try lt.check(counted, what, .{});
    const strided = set(made, @intFromEnum(lt_file.LayoutAttribute.batch_stride), &stride, 8);
    try lt.check(strided, what, .{});
    return made;
}

fn test_product() Product {
    const matrix: Matrix = .{
        .dtype = .bf16,
        .rows = 8,
        .columns = 4,
        .leading = 8,
        .alignment = 16,
    };
    return .{ .m = 4, .n = 8, .k = 2, .batch = 1, .a = matrix, .b = matrix, .d = matrix };
}

test "a product's key tells apart what algorithms depend on" {
    var p = test_product();
    var buffer: [key_bytes_max]u8 = undefined;
    try std.testing.expectEqualStrings("4x8x2 a bf16 8 b bf16 8 d bf16 8", p.key(&buffer));
    p.batch = 3;
    p.a.transposed = true;
    p.a.alignment = 2;
    p.c = p.d;
    p.epilogue = Epilogue.gelu | Epilogue.aux | Epilogue.bias;
    p.aux_leading = 8;
    try std.testing.expectEqualStrings(
        "4x8x2 batch 3 a bf16^T 8+0/2 b bf16 8+0 c bf16 8+0 d bf16 8+0 epilogue 164 aux 8",
        p.key(&buffer),
    );
    p = test_product();
    p.summed_bytes = 64;
    try std.testing.expectEqualStrings(
        "4x8x2 a bf16 8 b bf16 8 d bf16 8 then sums",
        p.key(&buffer),
    );
}

fn expect_leading(leading: ?u64, transposed: bool, dims: [2]u32, strides: [2]u64) !void {
    var operand = std.mem.zeroes(Operand);
    operand.dims[0..3].* = .{ 1, dims[0], dims[1] };
    operand.strides[0..3].* = .{ 0, strides[0], strides[1] };
    const found = View.of(&operand, 16).matrix();
    try std.testing.expectEqual(leading, if (found) |matrix| matrix.leading else null);
    if (found) |matrix| try std.testing.expectEqual(transposed, matrix.transposed);
}

test "strides as leading dims" {
    // [rows, columns] row-major is the library's plain order.
    try expect_leading(7, false, .{ 5, 7 }, .{ 7, 1 });
    try expect_leading(9, false, .{ 5, 7 }, .{ 9, 1 });
    try expect_leading(5, true, .{ 5, 7 }, .{ 1, 5 });
    try expect_leading(7, false, .{ 1, 7 }, .{ 0, 1 });
    try expect_leading(1, false, .{ 5, 1 }, .{ 1, 0 });
    // One column of a wider matrix: rows of one element, far apart.
    try expect_leading(8, false, .{ 5, 1 }, .{ 8, 0 });
    try expect_leading(5, true, .{ 1, 5 }, .{ 0, 5 });
    // Every second element, or the same row again and again.
    try expect_leading(null, false, .{ 5, 7 }, .{ 14, 2 });
    try expect_leading(null, false, .{ 5, 7 }, .{ 0, 1 });
}

// Where cuBLASLt is installed its descriptors take every attribute in the size that we give it.
test "the real library's descriptors" {
    const configured = std.c.getenv("THESEUS_CUDA_LIBRARIES");
    const folder = configured orelse ".tools/cuda/nvidia/cu13/lib";
    var buffer: [512:0]u8 = undefined;
    const path = try std.fmt.bufPrintZ(&buffer, "{s}/{s}", .{ folder, lt_file.name });
    const library = std.c.dlopen(path, .{ .NOW = true }) orelse return error.SkipZigTest;
    const lt: CublasLt = try .bind(library, path);
    try std.testing.expect(lt.version >= 130000 and lt.version < 140000);
    var p = test_product();
    p.batch = 3;
    p.c = p.d;
    p.epilogue = Epilogue.gelu | Epilogue.aux | Epilogue.bias;
    p.aux_leading = 8;
    const made: Descriptors = try .init(&lt, &p);
    made.deinit(&lt);
    // Sums of columns: of a product that is added to what is there.
    p = test_product();
    p.d.dtype = .f32;
    p.c = p.d;
    p.epilogue = Epilogue.sums_a;
    const sums: Descriptors = try .init(&lt, &p);
    sums.deinit(&lt);
    var preference: Handle = null;
    try lt.check(lt.call.cublasLtMatmulPreferenceCreate(&preference), "preference", .{});
    inline for (@typeInfo(lt_file.PreferenceAttribute).@"enum".fields) |field| {
        const value: u64 = 16;
        const size: usize = if (field.value == 1) 8 else 4;
        const set = lt.call.cublasLtMatmulPreferenceSetAttribute;
        try lt.check(set(preference, field.value, &value, size), field.name, .{});
    }
    _ = lt.call.cublasLtMatmulPreferenceDestroy(preference);
}
