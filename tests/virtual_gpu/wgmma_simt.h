/// The twin of cuda/wgmma.h for the host, written from the PTX ISA ("asynchronous warpgroup level matrix instructions"). A product's
/// operands are read when its four warps have come to it and must be the same when the last of its threads has waited for it;
/// until a thread has waited, its accumulators hold NaN. What PTX calls undefined ends the process.
#pragma once

namespace simt {

const int group_threads = 128, groups_max = threads_max / group_threads, columns_max = 256;

/// One thread's part of a product.
struct ProductCall {
    float* c;
    u32 columns;
    /// Null: A is in shared memory.
    const u32* a;
    u64 a_matrix, b_matrix;
    /// B's rows are what is summed over ("MN-major").
    bool rows, adds;
};

/// B (and A) as a product has read them: [summed][column], [row][summed].
struct Read {
    u16 b[16][columns_max], a[64][16];
};

/// A matrix descriptor of compute capability 9.0. Bits 0-13: address, 16-29: leading byte offset, 32-45: stride byte offset, all
/// without their four lowest bits; 49-51: base offset; 62-63: swizzle.
struct MatrixDescriptor {
    u32 address, leading, stride, swizzle;

    explicit MatrixDescriptor(u64 bits) {
        const u64 known = 0x3fffull | 0x3fffull << 16 | 0x3fffull << 32 | 7ull << 49 | 3ull << 62;
        if (bits & ~known) stop("a matrix descriptor has bits that mean nothing");
        if (bits >> 49 & 7) stop("a matrix descriptor has a base offset, which is not emulated");
        address = (u32)(bits & 0x3fff) << 4;
        leading = (u32)(bits >> 16 & 0x3fff) << 4;
        stride = (u32)(bits >> 32 & 0x3fff) << 4;
        swizzle = (u32)(bits >> 62);
    }

    /// Bytes of a row of the pattern: 16 without swizzle, else 128, 64 or 32.
    u32 span() const { return swizzle == 0 ? 16 : 256 >> swizzle; }

    /// Offset of an element of 16 bits; `outer` is its row (of A) or column (of B), `k` what is summed over.
    u32 offset(u32 outer, u32 k, bool rows) const {
        if (!rows) {
            // Eight rows are a piece, the next eight are `stride` further on.
            u32 at = outer % 8 * span() + outer / 8 * stride + k % 8 * 2;
            return at + (swizzle == 0 ? k / 8 * leading : k / 8 * 16);
        }
        u32 across = span() / 2;
        u32 at = outer % across * 2 + k % 8 * span();
        if (swizzle == 0) return at + outer / across * stride + k / 8 * leading;
        return at + outer / across * leading + k / 8 * stride;
    }

    u16 element(u32 outer, u32 k, bool rows) const {
        u32 at = address + offset(outer, k, rows);
        // 16-byte places are turned by the number of the 128 bytes that they lie in: of 8, 4 or 2 of them.
        if (swizzle != 0) at ^= (at >> 7 & (span() / 16 - 1)) << 4;
        if (at + 2 > block.shared_bytes) stop("an access outside shared memory");
        u16 value;
        memcpy(&value, async_view.bytes + at, 2);
        return value;
    }
};

inline void read_operands(Read& to, const ProductCall& call) {
    const MatrixDescriptor b(call.b_matrix);
    for (u32 k = 0; k < 16; k++)
        for (u32 n = 0; n < call.columns; n++) to.b[k][n] = b.element(n, k, call.rows);
    if (call.a) return;
    const MatrixDescriptor a(call.a_matrix);
    for (u32 m = 0; m < 64; m++)
        for (u32 k = 0; k < 16; k++) to.a[m][k] = a.element(m, k, false);
}

inline bool is_same(const Read& x, const Read& y, const ProductCall& call) {
    for (u32 k = 0; k < 16; k++)
        if (memcmp(x.b[k], y.b[k], call.columns * 2)) return false;
    return call.a || memcmp(x.a, y.a, sizeof x.a) == 0;
}

/// A product that not all threads have waited for.
struct Pending {
    ProductCall call;
    Read read;
    u64 group;
    const u32* a[group_threads];
    u32 a_values[group_threads][4];
    bool waited[group_threads];
    int waiting;
};

/// Results that products in flight have in store for accumulators.
struct Accumulators {
    float* c[group_threads];
    u32 columns;
    u64 group;
    bool given[group_threads];
    int missing;
    float result[64][columns_max];
};

struct Warpgroup {
    static const int pending_max = 64, accumulators_max = 4;
    Pending pending[pending_max];
    int pending_count;
    Accumulators accumulators[accumulators_max];
    Read read, other;
    /// Warps that have come to the product that comes next.
    int warps;
};
inline Warpgroup warpgroups[groups_max];

/// Row and first column of the pair of elements that a thread's words hold, word by word: figures "register fragment layout" of D and A.
inline u32 fragment_row(int thread, u32 word) { return thread / 32 * 16 + thread % 32 / 4 + word % 2 * 8; }
inline u32 fragment_column(int thread, u32 word) { return thread % 4 * 2 + word / 2 * 8; }

inline Accumulators& accumulators_of(Warpgroup& group, const ProductCall* const* calls) {
    Accumulators* free = 0;
    for (Accumulators& each : group.accumulators) {
        if (each.missing == 0) free = &each;
        if (each.missing == 0 || each.c[0] != calls[0]->c) continue;
        if (each.columns != calls[0]->columns) stop("a wgmma adds to accumulators of another shape in flight");
        return each;
    }
    if (!free) stop("more accumulators of wgmma are in flight than are kept");
    for (int t = 0; t < group_threads; t++) free->c[t] = calls[t]->c;
    free->columns = calls[0]->columns;
    return *free;
}

inline void check_registers(const ThreadProducts& of, const ProductCall& call, bool adds) {
    if (!of.fenced) stop("a wgmma without wgmma.fence before it");
    const char* problem = "registers of a wgmma were not settled and fenced, or written since";
    if (call.a && !of.has(call.a, 16)) stop(problem);
    if (adds && !of.has(call.c, call.columns * 2)) stop(problem);
}

/// Takes the accumulators and A out of registers, and leaves NaN.
inline void take_registers(Pending& pending, Accumulators& sums, const ProductCall* const* calls, int first, float (*a)[16]) {
    bool in_flight = sums.missing > 0;
    for (int t = 0; t < group_threads; t++) {
        const ProductCall& call = *calls[t];
        ThreadProducts& own = block.fibers[first + t].products;
        check_registers(own, call, call.adds && !in_flight);
        if (own.committed != block.fibers[first].products.committed)
            stop("threads of a warpgroup have ended other numbers of groups of wgmma");
        own.open++;
        pending.a[t] = call.a;
        if (call.a) memcpy(pending.a_values[t], call.a, 16);
        for (u32 word = 0; word < 4 && call.a; word++) {
            u32 row = fragment_row(t, word), column = fragment_column(t, word);
            a[row][column] = float_of(call.a[word] << 16);
            a[row][column + 1] = float_of(call.a[word] & 0xffff0000u);
        }
        for (u32 word = 0; word < call.columns / 4; word++) {
            float* to = &sums.result[fragment_row(t, word)][fragment_column(t, word)];
            for (u32 i = 0; i < 2; i++) {
                if (!call.adds) to[i] = 0;
                else if (!in_flight) to[i] = call.c[word * 2 + i];
            }
        }
        memset(call.c, 0xff, call.columns * 2);
    }
}

inline void multiply_group(Warpgroup& group, const ProductCall* const* calls, int first) {
    if (group.pending_count == Warpgroup::pending_max) stop("more wgmma in flight than are kept");
    Pending& pending = group.pending[group.pending_count++];
    const ProductCall& call = *calls[0];
    pending.call = call;
    pending.read = group.read;
    pending.group = block.fibers[first].products.committed;
    pending.waiting = group_threads;
    memset(pending.waited, 0, sizeof pending.waited);
    Accumulators& sums = accumulators_of(group, calls);
    float a[64][16];
    take_registers(pending, sums, calls, first, a);
    for (u32 m = 0; m < 64; m++)
        for (u32 k = 0; k < 16; k++) {
            float left = call.a ? a[m][k] : float_of((u32)pending.read.a[m][k] << 16);
            for (u32 n = 0; n < call.columns; n++)
                sums.result[m][n] += left * float_of((u32)pending.read.b[k][n] << 16);
        }
    sums.group = pending.group;
    sums.missing = group_threads;
    memset(sums.given, 0, sizeof sums.given);
}

/// Four warps, the first one's number a multiple of 4, come to the product; the last lane does it for all.
inline void meet_group(const ProductCall& mine) {
    int first = current->id / group_threads * group_threads, warp = current->id / 32;
    if (first + group_threads > block.count) stop("a wgmma of less than a warpgroup");
    if (block.arrived[warp] == 0) block.meeting[warp] = WGMMA;
    else if (block.meeting[warp] != WGMMA) stop("lanes of a warp are at different instructions that need all of them");
    block.brought[warp][current->id % 32] = (void*)&mine;
    block.arrived[warp] |= 1u << current->id % 32;
    if (block.arrived[warp] != 0xffffffffu) return pause(IN_WARP);
    Warpgroup& group = warpgroups[first / group_threads];
    // A warp starts when it comes: what it reads must be there, whatever the others still have to do.
    Read& read = group.warps == 0 ? group.read : group.other;
    read_operands(read, mine);
    if (!is_same(read, group.read, mine)) stop("warps of a warpgroup find other operands of a wgmma");
    if (++group.warps < 4) return pause(IN_WARP);
    group.warps = 0;
    const ProductCall* calls[group_threads];
    for (int t = 0; t < group_threads; t++) {
        calls[t] = (const ProductCall*)block.brought[(first + t) / 32][t % 32];
        bool same = calls[t]->b_matrix == mine.b_matrix && calls[t]->columns == mine.columns &&
                    calls[t]->rows == mine.rows && calls[t]->adds == mine.adds && !calls[t]->a == !mine.a &&
                    (mine.a || calls[t]->a_matrix == mine.a_matrix);
        if (!same) stop("threads of a warpgroup are at different wgmma");
    }
    multiply_group(group, calls, first);
    for (int i = 0; i < 4; i++) block.arrived[first / 32 + i] = 0;
    for (int t = 0; t < group_threads; t++) block.fibers[first + t].state = READY;
}

/// The current thread has waited for this product; the last one looks whether its operands have stayed.
inline bool leave(Pending& pending, int thread) {
    pending.waited[thread] = true;
    if (pending.a[thread] && memcmp(pending.a[thread], pending.a_values[thread], 16))
        stop("registers of A were written while a wgmma reads them");
    if (--pending.waiting > 0) return false;
    static Read now;
    read_operands(now, pending.call);
    if (!is_same(now, pending.read, pending.call)) stop("shared memory was written while a wgmma reads it");
    return true;
}

inline void give(Accumulators& sums, int thread) {
    float* c = sums.c[thread];
    for (u32 i = 0; i < sums.columns / 2; i++)
        if (bits_of(c[i]) != 0xffffffffu) stop("accumulators were written while a wgmma has them");
    for (u32 word = 0; word < sums.columns / 4; word++)
        memcpy(c + word * 2, &sums.result[fragment_row(thread, word)][fragment_column(thread, word)], 8);
    sums.given[thread] = true;
    sums.missing--;
}

inline void wait_products(u32 most) {
    ThreadProducts& own = current->products;
    u64 done = own.committed > most ? own.committed - most : 0;
    if (done > own.done) own.done = done;
    own.fenced = false;
    Warpgroup& group = warpgroups[current->id / group_threads];
    int thread = current->id % group_threads, kept = 0;
    for (Accumulators& each : group.accumulators)
        if (each.missing > 0 && !each.given[thread] && each.group < own.done) give(each, thread);
    for (int i = 0; i < group.pending_count; i++) {
        Pending& each = group.pending[i];
        bool over = !each.waited[thread] && each.group < own.done && leave(each, thread);
        if (over) continue;
        if (kept != i) group.pending[kept] = each;
        kept++;
    }
    group.pending_count = kept;
}

}  // namespace simt

DEV_ONCE void wgmma_publish() { simt::current->copies.publish(); }
template <int N> DEV_ONCE void wgmma_settle(float (&x)[N][4]) { simt::current->products.settle(x, sizeof x); }
template <int N> DEV_ONCE void wgmma_settle(u32 (&x)[N][4]) { simt::current->products.settle(x, sizeof x); }
DEV_ONCE void wgmma_fence() {
    simt::meet(simt::WGMMA_FENCE, 0, [](void**) {});
    simt::current->products.fence();
}
DEV_ONCE void wgmma_commit() {
    simt::meet(simt::WGMMA_COMMIT, 0, [](void**) {});
    simt::current->products.committed++;
    simt::current->products.open = 0;
}
template <int most> DEV_ONCE void wgmma_wait() {
    simt::meet(simt::WGMMA_WAIT, 0, [](void**) {});
    simt::wait_products(most);
}

template <int SUMMED, int N> DEV_ONCE void wgmma(float (&c)[N][4], const u32 (&a)[4], u64 b, bool adds) {
    const simt::ProductCall mine = {&c[0][0], 8 * N, a, 0, b, SUMMED == ROWS, adds};
    simt::meet_group(mine);
}
template <int SUMMED, int N> DEV_ONCE void wgmma(float (&c)[N][4], u64 a, u64 b, bool adds) {
    const simt::ProductCall mine = {&c[0][0], 8 * N, 0, a, b, SUMMED == ROWS, adds};
    simt::meet_group(mine);
}
