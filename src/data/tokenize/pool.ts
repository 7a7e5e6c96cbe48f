/**
 * @file Hands the parts of a plan to workers. A compressed file belongs to the worker that began it; one that has nothing else to do
 * helps, and passes over what others take: unpacking is many times faster than tokenizing.
 */
import { libraryInfo } from "../../runtime/index.ts";
import { assert } from "../../util/errors.ts";
import { fromThread } from "../../util/thread_error.ts";
import { workerEntry } from "../../util/worker_entry.ts";
import type { Piece } from "../sources/source_file.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { type SharedTokenizer, shareTokenizer } from "../tokenizers/share_tokenizer.ts";
import type { CommittedPart } from "./commit.ts";
import type { FromWorker, ToWorker } from "./messages.ts";
import { type PlanItem, rangeOf } from "./plan.ts";
import type { PartResult } from "./run_part.ts";
import type { TokenizeSetup } from "./setup.ts";

/** In the executable only the main program carries the native library; a worker opens the one that was unpacked for it. */
const surroundings = (): WorkerOptions =>
  import.meta.url.includes("/$bunfs/")
    ? { smol: true, env: { ...process.env, THESEUS_LIBRARY: libraryInfo().path } }
    : { smol: true };

export interface PoolOptions {
  readonly setup: TokenizeSetup;
  readonly tokenizer: Tokenizer;
  readonly items: readonly PlanItem[];
  readonly workers: number;
  folderOf(pieces: readonly Piece[]): string;
  /** What an earlier attempt finished. */
  finished(folder: string): PartResult | null;
  /** Called for each such part with the size that the plan gives it. */
  passed(bytes: number): void;
  progress(bytes: number, tokens: number, documents: number): void;
  readonly signal: AbortSignal;
}

interface Task {
  readonly item: number;
  readonly index: number;
  readonly pieces: readonly Piece[];
  readonly folder: string;
}

/** How far an item has been handed out, and what came back. */
class ItemState {
  readonly item: PlanItem;
  readonly results: CommittedPart[] = [];
  helpers = 0;
  private claimed = 0;
  private ended = false;

  constructor(item: PlanItem) {
    this.item = item;
  }

  get open(): boolean {
    return !this.ended && (this.item.kind === "stream" || this.claimed === 0);
  }

  get begun(): boolean {
    return this.claimed > 0;
  }

  /** The next part that nobody has done; null when there is none. */
  claim(options: PoolOptions, number: number): Task | null {
    while (this.open) {
      const index = this.claimed++;
      const { item } = this;
      const pieces = item.kind === "part" ? item.pieces : [rangeOf(item, index)];
      const folder = options.folderOf(pieces);
      const result = options.finished(folder);
      if (result === null) return { item: number, index, pieces, folder };
      options.passed(item.kind === "part" ? item.bytes : item.rangeBytes);
      this.note(index, folder, result);
    }
    return null;
  }

  note(index: number, folder: string, result: PartResult): void {
    this.results[index] = { folder, result };
    if (result.ended || this.item.kind === "part") this.ended = true;
  }
}

export class Pool {
  private readonly options: PoolOptions;
  private readonly states: readonly ItemState[];
  private readonly shared: SharedTokenizer | null;
  private readonly stop = new Int32Array(new SharedArrayBuffer(4));
  private readonly threads: Worker[] = [];
  private opening: Promise<void> = Promise.resolve();

  constructor(options: PoolOptions) {
    this.options = options;
    this.shared = shareTokenizer(options.tokenizer);
    this.states = options.items.map((item) => new ItemState(item));
  }

  /** All parts in the order of the input; null when it was interrupted. */
  async run(): Promise<readonly CommittedPart[] | null> {
    const { signal } = this.options;
    const onAbort = (): void => {
      Atomics.store(this.stop, 0, 1);
    };
    signal.addEventListener("abort", onAbort);
    // The vocabulary was read on this thread, too.
    Bun.gc(true);
    Bun.shrink();
    if (signal.aborted) onAbort();
    try {
      // What is done already needs no worker, and tells how many are of use.
      const first: Task[] = [];
      for (let task = this.next(null); task !== null; task = this.next(null)) {
        first.push(task);
        if (first.length === this.options.workers) break;
      }
      const whole = await Promise.all(first.map((task) => this.work(task)));
      return whole.every(Boolean)
        ? this.states.flatMap(({ results }) => results.filter(Boolean))
        : null;
    } finally {
      signal.removeEventListener("abort", onAbort);
      for (const thread of this.threads) thread.terminate();
    }
  }

  /** A part for a worker that last worked on item `last`. */
  private next(last: number | null): Task | null {
    const state = (index: number): ItemState => {
      const found = this.states[index];
      assert(found !== undefined, "an item has a state");
      return found;
    };
    const claim = (index: number): Task | null => state(index).claim(this.options, index);
    if (last !== null && state(last).item.kind === "stream") {
      const task = claim(last);
      if (task !== null) return task;
      state(last).helpers--;
    }
    for (const [index, { open, begun }] of this.states.entries()) {
      const task = open && !begun ? claim(index) : null;
      if (task !== null) return this.joined(task);
    }
    const shared = this.states
      .map((each, index) => ({ each, index }))
      .filter(({ each }) => each.open)
      .sort((a, b) => a.each.helpers - b.each.helpers);
    for (const { index } of shared) {
      const task = claim(index);
      if (task !== null) return this.joined(task);
    }
    return null;
  }

  private joined(task: Task): Task {
    const state = this.states[task.item];
    if (state !== undefined) state.helpers++;
    return task;
  }

  /** One worker from its first part to its last; false when it was stopped before. */
  private async work(first: Task): Promise<boolean> {
    if (this.shared !== null) return this.workNow(first, () => {});
    // One after another: opening a tokenizer takes far more memory than having one.
    const before = this.opening;
    let opened: () => void = () => {};
    this.opening = new Promise((resolve) => {
      opened = resolve;
    });
    await before;
    return this.workNow(first, opened).finally(opened);
  }

  private workNow(first: Task, opened: () => void): Promise<boolean> {
    const thread = new Worker(workerEntry("src/data/tokenize/tokenize_worker.ts"), surroundings());
    this.threads.push(thread);
    const send = (message: ToWorker): void => thread.postMessage(message);
    return new Promise((resolve, reject) => {
      let task: Task = first;
      const start = (next: Task): void => {
        task = next;
        send({ kind: "part", folder: next.folder, pieces: next.pieces });
      };
      thread.onerror = (event) => reject(new Error(`a worker failed: ${event.message}`));
      thread.onmessage = ({ data }: MessageEvent<FromWorker>) => {
        switch (data.kind) {
          case "ready":
            opened();
            return start(first);
          case "progress":
            return this.options.progress(data.bytes, data.tokens, data.documents);
          case "failed":
            // The others end at their next batch, and keep what they have.
            Atomics.store(this.stop, 0, 1);
            return reject(fromThread(data.error));
          case "done": {
            if (data.result === null) return resolve(false);
            this.states[task.item]?.note(task.index, task.folder, data.result);
            const stopped = Atomics.load(this.stop, 0) !== 0;
            const next = stopped ? null : this.next(task.item);
            if (next === null) return resolve(!stopped || !this.states.some(({ open }) => open));
            return start(next);
          }
        }
      };
      send({ kind: "setup", setup: this.options.setup, tokenizer: this.shared, stop: this.stop });
    });
  }
}
