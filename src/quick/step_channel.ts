/** @file Hands values from a producer to a consumer one at a time: the producer goes on when the consumer asks for the next. */

export class StepChannel<T extends object> {
  private offered: { readonly value: T; taken: boolean; readonly goOn: () => void } | undefined;
  private waiting: ((value: T | undefined) => void) | undefined;
  private closed = false;

  /** Whether the producer waits while the consumer works on its value. */
  get paused(): boolean {
    return this.offered?.taken === true;
  }

  /** Ends when the consumer asks for the next value, or when the channel closes. */
  put(value: T): Promise<void> {
    if (this.closed) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = this.waiting;
    this.waiting = undefined;
    this.offered = { value, taken: waiting !== undefined, goOn: resolve };
    waiting?.(value);
    return promise;
  }

  /** The next value; undefined when the channel is closed. */
  take(): Promise<T | undefined> {
    if (this.offered?.taken === true) {
      this.offered.goOn();
      this.offered = undefined;
    }
    if (this.offered !== undefined) {
      this.offered.taken = true;
      return Promise.resolve(this.offered.value);
    }
    if (this.closed) return Promise.resolve(undefined);
    const { promise, resolve } = Promise.withResolvers<T | undefined>();
    this.waiting = resolve;
    return promise;
  }

  /** Lets both sides go; a value that was offered and not taken is dropped. */
  close(): void {
    this.closed = true;
    this.offered?.goOn();
    this.offered = undefined;
    this.waiting?.(undefined);
    this.waiting = undefined;
  }
}
