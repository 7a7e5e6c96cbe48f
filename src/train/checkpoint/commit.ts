/**
 * @file Writes one checkpoint so that a crash at any moment leaves either the old state or the new one:
 * temporary folder, full writes, fsync, manifest last, rename, and only then `latest`.
 */
import { CheckpointError } from "../../util/errors.ts";
import { WindowHash } from "../../util/window_hash.ts";
import { type Files, type OpenFile, replaceText } from "./files.ts";
import { bytesImage, type FileImage } from "./image.ts";
import { FORMAT_VERSION, type Manifest, type ManifestFile, manifestText } from "./manifest.ts";

export interface CheckpointContents {
  /** By name: model.safetensors, config.yaml, tokenizer.json ... The manifest is written last and is none of them. */
  readonly files: Readonly<Record<string, FileImage>>;
  readonly manifest: Omit<Manifest, "format_version" | "files">;
}

export const stepFolder = (step: number): string => `step-${String(step).padStart(6, "0")}`;

/** Bytes that a checkpoint of these contents takes, without the manifest. */
export const contentBytes = (contents: Pick<CheckpointContents, "files">): number =>
  Object.values(contents.files).reduce((sum, image) => sum + image.bytes, 0);

/** Large enough for the disk's full speed. */
export const WRITE_BYTES = 2 ** 24;

/** While a window is being written the next one is read and, unless the image knows its hash, hashed. */
async function writeWindows(file: OpenFile, image: FileImage): Promise<string> {
  const hash = new WindowHash();
  let writing: Promise<void> = Promise.resolve();
  try {
    for (let at = 0; at < image.bytes; at += WRITE_BYTES) {
      const window = image.window(at, Math.min(WRITE_BYTES, image.bytes - at));
      if (image.hash === undefined) hash.update(window);
      await writing;
      writing = file.write(window);
      // It is awaited, but later: until then its failure is nobody's fault.
      writing.catch(() => undefined);
    }
    await writing;
    await file.sync();
  } finally {
    await writing.catch(() => undefined);
  }
  return image.hash ?? hash.digest();
}

async function writeFile(
  files: Files,
  folder: string,
  name: string,
  image: FileImage,
): Promise<ManifestFile> {
  const file = await files.create(`${folder}/${name}`);
  try {
    return { name, bytes: image.bytes, hash: await writeWindows(file, image) };
  } finally {
    await file.close();
  }
}

async function fill(files: Files, folder: string, contents: CheckpointContents): Promise<void> {
  const written: ManifestFile[] = [];
  for (const [name, image] of Object.entries(contents.files))
    written.push(await writeFile(files, folder, name, image));
  const manifest: Manifest = {
    format_version: FORMAT_VERSION,
    ...contents.manifest,
    files: written,
  };
  const text = bytesImage(new TextEncoder().encode(manifestText(manifest)));
  await writeFile(files, folder, "manifest.json", text);
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
