/**
 * @file Philox4x32-10 (Salmon et al. 2011), the random numbers of `random_bits`. The counter holds what the number
 * belongs to and nothing about how it is computed, so threads, meshes and rematerialisation do not change it:
 * counter = [element / 4, 0, global sample index, step], word = element % 4; elements count within one sample.
 */

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const KEY_STEP_0 = 0x9e3779b9;
const KEY_STEP_1 = 0xbb67ae85;
const ROUNDS = 10;

/** High 32 bits of the product of two u32. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = (middle & 0xffff) + aLow * bHigh;
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}

/** The four u32 of one counter, written to `out`. */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
  out: Uint32Array,
): void {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const low0 = Math.imul(MULTIPLIER_0, c0) >>> 0;
    const high0 = multiplyHigh(MULTIPLIER_0, c0 >>> 0);
    const low1 = Math.imul(MULTIPLIER_1, c2) >>> 0;
    const high1 = multiplyHigh(MULTIPLIER_1, c2 >>> 0);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + KEY_STEP_0) >>> 0;
    k1 = (k1 + KEY_STEP_1) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/**
 * The words of `count` elements, from element 0 on, of one sample: what `random_bits` puts there. The native kernel
 * gives the same bits (both are tested against the same vectors).
 */
export function sampleBits(
  key: readonly [number, number],
  step: number,
  sample: number,
  count: number,
): Uint32Array {
  const bits = new Uint32Array(Math.ceil(count / 4) * 4);
  for (let block = 0; block * 4 < count; block++) {
    const high = Math.floor(block / 2 ** 32);
    philox4x32([block >>> 0, high, sample, step], key, bits.subarray(block * 4, block * 4 + 4));
  }
  return bits.subarray(0, count);
}

/** Key of a scope's random numbers: the first eight bytes of SHA-256 of `<seed>\0<scope>`, little-endian. */
export function scopeKey(seed: number, scope: string): [key0: number, key1: number] {
  const digest = new Bun.CryptoHasher("sha256").update(`${seed}\0${scope}`).digest();
  return [digest.readUInt32LE(0), digest.readUInt32LE(4)];
}
