/**
 * @file The content of a checkpoint's file as windows of bytes. A tensor file is either copied whole into one native buffer, laid out
 * as the file will be, and written from there while training goes on, or gathered from the live states while training waits.
 */
import type { DeviceBuffer } from "../../runtime/index.ts";
import { assert } from "../../util/errors.ts";
import { WINDOW_BYTES, WindowHash } from "../../util/window_hash.ts";
import { type SafetensorsDtype, safetensorsHeader } from "./safetensors.ts";

export interface FileImage {
  readonly bytes: number;
  /** Of the whole file, where it is known before the file is read. */
  readonly hash?: string;
  /** `length` bytes of the file from `offset` on; valid until the second call after this one. */
  window(offset: number, length: number): Uint8Array;
}

export const bytesImage = (content: Uint8Array): FileImage => ({
  bytes: content.length,
  window: (offset, length) => content.subarray(offset, offset + length),
});

export interface TensorPart {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly bytes: number;
}

export interface TensorLayout<T extends TensorPart = TensorPart> {
  readonly header: Uint8Array;
  readonly parts: readonly { readonly tensor: T; readonly offset: number }[];
  readonly bytes: number;
}

/** Where the tensors of a safetensors file lie: the header, then one after the other. */
export function tensorLayout<T extends TensorPart>(tensors: readonly T[]): TensorLayout<T> {
  const header = safetensorsHeader(tensors, { format: "pt" });
  let bytes = header.length;
  const parts = tensors.map((tensor) => {
    const offset = bytes;
    bytes += tensor.bytes;
    return { tensor, offset };
  });
  return { header, parts, bytes };
}

/** A tensor and the live buffer that holds it. */
export interface LiveTensor extends TensorPart {
  readonly buffer: DeviceBuffer;
}

/** Fills `target` with the file's bytes from `offset` on. The states are read where they lie: nothing may write them meanwhile. */
function gather(layout: TensorLayout<LiveTensor>, offset: number, target: Uint8Array): void {
  const { header, parts } = layout;
  const end = offset + target.length;
  if (offset < header.length) target.set(header.subarray(offset, end));
  for (const { tensor, offset: start } of parts) {
    const from = Math.max(offset, start);
    const to = Math.min(end, start + tensor.bytes);
    if (from < to) tensor.buffer.peek(target.subarray(from - offset, to - offset), from - start);
  }
}

/** Copied and hashed between two looks at what else waits: some milliseconds. */
const SLICE_BYTES = 16 * WINDOW_BYTES;

/** A file image in a buffer of its own: written by the system straight from there, without another copy. */
export class CopiedImage implements FileImage {
  readonly bytes: number;
  private readonly layout: TensorLayout<LiveTensor>;
  private readonly copy: DeviceBuffer;
  private captured: string | undefined;

  /** `copy` holds layout.bytes. */
  constructor(layout: TensorLayout<LiveTensor>, copy: DeviceBuffer) {
    this.layout = layout;
    this.copy = copy;
    this.bytes = layout.bytes;
  }

  get hash(): string {
    assert(this.captured !== undefined, "a copy is taken before it is written");
    return this.captured;
  }

  /** Copies the states and hashes them on the way; programs that only read the states may run meanwhile. */
  async capture(): Promise<void> {
    const hash = new WindowHash();
    for (let at = 0; at < this.bytes; at += WINDOW_BYTES) {
      const window = this.copy.map(at, Math.min(WINDOW_BYTES, this.bytes - at));
      gather(this.layout, at, window);
      hash.update(window);
      if (at % SLICE_BYTES === 0) await new Promise(setImmediate);
    }
    this.captured = hash.digest();
  }

  window(offset: number, length: number): Uint8Array {
    return this.copy.map(offset, length);
  }

  free(): void {
    this.copy.free();
  }
}

/** A file image that is gathered when it is read: for states that hold still meanwhile. */
export class LiveImage implements FileImage {
  readonly bytes: number;
  private readonly layout: TensorLayout<LiveTensor>;
  private readonly windows: [Uint8Array, Uint8Array] = [new Uint8Array(0), new Uint8Array(0)];

  constructor(layout: TensorLayout<LiveTensor>) {
    this.layout = layout;
    this.bytes = layout.bytes;
  }

  window(offset: number, length: number): Uint8Array {
    const [next, last] = this.windows;
    const window = next.length < length ? new Uint8Array(length) : next;
    this.windows[0] = last;
    this.windows[1] = window;
    const target = window.subarray(0, length);
    gather(this.layout, offset, target);
    return target;
  }
}
