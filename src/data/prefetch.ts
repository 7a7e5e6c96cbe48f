/**
 * @file Batches that another thread reads ahead into shared memory: pages that have to come from the disk stall that thread, not
 * the one that queues the steps. The batches are those that this thread would have filled itself.
 */
import { assert, type ErrorCode, type ErrorPlace, UserError } from "../util/errors.ts";
import { workerEntry } from "../util/worker_entry.ts";
import type { Batch } from "./batch.ts";
import type { FolderPlan } from "./folder_plan.ts";
import type { TrainLoader } from "./loader.ts";
import type { Packing } from "./samples/packing.ts";

/** Batches that are ready or in work, besides the one in use. */
const AHEAD = 3;
const SLOTS = AHEAD + 1;

export interface PrefetchPlan {
  readonly plan: FolderPlan;
  readonly packings: readonly (Packing | null)[];
  readonly rows: number;
  /** The sample at which the first batch begins. */
  readonly first: number;
}

export interface PrefetchStart extends PrefetchPlan {
  readonly memory: SharedArrayBuffer;
}

/** The worker fills batch n into slot n % SLOTS when it is asked for n. */
export type PrefetchRequest = PrefetchStart | number;

export type PrefetchReply =
  | { readonly kind: "filled" }
  | { readonly kind: "failed"; readonly error: PrefetchError };

/** An error between threads: classes do not cross. `code` absent: a bug. */
export interface PrefetchError {
  readonly message: string;
  readonly code?: ErrorCode;
  readonly hint?: string | undefined;
  readonly place?: ErrorPlace;
}

const ARRAYS = 4;
const slotBytes = (count: number): number => ARRAYS * 4 * count;

/** The batch of a slot as views of the shared memory. */
export function slotBatch(memory: SharedArrayBuffer, batch: number, count: number): Batch {
  const at = (batch % SLOTS) * slotBytes(count);
  const part = (index: number): [SharedArrayBuffer, number, number] => [
    memory,
    at + 4 * index * count,
    count,
  ];
  return {
    tokens: new Int32Array(...part(0)),
    targets: new Int32Array(...part(1)),
    positions: new Int32Array(...part(2)),
    documents: new Uint32Array(...part(3)),
  };
}

export class PrefetchLoader implements TrainLoader {
  private readonly worker: Worker;
  private readonly batches: readonly Batch[];
  private readonly rows: number;
  private readonly start: number;
  /** Batches asked for, filled and handed out. */
  private asked = 0;
  private filled = 0;
  private taken = 0;
  private failure: Error | undefined;
  private wake: () => void = () => {};

  constructor(plan: PrefetchPlan) {
    this.rows = plan.rows;
    this.start = plan.first;
    const count = plan.rows * plan.plan.length;
    const memory = new SharedArrayBuffer(SLOTS * slotBytes(count));
    this.batches = Array.from({ length: SLOTS }, (_, slot) => slotBatch(memory, slot, count));
    this.worker = new Worker(workerEntry("src/data/prefetch_worker.ts"));
    this.worker.onmessage = ({ data }: MessageEvent<PrefetchReply>) => this.receive(data);
    this.worker.onerror = ({ message }) =>
      this.receive({ kind: "failed", error: { message: `reading ahead: ${message}` } });
    this.post({ ...plan, memory });
    while (this.asked < AHEAD) this.post(this.asked++);
  }

  /** Batches are taken in their order; one is untouched until the next is asked for. */
  async take(first: number): Promise<Batch> {
    const batch = this.taken++;
    assert(first === this.start + batch * this.rows, "batches are taken in their order");
    // The slot of the batch that was in use is free now.
    this.post(this.asked++);
    while (this.filled <= batch && this.failure === undefined)
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    if (this.filled <= batch && this.failure !== undefined) throw this.failure;
    const views = this.batches[batch % SLOTS];
    assert(views !== undefined, "a slot of every batch");
    return views;
  }

  close(): void {
    this.worker.terminate();
  }

  private post(request: PrefetchRequest): void {
    this.worker.postMessage(request);
  }

  private receive(reply: PrefetchReply): void {
    if (reply.kind === "filled") this.filled++;
    else {
      const { message, ...options } = reply.error;
      this.failure =
        options.code === undefined ? new Error(message) : new UserError(message, options);
    }
    this.wake();
  }
}
