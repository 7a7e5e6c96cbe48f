/// Products of tensor cores of compute capability 9.0 alone (wgmma): a warpgroup, 128 threads in four warps, of which the first
/// one's number is a multiple of 4, multiplies A[64, 16] . B[16, 8 N] into C[64, 8 N] while its threads go on. B lies in shared
/// memory, A there or in registers. tests/virtual_gpu/wgmma_simt.h is the twin for the host.
///
/// Order of things, for what wgmma reads and writes (PTX ISA, "asynchronous warpgroup level matrix instructions"):
///   copies to shared memory have landed; `wgmma_publish` by who wrote; a barrier; `wgmma_settle` of the registers, `wgmma_fence`;
///   `wgmma` ...; `wgmma_commit`; `wgmma_wait`; `wgmma_settle` of the registers. In between C and A of registers are not touched.
/// Fragments are those of mma.sync (tensor_core.h), 16 rows a warp: c[n][0..3] is C of columns [8 n, 8 n + 8).
#pragma once
#include "tensor_core.h"

/// A matrix in shared memory, in pieces of 8 rows of 128 bytes that begin at multiples of 1024 bytes, where chunk c of 16 bytes of
/// row r lies at place c ^ r (as `tile_offset<64>`). Summed over what lies in a row ("K-major"): `stride` is from 8 rows to the next
/// 8, `leading` does not matter; 16 dims further on is 32 bytes further on. Summed over rows ("MN-major"): `stride` is from 8
/// rows to the next 8, `leading` from 64 columns to the next 64.
DEV u64 wgmma_matrix(SharedAddress at, u32 leading_bytes, u32 stride_bytes) {
    const u32 swizzle_128 = 1;
    u32 low = (at & 0x3ffffu) >> 4 | leading_bytes >> 4 << 16;
    return (u64)(stride_bytes >> 4 | swizzle_128 << 30) << 32 | low;
}

/// How B lies: what is summed over are its dims, or its rows.
enum Summed { DIMS = 0, ROWS = 1 };

#ifdef THESEUS_VIRTUAL_GPU
#define THESEUS_WGMMA
#include "wgmma_simt.h"
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define THESEUS_WGMMA

/// What was written to shared memory, cp.async that has landed too, may be read by wgmma of threads that this one meets afterwards.
DEV void wgmma_publish() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

/// Keeps the compiler from moving accesses of registers over the instruction before or after.
template <int N> DEV void wgmma_settle(float (&x)[N][4]) {
UNROLL
    for (u32 n = 0; n < N; n++)
UNROLL
        for (u32 i = 0; i < 4; i++) asm volatile("" : "+f"(x[n][i]) :: "memory");
}
template <int N> DEV void wgmma_settle(u32 (&x)[N][4]) {
UNROLL
    for (u32 n = 0; n < N; n++)
UNROLL
        for (u32 i = 0; i < 4; i++) asm volatile("" : "+r"(x[n][i]) :: "memory");
}

/// Before the first of a run of products: registers have their values.
DEV void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
/// Ends a group: the products since the last one.
DEV void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
/// Until all groups but the last `most` are done.
template <int most> DEV void wgmma_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(most) : "memory"); }

#define FOUR(c, n) "+f"(c[n][0]), "+f"(c[n][1]), "+f"(c[n][2]), "+f"(c[n][3])
#define OUT_32(c) FOUR(c, 0), FOUR(c, 1), FOUR(c, 2), FOUR(c, 3), FOUR(c, 4), FOUR(c, 5), FOUR(c, 6), FOUR(c, 7)
#define OUT_64(c) \
    OUT_32(c), FOUR(c, 8), FOUR(c, 9), FOUR(c, 10), FOUR(c, 11), FOUR(c, 12), FOUR(c, 13), FOUR(c, 14), FOUR(c, 15)
#define TEXT_32 \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
    "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define TEXT_64 \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
    "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31," \
    "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
    "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
/// `at`: numbers of the operands behind the results, the last three being whether C is added to, and 0 or 1 for `Summed`.
#define WGMMA_TEXT(n, results, sources, adds) \
    "{.reg .pred p; setp.ne.b32 p, " adds ", 0; " \
    "wgmma.mma_async.sync.aligned.m64n" n "k16.f32.bf16.bf16 {" results "}, " sources ";}"

/// c += a . b, or c = a . b unless it `adds`.
template <int SUMMED> DEV void wgmma(float (&c)[8][4], const u32 (&a)[4], u64 b, bool adds) {
    asm volatile(WGMMA_TEXT("64", TEXT_32, "{%32,%33,%34,%35}, %36, p, 1, 1, %38", "%37")
                 : OUT_32(c)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"((int)adds), "n"(SUMMED));
}
template <int SUMMED> DEV void wgmma(float (&c)[16][4], const u32 (&a)[4], u64 b, bool adds) {
    asm volatile(WGMMA_TEXT("128", TEXT_64, "{%64,%65,%66,%67}, %68, p, 1, 1, %70", "%69")
                 : OUT_64(c)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"((int)adds), "n"(SUMMED));
}
/// A in shared memory, summed over its dims.
template <int SUMMED> DEV void wgmma(float (&c)[8][4], u64 a, u64 b, bool adds) {
    asm volatile(WGMMA_TEXT("64", TEXT_32, "%32, %33, p, 1, 1, 0, %35", "%34")
                 : OUT_32(c) : "l"(a), "l"(b), "r"((int)adds), "n"(SUMMED));
}
template <int SUMMED> DEV void wgmma(float (&c)[16][4], u64 a, u64 b, bool adds) {
    asm volatile(WGMMA_TEXT("128", TEXT_64, "%64, %65, p, 1, 1, 0, %67", "%66")
                 : OUT_64(c) : "l"(a), "l"(b), "r"((int)adds), "n"(SUMMED));
}
#endif
