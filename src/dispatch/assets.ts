/**
 * @file What a run reads from files: looked for under the cluster's root by the fingerprint of its content, and copied there on request.
 * A path in the configuration is replaced by the host's.
 */
import { lstatSync, readdirSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { UserError } from "../util/errors.ts";
import { expectRun, type Host } from "./host.ts";
import { quote } from "./quote.ts";
import { type Progress, rememberedHash, upload } from "./upload.ts";

export interface AssetFile {
  /** Below the asset; empty: the asset is this file. */
  readonly path: string;
  readonly bytes: number;
  readonly hash: string;
}

export interface Asset {
  /** The setting that names it. */
  readonly key: string;
  /** As it stands in the configuration. */
  readonly value: string;
  readonly local: string;
  readonly bytes: number;
  readonly files: readonly AssetFile[];
  readonly fingerprint: string;
}

function filesBelow(folder: string, below = ""): string[] {
  const out: string[] = [];
  for (const name of readdirSync(join(folder, below)).sort()) {
    const path = below === "" ? name : `${below}/${name}`;
    const stat = statSync(join(folder, path));
    if (stat.isDirectory()) out.push(...filesBelow(folder, path));
    else if (stat.isFile() && !lstatSync(join(folder, path)).isSocket()) out.push(path);
  }
  return out;
}

/** Null where there is no such file or folder here. */
export async function assetOf(key: string, value: string): Promise<Asset | null> {
  const local = resolve(value);
  const stat = statSync(local, { throwIfNoEntry: false });
  if (stat === undefined) return null;
  const paths = stat.isDirectory() ? filesBelow(local) : [""];
  const files: AssetFile[] = [];
  for (const path of paths) {
    const full = path === "" ? local : join(local, path);
    files.push({ path, bytes: statSync(full).size, hash: await rememberedHash(full) });
  }
  const hasher = new Bun.CryptoHasher("sha256");
  for (const { path, hash } of files) hasher.update(`${path}\0${hash}\n`);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return { key, value, local, bytes, files, fingerprint: hasher.digest("hex").slice(0, 16) };
}

export const assetTarget = (root: string, { fingerprint, local }: Asset): string =>
  `${root}/data/by-content/${fingerprint}/${basename(local).replaceAll(/[^\w.@+-]/g, "_")}`;

const done = (root: string, asset: Asset): string =>
  `${root}/data/by-content/${asset.fingerprint}/complete`;

const gib = (bytes: number): string =>
  bytes < 2 ** 20
    ? `${Math.ceil(bytes / 1024)} KiB`
    : bytes < 2 ** 30
      ? `${(bytes / 2 ** 20).toFixed(1)} MiB`
      : `${(bytes / 2 ** 30).toFixed(2)} GiB`;

async function missing(host: Host, root: string, assets: readonly Asset[]): Promise<Asset[]> {
  if (assets.length === 0) return [];
  const tests = assets.map((asset, i) => `[ -e ${quote(done(root, asset))} ] || echo ${i}`);
  const { stdout } = await expectRun(host, `${tests.join("\n")}\n:`, "look for the data");
  const absent = new Set(stdout.trim().split("\n"));
  return assets.filter((_, i) => absent.has(String(i)));
}

/** From the value in the configuration to the path on the host. Throws `not_found` when data is missing and may not be copied. */
export async function shipAssets(
  host: Host,
  root: string,
  assets: readonly Asset[],
  allowed: boolean,
  report: (what: string) => Progress,
): Promise<ReadonlyMap<string, string>> {
  const absent = await missing(host, root, assets);
  if (absent.length > 0 && !allowed) {
    const list = absent.map(({ key, local, bytes }) => `\n  ${key}: ${local} (${gib(bytes)})`);
    throw new UserError(`data is missing on ${host.entry.name}:${list.join("")}`, {
      code: "not_found",
      hint: "--ship-data copies it; nothing was submitted",
    });
  }
  for (const asset of absent) {
    const target = assetTarget(root, asset);
    for (const { path, hash } of asset.files) {
      const local = path === "" ? asset.local : join(asset.local, path);
      const what = path === "" ? basename(asset.local) : `${basename(asset.local)}/${path}`;
      const blob = {
        local,
        hash,
        target: path === "" ? target : `${target}/${path}`,
        executable: false,
        what,
      };
      await upload(host, blob, report(what));
    }
    const folder = asset.files.length === 0 ? `mkdir -p ${quote(target)} && ` : "";
    await expectRun(host, `${folder}: >${quote(done(root, asset))}`, "note the data as complete");
  }
  return new Map(assets.map((asset) => [asset.value, assetTarget(root, asset)]));
}
