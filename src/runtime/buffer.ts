/** @file A native buffer. The host copies in and out, maps windows of it, and moves it to and from files natively. */
import { type Pointer, toArrayBuffer } from "bun:ffi";
import { assert } from "../util/errors.ts";
import type { Library } from "./library.ts";
import { checked } from "./native_error.ts";

/** JavaScriptCore refuses array buffers much larger than this. */
const WINDOW_BYTES_MAX = 2 ** 30;

const bytesOf = (view: ArrayBufferView): Uint8Array =>
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

export class DeviceBuffer {
  readonly bytes: number;
  readonly handle: number;
  private readonly library: Library;

  /** Made by `Device.alloc`. */
  constructor(library: Library, handle: number, bytes: number) {
    this.library = library;
    this.handle = handle;
    this.bytes = bytes;
  }

  /** Copies all of `view` to `offset`. */
  write(view: ArrayBufferView, offset = 0): void {
    const source = bytesOf(view);
    this.check(
      this.library.symbols.theseus_buffer_write(this.handle, offset, source, source.length),
    );
  }

  /** Fills all of `view` from `offset` on. */
  read(view: ArrayBufferView, offset = 0): void {
    const target = bytesOf(view);
    this.check(
      this.library.symbols.theseus_buffer_read(this.handle, offset, target, target.length),
    );
  }

  /** As `read`, but also while runs use the buffer; they must only read it. */
  peek(view: ArrayBufferView, offset = 0): void {
    const target = bytesOf(view);
    this.check(
      this.library.symbols.theseus_buffer_peek(this.handle, offset, target, target.length),
    );
  }

  fill(byte: number, offset = 0, bytes = this.bytes - offset): void {
    this.check(this.library.symbols.theseus_buffer_fill(this.handle, offset, bytes, byte));
  }

  copyFrom(source: DeviceBuffer, sourceOffset: number, offset: number, bytes: number): void {
    this.check(
      this.library.symbols.theseus_buffer_copy(
        this.handle,
        offset,
        source.handle,
        sourceOffset,
        bytes,
      ),
    );
  }

  /** The memory itself, at most 1 GiB at a time. It must not be used after `free`. */
  map(offset = 0, bytes = this.bytes - offset): Uint8Array {
    assert(offset >= 0 && bytes >= 0 && offset + bytes <= this.bytes, "window inside the buffer");
    assert(bytes <= WINDOW_BYTES_MAX, "a window of at most 1 GiB");
    if (bytes === 0) return new Uint8Array(0);
    const address = checked(this.library, this.library.symbols.theseus_buffer_map(this.handle));
    return new Uint8Array(toArrayBuffer(address as Pointer, offset, bytes));
  }

  saveTo(path: string, fileOffset = 0, offset = 0, bytes = this.bytes - offset): void {
    const name = Buffer.from(path);
    const { handle } = this;
    this.check(
      this.library.symbols.theseus_buffer_save(
        handle,
        offset,
        bytes,
        name,
        name.length,
        fileOffset,
      ),
    );
  }

  loadFrom(path: string, fileOffset = 0, offset = 0, bytes = this.bytes - offset): void {
    const name = Buffer.from(path);
    const { handle } = this;
    this.check(
      this.library.symbols.theseus_buffer_load(
        handle,
        offset,
        bytes,
        name,
        name.length,
        fileOffset,
      ),
    );
  }

  free(): void {
    this.check(this.library.symbols.theseus_buffer_free(this.handle));
  }

  private check(result: number): void {
    checked(this.library, result);
  }
}
