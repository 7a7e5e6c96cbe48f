/**
 * @file The manifest of a checkpoint: what the folder must hold, byte for byte, and where the run stood. Its last line is a hash of
 * all lines before, so that damage to the manifest itself is found as well.
 */
import { CheckpointError } from "../../util/errors.ts";

/** 1 had no hash of its own. */
export const FORMAT_VERSION = 2;

export interface ManifestFile {
  readonly name: string;
  readonly bytes: number;
  readonly hash: string;
}

export interface Manifest {
  readonly format_version: number;
  readonly program_version: string;
  readonly step: number;
  readonly tokens: number;
  /** Identity of the run: a checkpoint of another run in this folder is never resumed silently. */
  readonly run_id: string;
  /** Kept for good by retention. */
  readonly permanent: boolean;
  /** Where the run stood: data position, counters, elapsed time; JSON that the trainer owns. */
  readonly state: Readonly<Record<string, unknown>>;
  readonly config_hash: string;
  /** Step of the checkpoint that this attempt started from. */
  readonly parent: number | null;
  readonly files: readonly ManifestFile[];
}

const textHash = (text: string): string => Bun.hash.xxHash3(text).toString(16).padStart(16, "0");

export function manifestText(manifest: Manifest): string {
  const text = JSON.stringify(manifest, null, 2).slice(0, -"\n}".length);
  return `${text},\n  "hash": "xxh3:${textHash(text)}"\n}\n`;
}

const HASH_LINE = /,\n {2}"hash": "xxh3:([0-9a-f]{16})"\n\}\n$/;

function isWhole(text: string): boolean {
  const found = HASH_LINE.exec(text);
  return found !== null && textHash(text.slice(0, found.index)) === found[1];
}

const isFile = (file: unknown): file is ManifestFile => {
  if (typeof file !== "object" || file === null) return false;
  const { name, bytes, hash } = file as Record<string, unknown>;
  const plain = typeof name === "string" && /^[\w.-]+$/.test(name) && !name.startsWith(".");
  return plain && Number.isSafeInteger(bytes) && typeof hash === "string";
};

/** Parses a manifest; throws CheckpointError when it is damaged or from a newer program. */
export function parseManifest(text: string, path: string): Manifest {
  const fail = (why: string, hint?: string): never => {
    throw new CheckpointError(
      why,
      hint === undefined ? { place: { path } } : { hint, place: { path } },
    );
  };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return fail("the manifest is not JSON");
  }
  const manifest = value as Manifest;
  if (typeof value !== "object" || value === null) return fail("the manifest expected an object");
  if (!Number.isSafeInteger(manifest.format_version)) return fail("format_version is missing");
  if (manifest.format_version > FORMAT_VERSION)
    return fail(
      `format ${manifest.format_version} is newer than this program reads (${FORMAT_VERSION})`,
      `it was written by theseus ${manifest.program_version}`,
    );
  if (manifest.format_version < 1) return fail(`there is no format ${manifest.format_version}`);
  if (manifest.format_version > 1 && !isWhole(text))
    return fail("damaged: the manifest does not have the hash that it names");
  const numbers = Number.isSafeInteger(manifest.step) && Number.isSafeInteger(manifest.tokens);
  if (!numbers || typeof manifest.run_id !== "string")
    return fail("step, tokens or run_id is missing");
  if (!Array.isArray(manifest.files) || !manifest.files.every(isFile))
    return fail("files expected entries of name, bytes and hash");
  return manifest;
}
