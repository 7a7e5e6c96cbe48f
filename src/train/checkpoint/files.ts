/**
 * @file The file operations of the commit protocol behind one interface, so that tests can fail the k-th write,
 * fsync or rename. Writes run on Bun's I/O threads: training goes on meanwhile.
 */
import { constants } from "node:fs";
import {
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  statfs,
} from "node:fs/promises";

export interface OpenFile {
  /** Writes all of `bytes`, also where the system writes less at a time. */
  write(bytes: Uint8Array): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface Files {
  /** Fails when the folder exists. */
  makeFolder(path: string): Promise<void>;
  /** Creates a file for writing; fails when it exists. */
  create(path: string): Promise<OpenFile>;
  rename(from: string, to: string): Promise<void>;
  /** Makes the folder's entries durable. */
  syncFolder(path: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Names in a folder; empty when it does not exist. */
  list(path: string): Promise<string[]>;
  readText(path: string): Promise<string>;
  freeBytes(path: string): Promise<number>;
}

/** Direct writes need whole blocks, in the file as in memory. */
const BLOCK_BYTES = 4096;

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const left = bytes.length - done;
    const { bytesWritten } = await file.write(bytes, done, left, position + done);
    if (bytesWritten === 0) throw new Error("the system wrote nothing");
    done += bytesWritten;
  }
}

/**
 * A file that is written once from start to end. Large blocks bypass the page cache where the system allows it: that is several
 * times faster, takes next to no processor time from the training, and leaves its memory alone.
 */
class WrittenFile implements OpenFile {
  private readonly plain: FileHandle;
  private direct: FileHandle | undefined;
  private position = 0;

  constructor(plain: FileHandle, direct: FileHandle | undefined) {
    this.plain = plain;
    this.direct = direct;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const blocks = await this.writeBlocks(bytes);
    await writeAll(this.plain, bytes.subarray(blocks), this.position);
    this.position += bytes.length - blocks;
  }

  sync(): Promise<void> {
    return this.plain.sync();
  }

  async close(): Promise<void> {
    await this.direct?.close();
    await this.plain.close();
  }

  /** Writes what can go directly and returns its length; from the first refusal on nothing does. */
  private async writeBlocks(bytes: Uint8Array): Promise<number> {
    const length = Math.floor(bytes.length / BLOCK_BYTES) * BLOCK_BYTES;
    if (this.direct === undefined || length === 0 || this.position % BLOCK_BYTES !== 0) return 0;
    try {
      await writeAll(this.direct, bytes.subarray(0, length), this.position);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EINVAL") throw error;
      await this.direct.close();
      this.direct = undefined;
      return 0;
    }
    this.position += length;
    return length;
  }
}

async function create(path: string): Promise<OpenFile> {
  const { O_WRONLY, O_CREAT, O_EXCL, O_DIRECT } = constants;
  const plain = await open(path, O_WRONLY | O_CREAT | O_EXCL, 0o644);
  const direct = await open(path, O_WRONLY | O_DIRECT).catch(() => undefined);
  return new WrittenFile(plain, direct);
}

export const realFiles: Files = {
  makeFolder: async (path) => {
    await mkdir(path);
  },
  create,
  rename,
  async syncFolder(path) {
    const handle = await open(path, constants.O_RDONLY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  remove: (path) => rm(path, { recursive: true, force: true }),
  list: async (path) => {
    try {
      return await readdir(path);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
      throw error;
    }
  },
  readText: (path) => readFile(path, "utf8"),
  async freeBytes(path) {
    const stats = await statfs(path);
    return stats.bavail * stats.bsize;
  },
};

/** Replaces a small file so that a reader sees the old or the new text, never a part. */
export async function replaceText(
  files: Files,
  folder: string,
  name: string,
  text: string,
): Promise<void> {
  const temporary = `${folder}/.${name}.tmp-${crypto.randomUUID()}`;
  try {
    const file = await files.create(temporary);
    try {
      await file.write(new TextEncoder().encode(text));
      await file.sync();
    } finally {
      await file.close();
    }
    await files.rename(temporary, `${folder}/${name}`);
  } catch (error) {
    await files.remove(temporary);
    throw error;
  }
  await files.syncFolder(folder);
}
