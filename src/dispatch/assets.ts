/**
 * @file What a run reads from files here: looked for under the cluster's root by the fingerprint of its content, and copied there on
 * request. What the configuration names is replaced by the host's path.
 */
import { lstatSync, readdirSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { expectRun, type Host } from "./host.ts";
import { quote } from "./quote.ts";
import { type Progress, rememberedHash } from "./upload.ts";
import { uploadFiles } from "./upload_files.ts";

export interface AssetFile {
  /** Below the asset; empty: the asset is this file. */
  readonly path: string;
  readonly local: string;
  readonly bytes: number;
  readonly hash: string;
}

export interface Asset {
  /** The setting or the option that names it. */
  readonly key: string;
  /** As it stands there. */
  readonly value: string;
  /** For people: where it is here. */
  readonly local: string;
  readonly name: string;
  /** What the setting means of it; empty: all. */
  readonly entry: string;
  readonly bytes: number;
  readonly files: readonly AssetFile[];
  readonly fingerprint: string;
}

/** Files below a folder, in an order that no machine changes. */
export function filesBelow(folder: string, below = ""): string[] {
  const out: string[] = [];
  for (const name of readdirSync(join(folder, below)).sort()) {
    const path = below === "" ? name : `${below}/${name}`;
    const stat = statSync(join(folder, path));
    if (stat.isDirectory()) out.push(...filesBelow(folder, path));
    else if (stat.isFile() && !lstatSync(join(folder, path)).isSocket()) out.push(path);
  }
  return out;
}

export interface AssetParts {
  readonly key: string;
  readonly value: string;
  readonly local: string;
  readonly files: readonly { readonly path: string; readonly local: string }[];
  readonly entry?: string;
}

/** Files that need not lie together here. */
export async function assetFrom({ key, value, local, files, entry = "" }: AssetParts) {
  const hashed: AssetFile[] = [];
  for (const file of [...files].sort((a, b) => (a.path < b.path ? -1 : 1)))
    hashed.push({
      ...file,
      bytes: statSync(file.local).size,
      hash: await rememberedHash(resolve(file.local)),
    });
  const name = basename(resolve(local)).replaceAll(/[^\w.@+-]/g, "_");
  // The name too: it may say what kind of file it is.
  const hasher = new Bun.CryptoHasher("sha256").update(`${name}\n`);
  for (const { path, hash } of hashed) hasher.update(`${path}\0${hash}\n`);
  const bytes = hashed.reduce((sum, file) => sum + file.bytes, 0);
  const fingerprint = hasher.digest("hex").slice(0, 16);
  return { key, value, local, name, entry, bytes, files: hashed, fingerprint } satisfies Asset;
}

/** A file, or a folder with all that is in it. */
export function assetOf(key: string, value: string, path = value): Promise<Asset> {
  const local = resolve(path);
  const files = statSync(local).isDirectory()
    ? filesBelow(local).map((below) => ({ path: below, local: join(local, below) }))
    : [{ path: "", local }];
  return assetFrom({ key, value, local, files });
}

const folderOf = (root: string, { fingerprint }: Asset): string =>
  `${root}/data/by-content/${fingerprint}`;

/** Where all of it lies on the host. */
export const assetTarget = (root: string, asset: Asset): string =>
  `${folderOf(root, asset)}/${asset.name}`;

/** What the setting is on the host. */
export const assetPath = (root: string, asset: Asset): string =>
  assetTarget(root, asset) + (asset.entry === "" ? "" : `/${asset.entry}`);

/** A file that is there when all of it is. */
export const assetDone = (root: string, asset: Asset): string =>
  `${folderOf(root, asset)}/complete`;

/** Copies one asset. What is interrupted goes on where it stopped. */
export async function shipAsset(
  host: Host,
  root: string,
  asset: Asset,
  progress: Progress,
): Promise<void> {
  const target = assetTarget(root, asset);
  const blobs = asset.files.map(({ path, local, hash }) => ({
    ...{ local, hash, executable: false },
    target: path === "" ? target : `${target}/${path}`,
    what: path === "" ? asset.name : `${asset.name}/${path}`,
  }));
  await uploadFiles(host, folderOf(root, asset), blobs, progress);
  const folder = asset.files.length === 0 ? `mkdir -p ${quote(target)} && ` : "";
  const done = quote(assetDone(root, asset));
  await expectRun(host, `${folder}: >${done}`, "note the data as complete");
}
