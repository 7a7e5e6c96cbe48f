//! `map_reduce`: the bytecode of `map` followed by a sum or a maximum over a mask of dims.
//! Shared workspace (element u32, 4-byte aligned), with K = product of the kept dims, L = product of the reduced dims,
//! rows = the last dim of size > 1 is reduced (true when there is none):
//!   slot = max(rows ? 16384 : 128, power of two >= ceil(L / 64)); slots = ceil(L / slot)
//!   bytes = slots > 1 and K < (rows ? 256 : 32768) ? 8 * K * slots : 0 (0: no workspace operand). No private scratch.
