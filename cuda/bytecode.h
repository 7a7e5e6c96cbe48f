/// The bytecode of `map` and `map_reduce`: one thread runs all instructions for one element.
#pragma once
#include "activation.h"
#include "theseus.h"

#define FIRST_CONSTANT 8
#define FIRST_RESULT 64
#define REGISTERS (FIRST_RESULT + 32)

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

DEV float map_float(u32 op, float a, float b, float c) {
    switch (op) {
        case OP_ADD: return a + b;
        case OP_SUB: return a - b;
        case OP_MUL: return a * b;
        case OP_DIV: return a / b;
        case OP_MAX: return max_float(a, b);
        case OP_MIN: return min_float(a, b);
        case OP_POW: return powf(a, b);
        case OP_NEG: return -a;
        case OP_EXP: return expf(a);
        case OP_LOG: return logf(a);
        case OP_SQRT: return sqrtf(a);
        case OP_RSQRT: return 1.0f / sqrtf(a);
        case OP_SIN: return sinf(a);
        case OP_COS: return cosf(a);
        case OP_TANH: return tanhf(a);
        case OP_ERF: return erff(a);
        case OP_ABS: return fabsf(a);
        case OP_FLOOR: return floorf(a);
        case OP_FMA: return fmaf(a, b, c);
        case OP_GELU_TANH: return gelu_tanh(a);
        case OP_GELU_TANH_GRAD: return gelu_tanh_grad(a);
        case OP_GELU_ERF: return gelu_erf(a);
        case OP_GELU_ERF_GRAD: return gelu_erf_grad(a);
        case OP_SILU: return silu(a);
        case OP_SILU_GRAD: return silu_grad(a);
        case OP_SIGMOID: return sigmoid(a);
        default: return round_bf16(a);
    }
}

DEV u32 map_apply(u32 op, u32 a, u32 b, u32 c) {
    float x = float_of(a), y = float_of(b);
    switch (op) {
        case OP_EQ: return x == y;
        case OP_NE: return x != y;
        case OP_LT: return x < y;
        case OP_LE: return x <= y;
        case OP_SELECT: return a != 0 ? b : c;
        case OP_ADDI: return a + b;
        case OP_SUBI: return a - b;
        case OP_MULI: return a * b;
        case OP_DIVI: return b == 0 ? 0 : (u32)((i64)(i32)a / (i64)(i32)b);
        case OP_DIVU: return b == 0 ? 0 : a / b;
        case OP_MAXI: return (i32)a > (i32)b ? a : b;
        case OP_MINI: return (i32)a < (i32)b ? a : b;
        case OP_MAXU: return a > b ? a : b;
        case OP_MINU: return a < b ? a : b;
        case OP_EQI: return a == b;
        case OP_NEI: return a != b;
        case OP_LTI: return (i32)a < (i32)b;
        case OP_LEI: return (i32)a <= (i32)b;
        case OP_LTU: return a < b;
        case OP_LEU: return a <= b;
        case OP_ANDI: return a & b;
        case OP_ORI: return a | b;
        case OP_NEGI: return 0u - a;
        case OP_ABSI: return (i32)a < 0 ? 0u - a : a;
        case OP_F_TO_I: return float_to_signed(x);
        case OP_F_TO_U: return float_to_unsigned(x);
        case OP_I_TO_F: return bits_of((float)(i32)a);
        case OP_U_TO_F: return bits_of((float)a);
        case OP_TO_BOOL_F: return x != 0.0f;
        case OP_TO_BOOL_I: return a != 0;
        case OP_BITCAST: return a;
        default: return bits_of(map_float(op, x, y, float_of(c)));
    }
}

/// An element as it is in a register: floats as f32, the others as 32-bit integers.
DEV u32 load_register(const Operand& o, u64 at) {
    if (o.dtype == BF16) return (u32)pointer<u16>(o)[at] << 16;
    if (o.dtype == BOOL) return pointer<u8>(o)[at];
    return pointer<u32>(o)[at];
}
DEV void store_register(const Operand& o, u64 at, u32 value) {
    if (o.dtype == BF16) pointer<u16>(o)[at] = bf16_of(float_of(value));
    else if (o.dtype == BOOL) pointer<u8>(o)[at] = value != 0;
    else pointer<u32>(o)[at] = value;
}

/// The words of a `map`, taken apart.
struct Code {
    u32 inputs, results, constants, count;
    const u32 *constant, *code, *result;
};

DEV Code decode(const u32* words) {
    Code c;
    c.inputs = words[0];
    c.results = words[1];
    c.constants = words[2];
    c.count = words[3];
    c.constant = words + 4;
    c.code = c.constant + c.constants;
    c.result = c.code + c.count;
    return c;
}

DEV void load_constants(const Code& c, u32* registers) {
    for (u32 i = 0; i < FIRST_CONSTANT; i++) registers[i] = 0;
    for (u32 i = 0; i < c.constants; i++) registers[FIRST_CONSTANT + i] = c.constant[i];
}

DEV void execute(const Code& c, u32* registers) {
    for (u32 k = 0; k < c.count; k++) {
        u32 word = c.code[k];
        u32 a = registers[word >> 8 & 255];
        // Operands that an instruction does not have name register 0.
        u32 b = registers[word >> 16 & 255], d = registers[word >> 24];
        registers[FIRST_RESULT + k] = map_apply(word & 255, a, b, d);
    }
}
