/** @file Errors by who must act: a UserError is the user's to fix and is printed plainly; everything else is a bug. */

export type ErrorCode =
  | "config"
  | "data"
  | "device"
  | "checkpoint"
  | "not_found"
  | "remote"
  | "conflict"
  | "runtime"
  | "run_failed"
  | "interrupted";

export interface ErrorPlace {
  path?: string;
  line?: number;
  column?: number;
  key?: string;
}

/** A mistake of the user's or of the environment's: says what was expected, what came, where, and what to do. */
export class UserError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly place: ErrorPlace;

  constructor(
    message: string,
    options: { code?: ErrorCode; hint?: string; place?: ErrorPlace } = {},
  ) {
    super(message);
    this.name = new.target.name;
    this.code = options.code ?? "runtime";
    this.hint = options.hint;
    this.place = options.place ?? {};
  }
}

export class ConfigError extends UserError {
  constructor(message: string, options: { hint?: string; place?: ErrorPlace } = {}) {
    super(message, { ...options, code: "config" });
  }
}

export class DataError extends UserError {
  constructor(message: string, options: { hint?: string; place?: ErrorPlace } = {}) {
    super(message, { ...options, code: "data" });
  }
}

export class DeviceError extends UserError {
  constructor(message: string, options: { hint?: string; place?: ErrorPlace } = {}) {
    super(message, { ...options, code: "device" });
  }
}

export class CheckpointError extends UserError {
  constructor(message: string, options: { hint?: string; place?: ErrorPlace } = {}) {
    super(message, { ...options, code: "checkpoint" });
  }
}

/** A host, its ssh or its scheduler did not answer as it should: trying again later may help. */
export class RemoteError extends UserError {
  constructor(message: string, options: { hint?: string; place?: ErrorPlace } = {}) {
    super(message, { ...options, code: "remote" });
  }
}

/** Guards an invariant of ours; a failure is a bug and never the user's fault. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`internal: ${message}`);
}

/** What the system refused: a full disk, a missing right, a server that is away. */
export const isSystemError = (error: unknown): error is Error & { readonly code: string } =>
  error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === "string";
