/** @file Statuses of the native library become errors that say what, where in which program, and with which value. */
import { Status } from "../program/abi.gen.ts";
import { DeviceError } from "../util/errors.ts";
import type { Library } from "./library.ts";

export type StatusName = keyof typeof Status;

/** Where a program failed. `position` counts rows of the offending operand (elements of an id tensor). */
export interface FailurePlace {
  readonly program: string;
  readonly kernel: string;
  readonly scope: string;
  readonly instruction: number;
  readonly node: number;
  readonly position: number;
  readonly value: number;
}

export class NativeError extends DeviceError {
  readonly status: StatusName;
  readonly where: FailurePlace | undefined;

  constructor(status: StatusName, message: string, where?: FailurePlace) {
    super(message);
    this.status = status;
    this.where = where;
  }
}

/** A text from a function that returns the full length and writes what fits. */
export function readText(read: (text: Uint8Array, capacity: number) => number): string {
  let text = new Uint8Array(4096);
  let length = read(text, text.length);
  if (length > text.length) {
    text = new Uint8Array(length);
    length = read(text, text.length);
  }
  return new TextDecoder().decode(text.subarray(0, Math.max(0, length)));
}

const statusOf = (code: number): StatusName => {
  const found = Object.entries(Status).find(([, value]) => value === code);
  return (found?.[0] ?? "kernel_failed") as StatusName;
};

function errorOf(library: Library, code: number): NativeError {
  const json = readText((text, capacity) => library.symbols.theseus_last_error(text, capacity));
  const {
    message,
    code: _name,
    ...rest
  } = JSON.parse(json) as {
    message: string;
    code: string;
  } & Partial<FailurePlace>;
  if (rest.program === undefined) return new NativeError(statusOf(code), message);
  const where = rest as FailurePlace;
  const scope = where.scope === "" ? "" : ` ${where.scope}`;
  return new NativeError(
    statusOf(code),
    `[${where.kernel}] ${message} (program ${where.program}, node ${where.node}${scope})`,
    where,
  );
}

/** Passes results of 0 and more through; throws the library's last error for the others. */
export function checked(library: Library, result: number): number {
  if (result >= 0) return result;
  throw errorOf(library, -result);
}
