/// The functions that `map` and the epilogue of `matmul` share.
#pragma once
#include "theseus.h"

/// As `Activation` of zig/abi.zig.
enum Activation { NO_ACTIVATION = 0, GELU_TANH = 1, GELU_ERF = 2, SILU = 3 };

DEV float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

/// u = 2 sqrt(2 / pi) (x + 0.044715 x^3); the tanh form of gelu is x sigmoid(u).
DEV float gelu_inner(float x) { return 1.5957691216057308f * (x + 0.044715f * x * x * x); }
DEV float gelu_tanh(float x) { return x * sigmoid(gelu_inner(x)); }
DEV float gelu_tanh_grad(float x) {
    float s = sigmoid(gelu_inner(x));
    return s + x * s * (1.0f - s) * 1.5957691216057308f * (1.0f + 3.0f * 0.044715f * x * x);
}

DEV float normal_cdf(float x) { return 0.5f * erfcf(-x * 0.7071067811865476f); }
DEV float gelu_erf(float x) { return x * normal_cdf(x); }
DEV float gelu_erf_grad(float x) {
    return normal_cdf(x) + x * expf(-0.5f * x * x) * 0.3989422804014327f;
}

DEV float silu(float x) { return x * sigmoid(x); }
DEV float silu_grad(float x) {
    float s = sigmoid(x);
    return s * (1.0f + x * (1.0f - s));
}

DEV float activate(u32 activation, float x) {
    switch (activation) {
        case GELU_TANH: return gelu_tanh(x);
        case GELU_ERF: return gelu_erf(x);
        case SILU: return silu(x);
        default: return x;
    }
}
DEV float activation_slope(u32 activation, float x) {
    switch (activation) {
        case GELU_TANH: return gelu_tanh_grad(x);
        case GELU_ERF: return gelu_erf_grad(x);
        case SILU: return silu_grad(x);
        default: return 1.0f;
    }
}
