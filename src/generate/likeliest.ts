/**
 * @file The largest of many weights without sorting them all: floats that are not negative order like their bits, so a
 * histogram over the upper bits says which of them to sort.
 */

const BUCKETS = 1 << 15;

/** Ids of the `count` largest weights (f32, none negative), largest first, the lower id first among equals. */
export function likeliest(weights: Float32Array, count: number): number[] {
  const bits = new Uint32Array(weights.buffer, weights.byteOffset, weights.length);
  const order = (x: number, y: number): number => (weights[y] ?? 0) - (weights[x] ?? 0) || x - y;
  if (count >= weights.length) return Array.from(weights.keys()).sort(order);
  const sizes = new Uint32Array(BUCKETS);
  for (const word of bits) {
    const bucket = word >>> 16;
    sizes[bucket] = (sizes[bucket] ?? 0) + 1;
  }
  let bucket = BUCKETS - 1;
  for (let found = sizes[bucket] ?? 0; found < count; found += sizes[bucket] ?? 0) bucket--;
  const ids: number[] = [];
  for (let id = 0; id < bits.length; id++) if ((bits[id] ?? 0) >>> 16 >= bucket) ids.push(id);
  return ids.sort(order).slice(0, count);
}
