/** @file A program that the library has validated and holds ready. */
import type { BufferKind } from "../program/program.ts";
import type { DeviceBuffer } from "./buffer.ts";
import type { Library } from "./library.ts";
import { checked, readText } from "./native_error.ts";

/** A ticket: the run's position on the device's timeline. */
export type Ticket = number;
export type Slot = 0 | 1;

export interface ProgramInfo {
  readonly name: string;
  readonly instructions: number;
  readonly operands: number;
  /** Elements of the largest operand. */
  readonly elements_max: number;
  readonly scratch_bytes_per_thread: number;
  /** Memory of the program itself. */
  readonly host_bytes: number;
  readonly runs: number;
  readonly buffers: readonly { kind: BufferKind; name: string; bytes: number }[];
}

export class LoadedProgram {
  readonly handle: number;
  private readonly library: Library;

  /** Made by `Device.load`. */
  constructor(library: Library, handle: number) {
    this.library = library;
    this.handle = handle;
  }

  info(): ProgramInfo {
    const { library, handle } = this;
    const read = (text: Uint8Array, capacity: number) =>
      checked(library, library.symbols.theseus_program_info(handle, text, capacity));
    return JSON.parse(readText(read)) as ProgramInfo;
  }

  /** Fixes where buffer `bufferIndex` of the program lies, for the runs of one slot or of both. */
  bind(bufferIndex: number, slot: Slot | "both", buffer: DeviceBuffer): void {
    const code = slot === "both" ? 2 : slot;
    this.check(
      this.library.symbols.theseus_program_bind(this.handle, bufferIndex, code, buffer.handle),
    );
  }

  /** Puts a run on the timeline and returns at once. */
  run(slot: Slot): Ticket {
    return this.check(this.library.symbols.theseus_program_run(this.handle, slot));
  }

  /** Switches the clock per instruction; the times start from zero. */
  setProfiling(enabled: boolean): void {
    this.check(this.library.symbols.theseus_program_profile_enable(this.handle, enabled ? 1 : 0));
  }

  /** Nanoseconds per instruction since profiling was switched on. */
  profile(): Float64Array {
    const count = this.check(this.library.symbols.theseus_program_profile(this.handle, null, 0));
    const times = new Float64Array(count);
    this.check(this.library.symbols.theseus_program_profile(this.handle, times, count));
    return times;
  }

  free(): void {
    this.check(this.library.symbols.theseus_program_free(this.handle));
  }

  private check(result: number): number {
    return checked(this.library, result);
  }
}
