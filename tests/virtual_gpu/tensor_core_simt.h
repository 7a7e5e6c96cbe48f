/// The twin of cuda/tensor_core.h for the host. Products and fragment loads are done by the last lane that comes, for all 32;
/// what a GPU would not accept (an address that is not aligned or lies outside, lanes that stay away) ends the process.
#pragma once
#include "../../cuda/theseus.h"

#define UNROLL
/// As DEV, but compiled once: kernels are full of these.
#define DEV_ONCE static __device__ __attribute__((noinline))

/// Offset from the start of the block's shared memory.
typedef u32 SharedAddress;

DEV void expect_aligned(u64 address, u64 bytes) {
    if (address % bytes != 0) simt::stop("an access that is not aligned");
}
DEV unsigned char* shared_at(SharedAddress at, u64 bytes) {
    expect_aligned(at, bytes);
    if (at + bytes > simt::block.shared_bytes) simt::stop("an access outside shared memory");
    return simt::block.shared + at;
}

DEV SharedAddress shared_address(const void* pointer) {
    u64 at = (u64)((const unsigned char*)pointer - simt::block.shared);
    if (at > simt::block.shared_bytes) simt::stop("not an address of shared memory");
    return (SharedAddress)at;
}

DEV float low_bf16(u32 pair);
DEV float high_bf16(u32 pair);

struct Product16 {
    float* c;
    const u32* a;
    u32 b[2];
};

static void multiply_warp(void** brought) {
    float a[16][16], b[16][8], c[16][8];
    for (u32 l = 0; l < 32; l++) {
        const Product16& p = *(const Product16*)brought[l];
        u32 g = l / 4, t = l % 4 * 2;
        for (u32 i = 0; i < 4; i++) {
            u32 row = g + i % 2 * 8, column = t + i / 2 * 8;
            a[row][column] = low_bf16(p.a[i]);
            a[row][column + 1] = high_bf16(p.a[i]);
            c[g + i / 2 * 8][t + i % 2] = p.c[i];
        }
        for (u32 i = 0; i < 2; i++) {
            b[t + i * 8][g] = low_bf16(p.b[i]);
            b[t + i * 8 + 1][g] = high_bf16(p.b[i]);
        }
    }
    for (u32 m = 0; m < 16; m++)
        for (u32 k = 0; k < 16; k++)
            for (u32 n = 0; n < 8; n++) c[m][n] += a[m][k] * b[k][n];
    for (u32 l = 0; l < 32; l++) {
        float* to = ((const Product16*)brought[l])->c;
        for (u32 i = 0; i < 4; i++) to[i] = c[l / 4 + i / 2 * 8][l % 4 * 2 + i % 2];
    }
}

DEV_ONCE void mma_bf16(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    Product16 mine = {c, a, {b0, b1}};
    simt::meet(simt::MATRIX_PRODUCT, &mine, multiply_warp);
}

struct MatrixLoad {
    u32* to;
    SharedAddress row;
    u32 matrices;
    bool transposed;
};

static void load_warp(void** brought) {
    const MatrixLoad& first = *(const MatrixLoad*)brought[0];
    u32 count = first.matrices;
    u16 elements[4][8][8];
    for (u32 l = 0; l < count * 8; l++)
        memcpy(elements[l / 8][l % 8], shared_at(((const MatrixLoad*)brought[l])->row, 16), 16);
    for (u32 l = 0; l < 32; l++) {
        const MatrixLoad& mine = *(const MatrixLoad*)brought[l];
        if (mine.matrices != count || mine.transposed != first.transposed)
            simt::stop("lanes of a warp load different kinds of matrices");
        for (u32 i = 0; i < count; i++) {
            u32 row = l / 4, column = l % 4 * 2;
            u16 low = mine.transposed ? elements[i][column][row] : elements[i][row][column];
            u16 high = mine.transposed ? elements[i][column + 1][row] : elements[i][row][column + 1];
            mine.to[i] = low | (u32)high << 16;
        }
    }
}

DEV_ONCE void load_matrices(u32 (&to)[4], SharedAddress row) {
    MatrixLoad mine = {to, row, 4, false};
    simt::meet(simt::MATRIX_LOAD, &mine, load_warp);
}
DEV_ONCE void load_transposed(u32 (&to)[4], SharedAddress row) {
    MatrixLoad mine = {to, row, 4, true};
    simt::meet(simt::MATRIX_LOAD, &mine, load_warp);
}
DEV_ONCE void load_matrices(u32 (&to)[2], SharedAddress row) {
    MatrixLoad mine = {to, row, 2, false};
    simt::meet(simt::MATRIX_LOAD, &mine, load_warp);
}
DEV_ONCE void load_transposed(u32 (&to)[2], SharedAddress row) {
    MatrixLoad mine = {to, row, 2, true};
    simt::meet(simt::MATRIX_LOAD, &mine, load_warp);
}

DEV_ONCE void copy_async(SharedAddress to, const void* from, bool inside, u32 bytes) {
    expect_aligned((u64)from, bytes);
    simt::current->copies.add(shared_at(to, bytes), inside ? from : 0, bytes);
}
DEV_ONCE void copy_async16(SharedAddress to, const void* from, bool inside) { copy_async(to, from, inside, 16); }
DEV_ONCE void copy_async4(SharedAddress to, const void* from, bool inside) { copy_async(to, from, inside, 4); }
DEV_ONCE void copy_commit() { simt::current->copies.commit(); }
template <int most> DEV_ONCE void copy_wait() { simt::current->copies.wait(most); }

template <class T> DEV_ONCE T load_words(const void* from) {
    expect_aligned((u64)from, sizeof(T));
    T words;
    memcpy(&words, from, sizeof words);
    return words;
}
template <class T> DEV_ONCE void store_words(void* to, T words) {
    expect_aligned((u64)to, sizeof(T));
    memcpy(to, &words, sizeof words);
}
DEV Words4 load_words4(const void* from) { return load_words<Words4>(from); }
DEV Words2 load_words2(const void* from) { return load_words<Words2>(from); }
DEV void store_words4(void* to, Words4 words) { store_words(to, words); }
DEV void store_words2(void* to, Words2 words) { store_words(to, words); }

DEV float exp2_fast(float x) { return exp2f(x); }
DEV u32 not_hoisted(u32 x) { return x; }
DEV u32 bf16_pair(float low, float high) { return bf16_of(low) | (u32)bf16_of(high) << 16; }
