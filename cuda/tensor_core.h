/// What kernels need of a GPU beyond CUDA C++: products of small matrices by a warp (mma.sync), loads of their fragments
/// (ldmatrix), copies to shared memory that run beside the kernel (cp.async), accesses of 8 and 16 bytes, and the fast exp2.
/// Inline assembly is here and in wgmma.h alone; tests/virtual_gpu/tensor_core_simt.h is its twin for the host.
///
/// Fragments of the product C[16, 8] += A[16, 16] . B[16, 8], with g = lane / 4 and t = lane % 4; a pair is two bf16 in one
/// word, the first one low:
///   a[0] = A[g][2t, 2t+1]   a[1] = A[g+8][2t, 2t+1]   a[2] = A[g][2t+8, 2t+9]   a[3] = A[g+8][2t+8, 2t+9]
///   b0 = B[2t, 2t+1][g]     b1 = B[2t+8, 2t+9][g]     c[0], c[1] = C[g][2t, 2t+1]      c[2], c[3] = C[g+8][2t, 2t+1]
/// So C of two products side by side, rounded to bf16, is A of the next product.
#pragma once
#include "theseus.h"

struct __attribute__((aligned(16))) Words4 {
    u32 w[4];
};
struct __attribute__((aligned(8))) Words2 {
    u32 w[2];
};

#ifdef THESEUS_VIRTUAL_GPU
#include "tensor_core_simt.h"
#else
/// Of loops over registers; the host keeps them as loops, which compile in a tenth of the time.
#define UNROLL _Pragma("unroll")

/// Address within shared memory.
typedef u32 SharedAddress;

DEV SharedAddress shared_address(const void* pointer) { return (u32)__cvta_generic_to_shared(pointer); }

DEV void mma_bf16(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// Four 8 x 8 matrices of 16-bit elements: lane 8i + j gives the address of row j of matrix i (16 bytes, aligned); word i is
/// row lane / 4, elements 2(lane % 4) and the next.
DEV void load_matrices(u32 (&to)[4], SharedAddress row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(row) : "memory");
}
/// The same of the transposed matrices: word i is rows 2(lane % 4) and the next of column lane / 4.
DEV void load_transposed(u32 (&to)[4], SharedAddress row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(row) : "memory");
}
/// Two matrices: lanes 0 to 15 give the addresses.
DEV void load_matrices(u32 (&to)[2], SharedAddress row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
                 : "=r"(to[0]), "=r"(to[1]) : "r"(row) : "memory");
}
DEV void load_transposed(u32 (&to)[2], SharedAddress row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                 : "=r"(to[0]), "=r"(to[1]) : "r"(row) : "memory");
}

/// Starts a copy of 16 bytes, or of zeros when not `inside` (`from` is then not read).
DEV void copy_async16(SharedAddress to, const void* from, bool inside) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :: "r"(to), "l"(__cvta_generic_to_global(from)), "r"(inside ? 16 : 0) : "memory");
}
DEV void copy_async4(SharedAddress to, const void* from, bool inside) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;"
                 :: "r"(to), "l"(__cvta_generic_to_global(from)), "r"(inside ? 4 : 0) : "memory");
}
/// Ends a group: the thread's copies since the last one.
DEV void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Until all of the thread's groups but the last `most` have landed. Other threads see them after a barrier.
template <int most> DEV void copy_wait() { asm volatile("cp.async.wait_group %0;" :: "n"(most) : "memory"); }

DEV Words4 load_words4(const void* from) { return *reinterpret_cast<const Words4*>(from); }
DEV Words2 load_words2(const void* from) { return *reinterpret_cast<const Words2*>(from); }
DEV void store_words4(void* to, Words4 words) { *reinterpret_cast<Words4*>(to) = words; }
DEV void store_words2(void* to, Words2 words) { *reinterpret_cast<Words2*>(to) = words; }

/// 2 to the power x, to about 2 units in the last place; results below the smallest normal number are 0.
DEV float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/// The same, but the compiler computes what depends on it where it stands: addresses that it would rather keep in registers
/// during a loop push accumulators out of them.
DEV u32 not_hoisted(u32 x) {
    asm volatile("" : "+r"(x));
    return x;
}

/// Two bf16 in one word.
DEV u32 bf16_pair(float low, float high) {
    u32 both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
}
#endif

DEV float low_bf16(u32 pair) { return float_of(pair << 16); }
DEV float high_bf16(u32 pair) { return float_of(pair & 0xffff0000u); }
