/** @file A Hugging Face `config.json`, read strictly: every value that we use is checked, and a refusal names the key and the file. */
import { CheckpointError } from "../../util/errors.ts";

/** A JSON object. */
export type JsonObject = { readonly [key: string]: unknown };

/** Name of the file. */
export const CONFIG_JSON = "config.json";

export class ConfigJson {
  readonly values: JsonObject;
  /** Where it stands, for messages. */
  readonly path: string;

  constructor(values: JsonObject, path: string) {
    this.values = values;
    this.path = path;
  }

  /** Throws CheckpointError where the text is no JSON object. */
  static parse(text: string, path: string): ConfigJson {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw new CheckpointError("expected JSON", { place: { path } });
    }
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new CheckpointError("expected a JSON object", { place: { path } });
    return new ConfigJson(value as JsonObject, path);
  }

  fail(key: string, expected: string): never {
    const value = this.values[key];
    const got = value === undefined ? "nothing" : JSON.stringify(value);
    throw new CheckpointError(`${key}: expected ${expected}, got ${got}`, {
      place: { path: this.path, key },
    });
  }

  has(key: string): boolean {
    return this.values[key] !== undefined && this.values[key] !== null;
  }

  /** A whole number >= 1; without a fallback the key is required. Null counts as absent. */
  size(key: string, fallback?: number): number {
    if (!this.has(key)) return fallback ?? this.fail(key, "a whole number >= 1");
    const value = this.values[key];
    if (!Number.isSafeInteger(value) || Number(value) < 1) this.fail(key, "a whole number >= 1");
    return Number(value);
  }

  sizeOrNull(key: string): number | null {
    return this.has(key) ? this.size(key) : null;
  }

  /** A number > 0. */
  positive(key: string, fallback?: number): number {
    if (!this.has(key)) return fallback ?? this.fail(key, "a number > 0");
    const value = this.values[key];
    if (typeof value !== "number" || !Number.isFinite(value) || value <= 0)
      this.fail(key, "a number > 0");
    return Number(value);
  }

  flag(key: string, fallback: boolean): boolean {
    if (!this.has(key)) return fallback;
    const value = this.values[key];
    return typeof value === "boolean" ? value : this.fail(key, "true or false");
  }

  /** One of the keys of `table`, as what the table says. */
  choice<T>(key: string, fallback: string, table: Readonly<Record<string, T>>): T {
    const value = this.has(key) ? this.values[key] : fallback;
    const known = typeof value === "string" && Object.hasOwn(table, value);
    const found = known ? table[value] : undefined;
    return found ?? this.fail(key, `one of ${Object.keys(table).join(", ")}`);
  }

  /** What is not built here must be switched off. */
  refuse(key: string, allowed: unknown): void {
    if (this.has(key) && this.values[key] !== allowed)
      this.fail(key, `${JSON.stringify(allowed)} (nothing else is supported)`);
  }

  /** An object under a key. */
  object(key: string): ConfigJson {
    const value = this.values[key];
    if (typeof value !== "object" || value === null || Array.isArray(value))
      this.fail(key, "an object");
    return new ConfigJson(value as JsonObject, this.path);
  }
}
