//! What a matrix product is on a GPU: as much as cuBLASLt takes, then an elementwise kernel for the rest; or the own kernel, where
//! operands lie or are typed in a way that cuBLASLt cannot read. Sums of columns come from the product where cuBLASLt has that and
//! it was not measured to be slower than the product and a kernel that reads B once more.
const std = @import("std");
const abi = @import("../abi.zig");
const failure = @import("../failure.zig");
const lt_file = @import("cublaslt.zig");
const product_file = @import("product.zig");
const launch_map = @import("launch_map.zig");
const launches = @import("launches.zig");
const Products = @import("products.zig").Products;
const products_file = @import("products.zig");

const Epilogue = lt_file.Epilogue;
const Flag = abi.MatmulFlag;
const Part = launches.Part;
const Plan = launches.Plan;
const Product = product_file.Product;
const View = product_file.View;

const tile = 64;
/// cuBLASLt wants this of the value before an activation: its leading dim's divisor and its alignment.
const aux_divisor = 8;
const aux_alignment = 16;
/// What of the flags is done to the result's elements.
const elementwise = Flag.all & ~Flag.column_sums;

/// The operands and words of the opcode `matmul`.
const Form = struct {
    flags: u32,
    compute: u32,
    activation: abi.Activation,
    alpha: f32,
    a: Part,
    b: Part,
    bias: ?Part = null,
    residual: ?Part = null,
    aux_in: ?Part = null,
    out: Part,
    aux_out: ?Part = null,
    sums: ?Part = null,

    fn of(parts: []const Part, words: []const u32) Form {
        var form: Form = .{
            .flags = words[0],
            .compute = words[1],
            .activation = @enumFromInt(words[2]),
            .alpha = @bitCast(words[3]),
            .a = parts[0],
            .b = parts[1],
            .out = undefined,
        };
        var next: usize = 2;
        inline for (.{
            .{ "bias", Flag.bias },
            .{ "residual", Flag.residual },
            .{ "aux_in", Flag.activation_grad },
        }) |entry| if (form.flags & entry[1] != 0) {
            @field(form, entry[0]) = parts[next];
            next += 1;
        };
        form.out = parts[next];
        if (form.flags & Flag.save_aux != 0) form.aux_out = parts[next + 1];
        if (form.flags & Flag.column_sums != 0) form.sums = parts[parts.len - 1];
        return form;
    }

    fn rows(form: *const Form) u64 {
        return form.a.view.dims[1];
    }

    fn columns(form: *const Form) u64 {
        return form.b.view.dims[2];
    }

    /// The residual may be in the result's memory.
    fn is_in_place(form: *const Form, p: *const Plan) bool {
        const residual = form.residual orelse return false;
        return residual.view.buffer == form.out.view.buffer and
            p.position(residual) == p.position(form.out);
    }
};

/// Appends the launches of a product; `parts` and `words` as the opcode `matmul` has them.
pub fn add(p: *Plan, parts: []const Part, words: []const u32) !void {
    const form: Form = .of(parts, words);
    if (p.products) |products| {
        if (try by_library(p, products, &form)) return;
    }
    const grid = try own_grid(form.a.view.dims[0], form.rows(), form.columns());
    const named = parts[0 .. parts.len - @intFromBool(form.sums != null)];
    try p.some(.matmul, grid, named, &.{ form.flags & elementwise, words[1], words[2], words[3] });
    if (form.sums) |sums| try launch_map.sum_columns(p, form.b, sums);
}

fn own_grid(batch: u64, m: u64, n: u64) failure.Error![3]u32 {
    const down = launches.ceil(m, tile);
    if (down > 65535) return failure.raise(
        error.Unsupported,
        "a matrix product of {d} rows is more than a GPU takes at once",
        .{m},
    );
    return .{ launches.ceil(n, tile), down, @intCast(@min(65535, batch)) };
}

fn by_library(p: *Plan, products: *Products, form: *const Form) !bool {
    const a = form.a.view.dtype;
    if (a != form.b.view.dtype or (form.compute == 1 and a != .bf16)) return false;
    if (form.a.view.count() == 0 or form.b.view.count() == 0) return false;
    for ([_]How{ .everything, .sums, .product }) |how| {
        const attempt = Attempt.of(p, form, how) orelse continue;
        const prepared = try products.prepare(&attempt.product, form.alpha, p.counts) orelse
            continue;
        if (attempt.sums != null) {
            if (try is_slower(p, products, form, &prepared)) {
                prepared.free(products);
                continue;
            }
            try spare_sums(p, form);
        }
        try attempt.launch(p, form, prepared);
        return true;
    }
    return false;
}

/// Whether the product that also sums columns was measured to take longer than one that does not, with a kernel after it.
/// Both measurements are kept, so that a run that goes on decides alike.
fn is_slower(
    p: *Plan,
    products: *Products,
    form: *const Form,
    together: *const products_file.Prepared,
) !bool {
    const attempt = Attempt.of(p, form, .sums) orelse return false;
    const apart = try products.prepare(&attempt.product, form.alpha, p.counts) orelse return false;
    defer apart.free(products);
    const least = apart.choice.microseconds;
    return least > 0 and together.choice.microseconds > least;
}

/// Keeps the room of the launches that would sum the columns: a program is to be as large whichever way is the faster.
fn spare_sums(p: *Plan, form: *const Form) !void {
    const mark = p.mark();
    try launch_map.sum_columns(p, form.b, form.sums.?);
    p.spare_bytes += p.rewind(mark);
}

/// What of a form cuBLASLt is asked to do; a kernel does the rest.
const How = enum {
    everything,
    /// Bias and residual, as far as they come before an activation.
    sums,
    product,
};

const Attempt = struct {
    product: Product,
    /// Where the product goes: the result, or the value before the activation where that is kept.
    target: Part,
    residual: ?Part = null,
    bias: ?Part = null,
    aux: ?Part = null,
    /// Where the product itself puts the sums of B's columns.
    sums: ?Part = null,
    /// The bias has another dtype than the target and is converted first.
    converts_bias: bool = false,
    /// Of the kernel that follows; null: nothing is left to do.
    rest: ?u32,

    fn of(p: *const Plan, form: *const Form, how: How) ?Attempt {
        const activates = form.flags & (Flag.activation | Flag.activation_grad) != 0;
        const target = if (how == .everything) form.out else form.aux_out orelse form.out;
        const all = form.flags & elementwise;
        var made: Attempt = .{ .product = undefined, .target = target, .rest = null };
        if (how != .product) made.bias = form.bias;
        if (how != .product and !activates) made.residual = form.residual;
        var done: u32 = 0;
        if (made.bias != null) done |= Flag.bias;
        if (made.residual != null) done |= Flag.residual;
        var epilogue: u32 = if (made.bias != null) Epilogue.bias else 0;
        if (how == .everything) {
            epilogue |= activation_epilogue(p, form) orelse return null;
            done = all;
            made.aux = form.aux_out orelse form.aux_in;
            if (form.sums != null) {
                if (epilogue != 0 or !sums_in_product(p, form)) return null;
                made.sums = form.sums;
                epilogue = Epilogue.sums_a;
            }
        } else if (form.sums == null and (done == all or (how == .sums and done == 0))) return null;
        if (done != all) made.rest = all & ~done;
        // The product would overwrite what is still to be added.
        if (made.rest != null and made.residual == null and form.is_in_place(p)) return null;
        if (!made.takes_bias(p)) return null;
        if (epilogue == 0) epilogue = Epilogue.none;
        made.product = made.describe(p, form) orelse return null;
        made.product.epilogue = epilogue;
        if (form.sums != null and made.sums == null)
            made.product.summed_bytes = form.b.view.count() * abi.dtype_bytes(form.b.view.dtype);
        return made;
    }

    fn takes_bias(made: *Attempt, p: *const Plan) bool {
        const bias = made.bias orelse return true;
        if (bias.view.dtype == made.target.view.dtype) return p.alignment(bias) >= aux_alignment;
        made.converts_bias = made.target.view.dtype == .bf16 and bias.view.dtype == .f32;
        return made.converts_bias and bias.view.count() * 2 <= products_file.bias_bytes;
    }

    fn describe(made: *const Attempt, p: *const Plan, form: *const Form) ?Product {
        var batch: u64 = form.a.view.dims[0];
        var views = [_]View{
            .of(&form.b.view, p.alignment(form.b)),
            .of(&form.a.view, p.alignment(form.a)),
            .of(&made.target.view, p.alignment(made.target)),
            if (made.residual) |r| .of(&r.view, p.alignment(r)) else undefined,
        };
        const used = views[0..if (made.residual == null) 3 else 4];
        // A batch over one B is a single taller product.
        if (batch > 1 and views[0].batch_stride == 0) flat: {
            for (used[1..]) |*view| if (!view.is_flat()) break :flat;
            for (used[1..]) |*view| view.* = view.flat(batch);
            batch = 1;
        }
        if (batch > std.math.maxInt(i32)) return null;
        const n = form.columns();
        var product: Product = .{
            .m = views[1].columns,
            .n = n,
            .k = form.a.view.dims[2],
            .batch = @intCast(batch),
            .a = views[0].matrix() orelse return null,
            .b = views[1].matrix() orelse return null,
            .d = views[2].matrix() orelse return null,
            .aux_leading = n,
            .aux_batch_stride = if (batch > 1) n * form.rows() else 0,
        };
        if (made.residual != null) product.c = views[3].matrix() orelse return null;
        if (product.d.transposed) return null;
        if (product.c) |c| if (c.transposed or c.dtype != product.d.dtype) return null;
        return product;
    }

    fn launch(
        made: *const Attempt,
        p: *Plan,
        form: *const Form,
        prepared: products_file.Prepared,
    ) !void {
        var bias = made.bias;
        if (made.converts_bias) {
            const from = made.bias.?;
            var to = from;
            to.index = launches.device_scratch;
            to.offset = 0;
            to.view.dtype = .bf16;
            const grid = launches.elements(&from.view);
            p.some(.bias_bf16, grid, &.{ from, to }, &.{}) catch |e| {
                prepared.free(p.products.?);
                return e;
            };
            bias = to;
        }
        try p.product(prepared, .{
            .a = form.b,
            .b = form.a,
            .c = made.residual orelse made.target,
            .d = made.target,
            .bias = bias orelse made.sums orelse made.target,
            .aux = made.aux orelse made.target,
        });
        try made.finish(p, form);
        if (form.sums) |sums| if (made.sums == null) try launch_map.sum_columns(p, form.b, sums);
    }

    /// What cuBLASLt has left over.
    fn finish(made: *const Attempt, p: *Plan, form: *const Form) !void {
        const flags = made.rest orelse return;
        var parts: [6]Part = undefined;
        parts[0] = made.target;
        var count: usize = 1;
        for ([_]?Part{
            if (flags & Flag.bias != 0) form.bias else null,
            if (flags & Flag.residual != 0) form.residual else null,
            form.aux_in,
            form.out,
            form.aux_out,
        }) |each| {
            parts[count] = each orelse continue;
            count += 1;
        }
        const words = [_]u32{ flags, @intFromEnum(form.activation) };
        try p.some(.matmul_epilogue, launches.elements(&form.out.view), parts[0..count], &words);
    }
};

/// cuBLASLt adds up in f32 and gives the sums the result's dtype: enough for operands in bf16, whose sums are to be f32.
fn sums_in_product(p: *const Plan, form: *const Form) bool {
    const sums = form.sums orelse return false;
    return form.a.view.dtype == .bf16 and form.out.view.dtype == .f32 and
        p.alignment(sums) >= aux_alignment;
}

/// Null: cuBLASLt does not have it.
fn activation_epilogue(p: *const Plan, form: *const Form) ?u32 {
    const gradient = form.flags & Flag.activation_grad != 0;
    const applies = form.flags & Flag.activation != 0;
    if (!gradient and !applies) return if (form.aux_out == null) 0 else null;
    if (form.activation != .gelu_tanh or form.residual != null) return null;
    if (gradient and form.bias != null) return null;
    if (form.aux_out orelse form.aux_in) |aux| {
        if (aux.view.dtype != form.out.view.dtype or form.columns() % aux_divisor != 0 or
            p.alignment(aux) < aux_alignment) return null;
    }
    if (gradient) return Epilogue.gelu_grad;
    return if (form.aux_out == null) Epilogue.gelu else Epilogue.gelu | Epilogue.aux;
}
