/** @file Between f32 and the 16-bit formats of files: widening is exact, narrowing rounds to the nearest, ties to even. */

/** Of a tensor that holds weights. */
export type FloatDtype = "F32" | "BF16" | "F16";

export const FLOAT_DTYPES = ["F32", "BF16", "F16"] as const satisfies readonly FloatDtype[];

function widenHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

let halves: Float32Array | undefined;

/** All f16 values by their bits. */
const halfTable = (): Float32Array => {
  halves ??= Float32Array.from({ length: 65536 }, (_, bits) => widenHalf(bits));
  return halves;
};

/** `bits` holds as many values as `target`. */
export function widen(dtype: "BF16" | "F16", bits: Uint16Array, target: Float32Array): void {
  if (dtype === "BF16") {
    const words = new Uint32Array(target.buffer, target.byteOffset, target.length);
    for (let i = 0; i < words.length; i++) words[i] = (bits[i] ?? 0) << 16;
    return;
  }
  const table = halfTable();
  for (let i = 0; i < target.length; i++) target[i] = table[bits[i] ?? 0] ?? 0;
}

function narrowToBf16(word: number): number {
  if ((word & 0x7fffffff) > 0x7f800000) return (word >>> 16) | 0x40;
  return ((word + 0x7fff + ((word >>> 16) & 1)) >>> 16) & 0xffff;
}

function narrowToHalf(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const exponent = ((word >>> 23) & 0xff) - 112;
  const fraction = word & 0x7fffff;
  if (exponent === 143) return sign | 0x7c00 | (fraction === 0 ? 0 : 0x200 | (fraction >>> 13));
  if (exponent >= 31) return sign | 0x7c00;
  // Below the normal numbers the leading one is written out and moved with the rest.
  const shift = exponent > 0 ? 13 : Math.min(14 - exponent, 25);
  const whole = exponent > 0 ? (exponent << 23) | fraction : 0x800000 | fraction;
  const half = 1 << (shift - 1);
  const rest = whole & ((1 << shift) - 1);
  const kept = whole >>> shift;
  return sign | (kept + (rest > half || (rest === half && kept % 2 === 1) ? 1 : 0));
}

/** Rounds `values` to the format; what is too large for f16 becomes infinite. */
export function narrow(dtype: "BF16" | "F16", values: Float32Array, target: Uint16Array): void {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const round = dtype === "BF16" ? narrowToBf16 : narrowToHalf;
  for (let i = 0; i < words.length; i++) target[i] = round(words[i] ?? 0);
}
