//! `grad_norm`: square root of the sum of squares of all inputs, in f64 over fixed chunks.
//! Shared workspace (element u32): 8 bytes * sum over the inputs of ceil(count / 65536). Always there. No private scratch.
