/**
 * @file Puts the native library that the executable carries where the loader can open it: a versioned cache folder,
 * checked by hash at every start. Clusters mount /tmp noexec or full, so several places are tried, then memory.
 */
import { dlopen, ptr } from "bun:ffi";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DeviceError } from "../util/errors.ts";
import { cacheFolders } from "./library_cache.ts";

const hashOf = (bytes: Uint8Array): string =>
  new Bun.CryptoHasher("sha256").update(bytes).digest("hex");

/** `clean` keeps what was used lately. */
function touch(path: string): void {
  try {
    utimesSync(path, new Date(), new Date());
  } catch {
    // A cache that cannot be written to serves as well.
  }
}

/** Writes `bytes` under `folder` unless the same bytes are there; another process may do the same at the same time. */
function place(folder: string, hash: string, bytes: Uint8Array): string {
  const home = join(folder, `lib-${hash.slice(0, 16)}`);
  const path = join(home, "libtheseus.so");
  mkdirSync(home, { recursive: true, mode: 0o700 });
  // Whoever owns the folder could put another library there after the check.
  if (statSync(home).uid !== process.getuid?.()) throw new Error(`${home} is somebody else's`);
  if (existsSync(path) && hashOf(readFileSync(path)) === hash) {
    touch(path);
    return path;
  }
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, bytes, { mode: 0o600 });
    chmodSync(temporary, 0o700);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  return path;
}

/** An anonymous file in memory: needs no writable or executable folder at all. */
function placeInMemory(bytes: Uint8Array): string {
  const libc = dlopen("libc.so.6", {
    memfd_create: { args: ["ptr", "u32"], returns: "i32" },
  });
  const name = Buffer.from("libtheseus.so\0");
  const fd = libc.symbols.memfd_create(ptr(name), 0);
  if (fd < 0) throw new Error("memfd_create failed");
  const path = `/proc/self/fd/${fd}`;
  writeFileSync(path, bytes);
  return path;
}

/**
 * Opens the embedded library from the first place that works. `open` throws where a place does not
 * allow execution. Throws DeviceError with every reason when none works.
 */
export function openEmbedded<T>(embeddedPath: string, open: (path: string) => T): T {
  const bytes = readFileSync(embeddedPath);
  const hash = hashOf(bytes);
  const reasons: string[] = [];
  const attempts: [string, () => string][] = cacheFolders().map((folder) => [
    folder,
    () => place(folder, hash, bytes),
  ]);
  attempts.push(["memory", () => placeInMemory(bytes)]);
  for (const [where, make] of attempts) {
    try {
      return open(make());
    } catch (error) {
      // The library itself refuses (old CPU, wrong version): another place would not change that.
      if (error instanceof DeviceError) throw error;
      reasons.push(`${where}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new DeviceError(`the native library could not be opened anywhere (${reasons.join("; ")})`, {
    hint: "set THESEUS_CACHE to a folder that is writable and not mounted noexec",
  });
}
