/**
 * @file Python's `random.Random(seed).sample`, so that a task's few-shot examples are those that lm-evaluation-harness draws with the same
 * seed. Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), seeded by init_by_array as CPython does.
 */
const N = 624;
const M = 397;

export class PythonRandom {
  private readonly state = new Uint32Array(N);
  private at = N;

  /** `seed`: 0 to 2^32 - 1. */
  constructor(seed: number) {
    const { state } = this;
    state[0] = 19650218;
    for (let i = 1; i < N; i++) {
      const last = (state[i - 1] ?? 0) ^ ((state[i - 1] ?? 0) >>> 30);
      state[i] = Math.imul(1812433253, last) + i;
    }
    // The key has one word, the seed.
    let i = 1;
    const mixed = (multiplier: number): number => {
      const last = state[i - 1] ?? 0;
      return (state[i] ?? 0) ^ Math.imul(last ^ (last >>> 30), multiplier);
    };
    const next = (): void => {
      if (++i < N) return;
      state[0] = state[N - 1] ?? 0;
      i = 1;
    };
    for (let k = 0; k < N; k++) {
      state[i] = mixed(1664525) + seed;
      next();
    }
    for (let k = 0; k < N - 1; k++) {
      state[i] = mixed(1566083941) - i;
      next();
    }
    state[0] = 0x80000000;
  }

  /** `count` different items of `population`, in the order in which they were drawn. */
  sample<T>(population: readonly T[], count: number): T[] {
    const n = population.length;
    // CPython takes a set of indices where that is smaller than a list of all.
    const setSize = 21 + (count > 5 ? 4 ** Math.ceil(Math.log(count * 3) / Math.log(4)) : 0);
    const chosen: number[] = [];
    if (n <= setSize) {
      const pool = Array.from({ length: n }, (_, index) => index);
      for (let k = 0; k < count; k++) {
        const j = this.below(n - k);
        chosen.push(pool[j] ?? 0);
        pool[j] = pool[n - k - 1] ?? 0;
      }
    } else {
      const seen = new Set<number>();
      while (chosen.length < count) {
        const j = this.below(n);
        if (seen.has(j)) continue;
        seen.add(j);
        chosen.push(j);
      }
    }
    return chosen.map((index) => population[index] as T);
  }

  /** Uniform in 0 .. n-1, n >= 1. */
  private below(n: number): number {
    const bits = 32 - Math.clz32(n);
    for (;;) {
      const draw = this.word() >>> (32 - bits);
      if (draw < n) return draw;
    }
  }

  private word(): number {
    if (this.at >= N) this.refill();
    let y = this.state[this.at++] ?? 0;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  private refill(): void {
    const { state } = this;
    for (let k = 0; k < N; k++) {
      const y = ((state[k] ?? 0) & 0x80000000) | ((state[(k + 1) % N] ?? 0) & 0x7fffffff);
      state[k] = (state[(k + M) % N] ?? 0) ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.at = 0;
  }
}
