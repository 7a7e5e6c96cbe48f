/// What the instructions of `map` do, for N elements at a time.
#pragma once
#include "activation.h"

/// As `MapOp` of zig/abi.zig.
enum MapOp {
    OP_ADD = 0, OP_SUB = 1, OP_MUL = 2, OP_DIV = 3, OP_MAX = 4, OP_MIN = 5, OP_POW = 6, OP_NEG = 7,
    OP_EXP = 8, OP_LOG = 9, OP_SQRT = 10, OP_RSQRT = 11, OP_SIN = 12, OP_COS = 13, OP_TANH = 14,
    OP_ERF = 15, OP_ABS = 16, OP_FLOOR = 17, OP_FMA = 18, OP_GELU_TANH = 19,
    OP_GELU_TANH_GRAD = 20, OP_GELU_ERF = 21, OP_GELU_ERF_GRAD = 22, OP_SILU = 23,
    OP_SILU_GRAD = 24, OP_SIGMOID = 25, OP_EQ = 32, OP_NE = 33, OP_LT = 34, OP_LE = 35,
    OP_SELECT = 36, OP_ROUND_BF16 = 37, OP_ADDI = 48, OP_SUBI = 49, OP_MULI = 50, OP_DIVI = 51,
    OP_DIVU = 52, OP_MAXI = 53, OP_MINI = 54, OP_MAXU = 55, OP_MINU = 56, OP_EQI = 57, OP_NEI = 58,
    OP_LTI = 59, OP_LEI = 60, OP_LTU = 61, OP_LEU = 62, OP_ANDI = 63, OP_ORI = 64, OP_NEGI = 65,
    OP_ABSI = 66, OP_F_TO_I = 80, OP_F_TO_U = 81, OP_I_TO_F = 82, OP_U_TO_F = 83,
    OP_TO_BOOL_F = 84, OP_TO_BOOL_I = 85, OP_BITCAST = 86,
};

/// Towards zero, saturating; NaN becomes 0.
DEV u32 float_to_signed(float x) {
    if (x != x) return 0;
    if (x >= 2147483648.0f) return 0x7fffffffu;
    if (x < -2147483648.0f) return 0x80000000u;
    return (u32)(i32)x;
}
DEV u32 float_to_unsigned(float x) {
    if (!(x > 0)) return 0;
    return x >= 4294967296.0f ? 0xffffffffu : (u32)x;
}

/// Long and seldom used: not worth a copy for each of N elements.
static __device__ __noinline__ float far_pow(float x, float y) { return powf(x, y); }
static __device__ __noinline__ float far_sin(float x) { return sinf(x); }
static __device__ __noinline__ float far_cos(float x) { return cosf(x); }
static __device__ __noinline__ float far_erf(float x) { return erff(x); }
static __device__ __noinline__ float far_tanh(float x) { return tanhf(x); }

/// One instruction on integers `ix`, `iy`, `iz` or on the same bits as floats `x`, `y`, `z`.
#define MAP_CASE(op, result) \
    case op: \
        _Pragma("unroll") for (int j = 0; j < N; j++) { \
            u32 ix = a[j], iy = b[j], iz = c[j]; \
            float x = float_of(ix), y = float_of(iy), z = float_of(iz); \
            (void)x, (void)y, (void)z, (void)ix, (void)iy, (void)iz; \
            r[j] = result; \
        } \
        break;
#define FLOAT_CASE(op, result) MAP_CASE(op, bits_of(result))

template <int N> DEV void map_apply(u32 op, const u32* a, const u32* b, const u32* c, u32* r) {
    switch (op) {
        FLOAT_CASE(OP_ADD, x + y)
        FLOAT_CASE(OP_SUB, x - y)
        FLOAT_CASE(OP_MUL, x * y)
        FLOAT_CASE(OP_DIV, x / y)
        FLOAT_CASE(OP_MAX, max_float(x, y))
        FLOAT_CASE(OP_MIN, min_float(x, y))
        FLOAT_CASE(OP_POW, far_pow(x, y))
        FLOAT_CASE(OP_NEG, -x)
        FLOAT_CASE(OP_EXP, expf(x))
        FLOAT_CASE(OP_LOG, logf(x))
        FLOAT_CASE(OP_SQRT, sqrtf(x))
        FLOAT_CASE(OP_RSQRT, 1.0f / sqrtf(x))
        FLOAT_CASE(OP_SIN, far_sin(x))
        FLOAT_CASE(OP_COS, far_cos(x))
        FLOAT_CASE(OP_TANH, far_tanh(x))
        FLOAT_CASE(OP_ERF, far_erf(x))
        FLOAT_CASE(OP_ABS, fabsf(x))
        FLOAT_CASE(OP_FLOOR, floorf(x))
        FLOAT_CASE(OP_FMA, fmaf(x, y, z))
        FLOAT_CASE(OP_GELU_TANH, gelu_tanh(x))
        FLOAT_CASE(OP_GELU_TANH_GRAD, gelu_tanh_grad(x))
        FLOAT_CASE(OP_GELU_ERF, gelu_erf(x))
        FLOAT_CASE(OP_GELU_ERF_GRAD, gelu_erf_grad(x))
        FLOAT_CASE(OP_SILU, silu(x))
        FLOAT_CASE(OP_SILU_GRAD, silu_grad(x))
        FLOAT_CASE(OP_SIGMOID, sigmoid(x))
        FLOAT_CASE(OP_ROUND_BF16, round_bf16(x))
        FLOAT_CASE(OP_I_TO_F, (float)(i32)ix)
        FLOAT_CASE(OP_U_TO_F, (float)ix)
        MAP_CASE(OP_EQ, x == y)
        MAP_CASE(OP_NE, x != y)
        MAP_CASE(OP_LT, x < y)
        MAP_CASE(OP_LE, x <= y)
        MAP_CASE(OP_SELECT, ix != 0 ? iy : iz)
        MAP_CASE(OP_ADDI, ix + iy)
        MAP_CASE(OP_SUBI, ix - iy)
        MAP_CASE(OP_MULI, ix * iy)
        MAP_CASE(OP_DIVI, iy == 0 ? 0 : (u32)((i64)(i32)ix / (i64)(i32)iy))
        MAP_CASE(OP_DIVU, iy == 0 ? 0 : ix / iy)
        MAP_CASE(OP_MAXI, (i32)ix > (i32)iy ? ix : iy)
        MAP_CASE(OP_MINI, (i32)ix < (i32)iy ? ix : iy)
        MAP_CASE(OP_MAXU, ix > iy ? ix : iy)
        MAP_CASE(OP_MINU, ix < iy ? ix : iy)
        MAP_CASE(OP_EQI, ix == iy)
        MAP_CASE(OP_NEI, ix != iy)
        MAP_CASE(OP_LTI, (i32)ix < (i32)iy)
        MAP_CASE(OP_LEI, (i32)ix <= (i32)iy)
        MAP_CASE(OP_LTU, ix < iy)
        MAP_CASE(OP_LEU, ix <= iy)
        MAP_CASE(OP_ANDI, ix & iy)
        MAP_CASE(OP_ORI, ix | iy)
        MAP_CASE(OP_NEGI, 0u - ix)
        MAP_CASE(OP_ABSI, (i32)ix < 0 ? 0u - ix : ix)
        MAP_CASE(OP_F_TO_I, float_to_signed(x))
        MAP_CASE(OP_F_TO_U, float_to_unsigned(x))
        MAP_CASE(OP_TO_BOOL_F, x != 0.0f)
        MAP_CASE(OP_TO_BOOL_I, ix != 0)
        default: // OP_BITCAST
            for (int j = 0; j < N; j++) r[j] = a[j];
    }
}
