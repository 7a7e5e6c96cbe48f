/** @file Element types. The order is the wire format's: it equals `Dtype` in zig/abi.zig (checked by a test). */

export const DTYPES = ["f32", "bf16", "i32", "u32", "bool"] as const;
export type DType = (typeof DTYPES)[number];

const BYTES = { f32: 4, bf16: 2, i32: 4, u32: 4, bool: 1 } satisfies Record<DType, number>;

export const dtypeBytes = (dtype: DType): number => BYTES[dtype];
export const dtypeCode = (dtype: DType): number => DTYPES.indexOf(dtype);
export const isFloat = (dtype: DType): boolean => dtype === "f32" || dtype === "bf16";
