/** @file The virtual GPU's own switches and counters, for tests that look at it from within the process. */
import { dlopen } from "bun:ffi";
import { buildVirtualGpu, DRIVER } from "./virtual_gpu.ts";

export interface Held {
  readonly bytes: number;
  readonly allocations: number;
  readonly pinned: number;
  readonly streams: number;
  readonly events: number;
  readonly graphs: number;
}

export interface Asked {
  readonly allocations: number;
  readonly pinned: number;
  readonly launches: number;
  /** Times that the host waited for work that was not done. */
  readonly waits: number;
  /** Of cuBLASLt. */
  readonly products: number;
}

type Setting =
  | (
      | "FAIL_ALLOC"
      | "FAIL_HOST"
      | "FAIL_LAUNCH"
      | "FAIL_PRODUCT"
      | "MEMORY"
      | "TAKEN"
      | "SEED"
      | "CAPABILITY"
    )
  /** Of the stand-in for cuBLASLt. */
  | ("TIMES" | "EPILOGUES" | "SLOW_SUMS" | "CUBLASLT" | "FAIL_MATMUL");

export class StandIn {
  private readonly symbols;

  constructor() {
    buildVirtualGpu();
    this.symbols = dlopen(DRIVER, {
      theseus_virtual_set: { args: ["ptr", "u64"], returns: "i32" },
      theseus_virtual_heal: { args: [], returns: "i32" },
      theseus_virtual_counts: { args: ["ptr"], returns: "i32" },
    }).symbols;
  }

  set(setting: Setting, value: number): void {
    this.symbols.theseus_virtual_set(Buffer.from(`THESEUS_VGPU_${setting}\0`), value);
  }

  heal(): void {
    this.symbols.theseus_virtual_heal();
  }

  /** What was made and not given back. */
  held(): Held {
    const [bytes = 0, allocations = 0, pinned = 0, streams = 0, events = 0, graphs = 0] =
      this.counts();
    return { bytes, allocations, pinned, streams, events, graphs };
  }

  /** Since the process began. */
  asked(): Asked {
    const [allocations = 0, pinned = 0, launches = 0, waits = 0, products = 0] =
      this.counts().slice(6);
    return { allocations, pinned, launches, waits, products };
  }

  private counts(): number[] {
    const counts = new BigUint64Array(11);
    this.symbols.theseus_virtual_counts(counts);
    return Array.from(counts, Number);
  }
}

export const NOTHING: Held = {
  ...{ bytes: 0, allocations: 0, pinned: 0, streams: 0, events: 0, graphs: 0 },
};
