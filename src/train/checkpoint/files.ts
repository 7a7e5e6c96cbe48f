/**
 * @file The file operations of the commit protocol behind one interface, so that tests can fail the k-th write,
 * fsync or rename. Writes run on Bun's I/O threads: training goes on meanwhile.
 */
import { constants } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm, statfs } from "node:fs/promises";

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

async function create(path: string): Promise<OpenFile> {
  const handle = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o644);
  return {
    async write(bytes) {
      let done = 0;
      while (done < bytes.length) {
        const { bytesWritten } = await handle.write(bytes, done, bytes.length - done);
        if (bytesWritten === 0) throw new Error(`${path}: the system wrote nothing`);
        done += bytesWritten;
      }
    },
    sync: () => handle.sync(),
    close: () => handle.close(),
  };
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
