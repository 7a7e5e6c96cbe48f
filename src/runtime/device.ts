/** @file A device: threads, memory and one timeline of runs. Opening one is where an unusable machine is refused. */
import { CpuLevel } from "../program/abi.gen.ts";
import { DeviceError } from "../util/errors.ts";
import { useCachedAlgorithms } from "./algorithms.ts";
import { DeviceBuffer } from "./buffer.ts";
import { cudaLibraryFolders, driverIn } from "./cuda_libraries.ts";
import { type Library, openLibrary } from "./library.ts";
import { checked, readText } from "./native_error.ts";
import { LoadedProgram, type Ticket } from "./program.ts";

export type Level = Exclude<keyof typeof CpuLevel, "none">;
export const LEVELS: readonly Level[] = ["v3", "v4", "v4_bf16"];

export interface DeviceOptions {
  /** Default: THESEUS_THREADS, else one per physical core that this process may use. */
  readonly threads?: number;
  /** Default: THESEUS_CPU_LEVEL, else the best that the machine has. */
  readonly level?: Level;
  /** For tests: every buffer ends at an inaccessible page, so that a stray access faults. */
  readonly guarded?: boolean;
}

export interface GpuInfo {
  readonly ordinal: number;
  /** GPUs that this process sees. */
  readonly count: number;
  readonly name: string;
  /** Compute capability: 90 is 9.0. */
  readonly capability: number;
  /** What the driver serves: 13000 is CUDA 13.0. */
  readonly cuda_version: number;
  /** The stand-in of the tests. */
  readonly virtual: boolean;
  readonly total_bytes: number;
  /** Device memory that this device holds now, and how much of it is for itself. */
  readonly allocated_bytes: number;
  readonly own_bytes: number;
  /** Path of cuBLASLt, and its version: 130002 is 13.0.2. */
  readonly cublaslt: string;
  readonly cublaslt_version: number;
  /** Of the device's own memory: what cuBLASLt's algorithms work in. */
  readonly workspace_bytes: number;
  /** Products for which the fastest algorithm was searched since the device was opened. */
  readonly searches: number;
  /** Which kernels attention gets in programs that are loaded from now on: those of every GPU, or Hopper's own. */
  readonly attention: "mma" | "wgmma";
}

export interface DeviceInfo {
  readonly cpu: string;
  /** Null: the device is the CPU. */
  readonly gpu: GpuInfo | null;
  /** Level of the CPU, or architecture of the GPU. */
  readonly level: Level | `sm_${number}`;
  readonly threads: number;
  /** Free when the device was opened: what buffers and scratch together may take. */
  readonly memory_bytes: number;
  /** Exactly what `alloc` was asked for and has not been freed. */
  readonly buffer_bytes: number;
  readonly buffer_count: number;
  /** All threads together. */
  readonly scratch_bytes: number;
  readonly kernels: readonly string[];
}

/** What the library and the machine are, without opening a device (works on any CPU). */
export interface LibraryInfo {
  readonly path: string;
  readonly cpu: string;
  readonly cpu_level: Level | "none";
  readonly levels: readonly Level[];
  /** Of which NVIDIA GPUs it holds kernels; none where it was built without nvcc. */
  readonly cuda: readonly string[];
}

export function libraryInfo(): LibraryInfo {
  const library = openLibrary();
  const read = (text: Uint8Array, capacity: number) =>
    checked(library, library.symbols.theseus_manifest(text, capacity));
  const { cpu, cpu_level, levels, cuda } = JSON.parse(readText(read)) as LibraryInfo;
  return { path: library.path, cpu, cpu_level, levels, cuda };
}

/** Runs that were seen to have ended, on any device of this process: who watches for a standstill compares it. */
let endedRuns = 0;

export const workDone = (): number => endedRuns;

export class Device {
  private readonly library: Library;
  private readonly handle: number;
  private closed = false;

  constructor(library: Library, handle: number) {
    this.library = library;
    this.handle = handle;
  }

  get info(): DeviceInfo {
    const read = (text: Uint8Array, capacity: number) =>
      this.check(this.library.symbols.theseus_device_info(this.handle, text, capacity));
    return JSON.parse(readText(read)) as DeviceInfo;
  }

  /** The algorithms that a GPU's products got so far, a line each; see zig/cuda/products.zig. */
  get choices(): string {
    return readText((text, capacity) =>
      this.check(this.library.symbols.theseus_device_choices(this.handle, text, capacity)),
    );
  }

  /** Takes such lines of an earlier run; programs that are loaded later get those algorithms. */
  choose(choices: string): void {
    const text = Buffer.from(choices);
    if (text.length > 0)
      this.check(this.library.symbols.theseus_device_choose(this.handle, text, text.length));
  }

  /** Zeroed memory; throws DeviceError when the machine does not have it. */
  alloc(bytes: number): DeviceBuffer {
    const handle = this.check(this.library.symbols.theseus_buffer_alloc(this.handle, bytes));
    return new DeviceBuffer(this.library, handle, bytes);
  }

  /** Memory of the host, also where the device is a GPU: for copies that can be mapped, not for programs. */
  allocHost(bytes: number): DeviceBuffer {
    const handle = this.check(this.library.symbols.theseus_buffer_alloc_host(this.handle, bytes));
    return new DeviceBuffer(this.library, handle, bytes);
  }

  /** Memory of a GPU that the loaded program would take besides its buffers; 0 on a CPU. */
  measure(bytes: Uint8Array): number {
    return this.check(
      this.library.symbols.theseus_program_measure(this.handle, bytes, bytes.length),
    );
  }

  /** Validates a program and prepares it. Nothing is allocated after this. */
  load(bytes: Uint8Array): LoadedProgram {
    const handle = this.check(
      this.library.symbols.theseus_program_load(this.handle, bytes, bytes.length),
    );
    return new LoadedProgram(this.library, handle);
  }

  /** Whether a run has ended; throws when it or an earlier one failed. */
  poll(ticket: Ticket): boolean {
    const ended = this.check(this.library.symbols.theseus_poll(this.handle, ticket)) === 1;
    if (ended) endedRuns++;
    return ended;
  }

  async wait(ticket: Ticket): Promise<void> {
    while (!this.poll(ticket)) await Bun.sleep(1);
  }

  /** For decoding, where a millisecond counts: blocks the process, but lets others in once a millisecond. */
  async waitClosely(ticket: Ticket): Promise<void> {
    const { theseus_wait } = this.library.symbols;
    while (this.check(theseus_wait(this.handle, ticket, 1)) !== 1)
      await new Promise<void>((resolve) => setImmediate(resolve));
    endedRuns++;
  }

  /** Blocks the whole process; for scripts. */
  waitSync(ticket: Ticket): void {
    this.check(this.library.symbols.theseus_wait(this.handle, ticket, -1));
  }

  /** Waits for the runs in flight, then frees every buffer and program. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.check(this.library.symbols.theseus_close(this.handle));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  private check(result: number): number {
    return checked(this.library, result);
  }
}

function threadsFromEnvironment(): number {
  const text = process.env.THESEUS_THREADS;
  if (text === undefined || text === "") return 0;
  const threads = Number(text);
  if (Number.isInteger(threads) && threads >= 1) return threads;
  throw new DeviceError(`THESEUS_THREADS: expected an integer >= 1, got "${text}"`);
}

function levelFromEnvironment(): Level | undefined {
  const text = process.env.THESEUS_CPU_LEVEL;
  if (text === undefined || text === "") return undefined;
  const level = LEVELS.find((each) => each === text);
  if (level !== undefined) return level;
  throw new DeviceError(`THESEUS_CPU_LEVEL: expected one of ${LEVELS.join(", ")}, got "${text}"`);
}

/** Default driver: THESEUS_CUDA_DRIVER, else the system's. */
export interface GpuOptions {
  readonly driver?: string;
  /** Folders in which CUDA's libraries, and a driver, are looked for first. */
  readonly libraries?: readonly string[];
}

/** GPU `ordinal` of those that CUDA_VISIBLE_DEVICES leaves; throws when it or its driver is not fit. */
export function openGpu(ordinal: number, options: GpuOptions = {}): Device {
  const library = openLibrary();
  const { libraries = [] } = options;
  // An empty variable is none.
  const driver = options.driver ?? (process.env.THESEUS_CUDA_DRIVER || driverIn(libraries));
  const path = Buffer.from(driver);
  const folders = Buffer.from(cudaLibraryFolders(driver, libraries).join("\n"));
  const stepwise = process.env.THESEUS_CUDA_STEPWISE === "1" ? 1 : 0;
  const measures = process.env.THESEUS_CUDA_TUNE === "0" ? 0 : 1;
  const witnesses = process.env.THESEUS_CUDA_WITNESS === "0" ? 0 : 1;
  const handle = checked(
    library,
    library.symbols.theseus_open_gpu(
      ordinal,
      ...([path.length === 0 ? null : path, path.length] as const),
      ...([folders, folders.length] as const),
      stepwise,
      measures,
      witnesses,
    ),
  );
  const device = new Device(library, handle);
  try {
    if (process.env.THESEUS_CUDA_WGMMA === "1") device.choose("attention wgmma");
  } catch (error) {
    device.close();
    throw error;
  }
  useCachedAlgorithms(device);
  return device;
}

export function openDevice(options: DeviceOptions = {}): Device {
  const library = openLibrary();
  const threads = options.threads ?? threadsFromEnvironment();
  const level = options.level ?? levelFromEnvironment();
  const code = level === undefined ? 0 : CpuLevel[level];
  const guarded = options.guarded === true ? 1 : 0;
  const handle = checked(library, library.symbols.theseus_open(threads, code, guarded));
  return new Device(library, handle);
}
