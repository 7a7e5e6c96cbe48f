/**
 * @file The folders into which executables unpack their native library, one subfolder a version. Other versions' may go when nobody
 * has started with them for a month; a process of this machine that has one open keeps it. Homes are shared between machines, so
 * that nothing younger can be known to be unused.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

function home(): string | undefined {
  try {
    return homedir();
  } catch {
    // An account without a home, and no HOME.
    return undefined;
  }
}

/** Where to unpack to, the first that works. */
export function cacheFolders(): string[] {
  const configured = process.env.THESEUS_CACHE;
  const xdg = process.env.XDG_CACHE_HOME;
  const own = home();
  const cache = own === undefined ? undefined : join(own, ".cache", "theseus");
  const folders = [
    configured,
    xdg === undefined || xdg === "" ? cache : join(xdg, "theseus"),
    join(tmpdir(), `theseus-${process.getuid?.() ?? 0}`),
  ];
  return folders.filter((folder) => folder !== undefined && folder !== "") as string[];
}

const UNUSED_MS = 30 * 86_400_000;
const VERSION_FOLDER = /^lib-[0-9a-f]{16}$/;

/** Libraries that processes of this machine have open, as far as we may look. */
function openLibraries(): ReadonlySet<string> {
  const open = new Set<string>();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      for (const line of readFileSync(`/proc/${pid}/maps`, "utf8").split("\n"))
        if (line.endsWith("/libtheseus.so")) open.add(line.slice(line.indexOf("/")));
    } catch {
      // Gone, or not ours.
    }
  }
  return open;
}

/** Folders of versions that nobody uses; each start touches its own. */
export function unusedLibraries(now = Date.now()): string[] {
  const open = openLibraries();
  const out: string[] = [];
  for (const folder of new Set(cacheFolders())) {
    if (!existsSync(folder)) continue;
    for (const name of readdirSync(folder).filter((each) => VERSION_FOLDER.test(each))) {
      const path = join(folder, name);
      const library = join(path, "libtheseus.so");
      const used = statSync(existsSync(library) ? library : path).mtimeMs;
      if (!open.has(library) && now - used > UNUSED_MS) out.push(path);
    }
  }
  return out;
}
