/** @file Errors between threads: classes do not cross, so a UserError travels as plain data and is one again on the other side. */
import { type ErrorCode, type ErrorPlace, UserError } from "./errors.ts";

export interface ThreadError {
  readonly message: string;
  /** Null: a bug. */
  readonly code: ErrorCode | null;
  readonly hint: string | null;
  readonly place: ErrorPlace;
}

/** What the machine refuses is no fault of the program's. */
const SYSTEM = ["ENOSPC", "EDQUOT", "EACCES", "EPERM", "EROFS", "EIO", "ESTALE", "EMFILE"];

export function toThread(error: unknown): ThreadError {
  if (error instanceof UserError) {
    const { message, code, hint = null, place } = error;
    return { message, code, hint, place };
  }
  if (error instanceof Error && "code" in error && SYSTEM.includes(String(error.code))) {
    const hint = "when that is put right, the same command goes on";
    return { message: error.message, code: "runtime", hint, place: {} };
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { message, code: null, hint: null, place: {} };
}

export function fromThread({ message, code, hint, place }: ThreadError): Error {
  if (code === null) return new Error(message);
  return new UserError(message, { code, place, ...(hint === null ? {} : { hint }) });
}
