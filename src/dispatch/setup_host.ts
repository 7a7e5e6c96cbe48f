/** @file Copies what a host lacks and may be copied: theseus itself, and CUDA's libraries where this machine has them. */
import { realpathSync } from "node:fs";
import { basename } from "node:path";
import { expectRun, type Host } from "./host.ts";
import { absolute, probeHost } from "./probe.ts";
import { quote } from "./quote.ts";
import { rememberedHash, upload } from "./upload.ts";

export interface Copied {
  readonly what: string;
  readonly target: string;
  /** 0: it was there. */
  readonly bytes: number;
}

const LIBRARIES = ["libcublasLt.so", "libnccl.so"];

/** Libraries by the name that programs ask for, as the linker of this machine finds them. */
async function localLibraries(): Promise<Map<string, string>> {
  const out = new Map<string, string>();
  const listed = Bun.spawnSync(["/sbin/ldconfig", "-p"], { stderr: "ignore" }).stdout.toString();
  for (const [, name = "", path = ""] of listed.matchAll(
    /^\s*(\S+) \([^)]*x86-64[^)]*\) => (\S+)$/gm,
  ))
    if (LIBRARIES.some((library) => name.startsWith(`${library}.`)) && !out.has(name))
      out.set(name, realpathSync(path));
  return out;
}

/** Jobs find the libraries in `WORK/lib`, where each name is a link to a file that is named by its content. */
export async function setupHost(host: Host, binary: string): Promise<Copied[]> {
  const probe = await probeHost(host);
  const work = absolute(host.entry.cluster.work, probe);
  const out: Copied[] = [];
  const send = async (
    what: string,
    local: string,
    target: string,
    hash: string,
    executable: boolean,
  ) => {
    const bytes = await upload(host, { local, hash, target, executable, what });
    out.push({ what, target, bytes });
  };
  const hash = await rememberedHash(binary);
  await send("theseus", binary, `${work}/bin/theseus-${hash.slice(0, 16)}`, hash, true);
  const { stdout } = await expectRun(
    host,
    "{ ldconfig -p || /sbin/ldconfig -p; } 2>/dev/null; :",
    "list its libraries",
  );
  for (const [name, path] of await localLibraries()) {
    if (stdout.includes(`${name} `)) continue;
    const content = await rememberedHash(path);
    const target = `${work}/lib/by-content/${content.slice(0, 16)}-${basename(path)}`;
    await send(name, path, target, content, false);
    await expectRun(
      host,
      `ln -sfn ${quote(target)} ${quote(`${work}/lib/${name}`)}`,
      "link the library",
    );
  }
  return out;
}
