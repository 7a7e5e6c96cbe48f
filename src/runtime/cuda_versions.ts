/** @file Versions of CUDA's libraries, asked of the libraries themselves; none of it needs a GPU. */
import { dlopen, FFIType } from "bun:ffi";

/** 130002 is 13.0.2: both libraries count so. */
export const versionText = (number: number): string =>
  [Math.floor(number / 10_000), Math.floor(number / 100) % 100, number % 100].join(".");

function asked(open: () => number): string | null {
  try {
    return versionText(open());
  } catch {
    // It does not open, for whatever reason: then it has no version for us.
    return null;
  }
}

/** Null: the file does not open as cuBLASLt. */
export const cublasLtVersion = (path: string): string | null =>
  asked(() => {
    const library = dlopen(path, { cublasLtGetVersion: { returns: FFIType.u64_fast } });
    return Number(library.symbols.cublasLtGetVersion());
  });

/** Null: the file does not open as NCCL. */
export const ncclVersion = (path: string): string | null =>
  asked(() => {
    const library = dlopen(path, {
      ncclGetVersion: { args: [FFIType.ptr], returns: FFIType.i32 },
    });
    const version = new Int32Array(1);
    library.symbols.ncclGetVersion(version);
    return version[0] ?? 0;
  });
