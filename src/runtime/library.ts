/**
 * @file Finds, opens and checks the native library, once per process. Places, in order: THESEUS_LIBRARY, the library
 * embedded in the executable, the build folder of the source tree.
 */
import { dlopen, type FFIType } from "bun:ffi";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ABI_HASH, ABI_VERSION } from "../program/abi.gen.ts";
import { DeviceError } from "../util/errors.ts";
import { SYMBOLS } from "./abi.gen.ts";
import { elfProblem } from "./elf.ts";
import { openEmbedded } from "./extract.ts";

type Symbols = typeof SYMBOLS;
/** Views are passed as they are: an address that JavaScript kept would go stale when the collector moves things. */
type Argument<T> = T extends FFIType.ptr ? NodeJS.TypedArray | null : number;
type Arguments<A extends readonly unknown[]> = { [I in keyof A]: Argument<A[I]> };

export interface Library {
  readonly path: string;
  /** Every function returns 0 or more, or a negative status: see `checked`. */
  readonly symbols: {
    readonly [N in keyof Symbols]: (...args: Arguments<Symbols[N]["args"]>) => number;
  };
}

let embeddedPath: string | undefined;
let opened: Library | undefined;

/** Called by the executable's entry before anything opens a device. */
export function setEmbeddedLibrary(path: string): void {
  embeddedPath = path;
}

const built = (): string => join(import.meta.dir, "../../zig-out/lib/libtheseus.so");

const messageOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";

function openAt(path: string): Library {
  const abi = dlopen(path, {
    theseus_abi_version: SYMBOLS.theseus_abi_version,
    theseus_abi_hash: SYMBOLS.theseus_abi_hash,
  }).symbols;
  const version = Number(abi.theseus_abi_version());
  const hash = Number(abi.theseus_abi_hash());
  if (version !== ABI_VERSION || hash !== ABI_HASH) {
    throw new DeviceError(
      `the native library ${path} has interface ${version}-${hash}, expected ${ABI_VERSION}-${ABI_HASH}`,
      { hint: "it was built from other sources: build it again with `zig build`" },
    );
  }
  // `i64_fast` results are numbers: handles, lengths and addresses all stay below 2^53.
  return { path, symbols: dlopen(path, SYMBOLS).symbols as unknown as Library["symbols"] };
}

function openFile(path: string): Library {
  if (!existsSync(path)) {
    throw new DeviceError(`no native library at ${path}`, {
      hint: "build it with `zig build`, or point THESEUS_LIBRARY at it",
    });
  }
  try {
    const problem = elfProblem(path);
    if (problem !== null) throw new Error(problem);
    return openAt(path);
  } catch (error) {
    if (error instanceof DeviceError) throw error;
    throw new DeviceError(`cannot open the native library ${path}: ${messageOf(error)}`, {
      hint: "build it again with `zig build`",
    });
  }
}

/** The library; throws DeviceError in one line when it is missing, damaged or of another version. */
export function openLibrary(): Library {
  if (opened !== undefined) return opened;
  const configured = process.env.THESEUS_LIBRARY;
  if (configured !== undefined && configured !== "") opened = openFile(configured);
  else if (embeddedPath !== undefined) opened = openEmbedded(embeddedPath, openAt);
  else opened = openFile(built());
  return opened;
}
