/**
 * @file Writes one checkpoint so that a crash at any moment leaves either the old state or the new one:
 * temporary folder, full writes, fsync, manifest last, rename, and only then `latest`.
 */
import { CheckpointError } from "../../util/errors.ts";
import { type Files, type OpenFile, replaceText } from "./files.ts";
import { WINDOW_BYTES, WindowHash } from "./hash.ts";
import { FORMAT_VERSION, type Manifest, type ManifestFile, manifestText } from "./manifest.ts";
import { type SafetensorsDtype, safetensorsHeader } from "./safetensors.ts";

/** A tensor whose bytes are copied out window by window while training goes on (from a snapshot, not live). */
export interface TensorSource {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly bytes: number;
  read(offset: number, target: Uint8Array): void;
}

export interface CheckpointContents {
  /** File name without `.safetensors` to its tensors: `model`, `optimizer`. */
  readonly tensors: Readonly<Record<string, readonly TensorSource[]>>;
  /** Small files by name: config.yaml, tokenizer.json ... */
  readonly texts: Readonly<Record<string, string>>;
  readonly manifest: Omit<Manifest, "format_version" | "files">;
}

export const stepFolder = (step: number): string => `step-${String(step).padStart(6, "0")}`;

/** Bytes that a checkpoint of these contents takes, without the small files. */
export const contentBytes = (contents: Pick<CheckpointContents, "tensors">): number =>
  Object.values(contents.tensors)
    .flat()
    .reduce((sum, tensor) => sum + tensor.bytes, 0);

/** Collects a file's bytes in windows: while one is being written the next one is filled and hashed. */
class HashedFile {
  private readonly hash = new WindowHash();
  private readonly file: OpenFile;
  private window = new Uint8Array(WINDOW_BYTES);
  private spare: Uint8Array<ArrayBuffer> | undefined;
  private filled = 0;
  private bytes = 0;
  private writing: Promise<void> = Promise.resolve();

  constructor(file: OpenFile) {
    this.file = file;
  }

  /** Appends `bytes` bytes; `read` puts those from `offset` on into `target`. */
  async append(bytes: number, read: (offset: number, target: Uint8Array) => void): Promise<void> {
    for (let at = 0; at < bytes; ) {
      const take = Math.min(WINDOW_BYTES - this.filled, bytes - at);
      read(at, this.window.subarray(this.filled, this.filled + take));
      this.filled += take;
      at += take;
      if (this.filled === WINDOW_BYTES) await this.flush();
    }
  }

  write(data: Uint8Array): Promise<void> {
    return this.append(data.length, (offset, target) =>
      target.set(data.subarray(offset, offset + target.length)),
    );
  }

  async finish(name: string): Promise<ManifestFile> {
    await this.flush();
    await this.writing;
    await this.file.sync();
    return { name, bytes: this.bytes, hash: this.hash.digest() };
  }

  /** Waits for a write in flight, whatever comes of it. */
  async settle(): Promise<void> {
    await this.writing.catch(() => undefined);
  }

  private async flush(): Promise<void> {
    if (this.filled === 0) return;
    const full = this.window.subarray(0, this.filled);
    this.hash.update(full);
    await this.writing;
    this.bytes += full.length;
    this.writing = this.file.write(full);
    // It is awaited, but later: until then its failure is nobody's fault.
    this.writing.catch(() => undefined);
    [this.window, this.spare] = [this.spare ?? new Uint8Array(WINDOW_BYTES), this.window];
    this.filled = 0;
  }
}

async function writeFile(
  files: Files,
  path: string,
  name: string,
  body: (out: HashedFile) => Promise<void>,
): Promise<ManifestFile> {
  const file = await files.create(`${path}/${name}`);
  const out = new HashedFile(file);
  try {
    await body(out);
    return await out.finish(name);
  } finally {
    await out.settle();
    await file.close();
  }
}

async function writeTensors(out: HashedFile, tensors: readonly TensorSource[]): Promise<void> {
  await out.write(safetensorsHeader(tensors, { format: "pt" }));
  for (const tensor of tensors)
    await out.append(tensor.bytes, (offset, target) => tensor.read(offset, target));
}

async function fill(files: Files, folder: string, contents: CheckpointContents): Promise<void> {
  const written: ManifestFile[] = [];
  for (const [name, tensors] of Object.entries(contents.tensors))
    written.push(
      await writeFile(files, folder, `${name}.safetensors`, (out) => writeTensors(out, tensors)),
    );
  for (const [name, text] of Object.entries(contents.texts))
    written.push(
      await writeFile(files, folder, name, (out) => out.write(new TextEncoder().encode(text))),
    );
  const manifest: Manifest = {
    format_version: FORMAT_VERSION,
    ...contents.manifest,
    files: written,
  };
  await writeFile(files, folder, "manifest.json", (out) =>
    out.write(new TextEncoder().encode(manifestText(manifest))),
  );
  await files.syncFolder(folder);
}

/**
 * Writes `checkpoints/step-N` under `root` (the checkpoints folder, which exists). Returns the folder's name.
 * On failure nothing of it is left but what a later start removes; the error is CheckpointError.
 */
export async function commitCheckpoint(
  files: Files,
  root: string,
  contents: CheckpointContents,
): Promise<string> {
  const name = stepFolder(contents.manifest.step);
  const temporary = `${root}/${name}.tmp-${crypto.randomUUID()}`;
  try {
    const need = contentBytes(contents);
    const free = await files.freeBytes(root);
    if (need > free)
      throw new CheckpointError(`a checkpoint takes ${need} bytes, ${root} has ${free} free`, {
        hint: "free some space or lower checkpoint.keep; training goes on and tries again",
      });
    await files.makeFolder(temporary);
    await fill(files, temporary, contents);
    await files.rename(temporary, `${root}/${name}`);
    await files.syncFolder(root);
    await replaceText(files, root, "latest", `${name}\n`);
    return name;
  } catch (error) {
    await files.remove(temporary).catch(() => undefined);
    if (error instanceof CheckpointError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(`could not write ${root}/${name}: ${why}`);
  }
}
