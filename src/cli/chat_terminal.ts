/**
 * @file The lines of a chat: typed at a terminal, with history and editing, or read from a pipe. Ctrl-C means the answer where one is
 * being written, else the line, and on an empty line the end.
 */
import { createInterface, type Interface } from "node:readline";

export class ChatTerminal {
  private readonly lines: string[] = [];
  private readonly reader: Interface;
  private readonly interactive: boolean;
  private waiting: ((line: string | null) => void) | null = null;
  private answering: AbortController | null = null;
  private ended = false;

  constructor(prompt: string) {
    this.interactive = process.stdin.isTTY === true && process.stdout.isTTY === true;
    this.reader = createInterface({
      ...{ input: process.stdin, output: process.stdout, prompt },
      ...{ terminal: this.interactive, historySize: 1000 },
    });
    this.reader.on("line", (line) => this.take(line));
    this.reader.on("close", () => {
      this.ended = true;
      this.waiting?.(null);
    });
    // At a terminal the reader sees the key; from a pipe the process gets the signal.
    this.reader.on("SIGINT", () => this.interrupt());
    process.on("SIGINT", () => this.interrupt());
  }

  /** The next line; null: there is none. */
  next(): Promise<string | null> {
    const line = this.lines.shift();
    if (line !== undefined) return Promise.resolve(line);
    if (this.ended) return Promise.resolve(null);
    if (this.interactive) this.reader.prompt();
    return new Promise((resolve) => {
      this.waiting = resolve;
    });
  }

  /** Runs what writes an answer; Ctrl-C aborts its signal. */
  async during<T>(write: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.answering = new AbortController();
    try {
      return await write(this.answering.signal);
    } finally {
      this.answering = null;
    }
  }

  close(): void {
    this.reader.close();
    process.stdin.unref?.();
  }

  private take(line: string): void {
    const { waiting } = this;
    this.waiting = null;
    if (waiting === null) this.lines.push(line);
    else waiting(line);
  }

  private interrupt(): void {
    if (this.answering !== null) {
      this.answering.abort();
      return;
    }
    if (!this.interactive) process.exit(130);
    const isEmpty = this.reader.line === "";
    process.stdout.write("\n");
    if (isEmpty) {
      this.reader.close();
      return;
    }
    // Another prompt, with nothing typed.
    this.reader.write(null, { ctrl: true, name: "e" });
    this.reader.write(null, { ctrl: true, name: "u" });
    this.reader.prompt();
  }
}
