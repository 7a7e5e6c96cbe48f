/**
 * @file What a run needs besides itself, as the submitter finds it: files here, what the hub has, what lies on the host already, what a
 * job before it makes. One question tells what of it the host has.
 */
import { UserError } from "../util/errors.ts";
import { bytesText } from "../util/quantities.ts";
import { type Asset, assetDone, assetPath, shipAsset } from "./assets.ts";
import { expectRun, type Host } from "./host.ts";
import { absolute, type Probe } from "./probe.ts";
import { quote } from "./quote.ts";
import type { Progress } from "./upload.ts";

/** A setting and what it says. */
export interface Named {
  readonly key: string;
  readonly value: string;
}

export interface HubNeed extends Named {
  /** `org/name` */
  readonly repo: string;
  readonly kind: "model" | "dataset" | "either";
  /** As the hub says now; null: it does not say. */
  bytes(): Promise<number | null>;
}

/** Where something may lie on the host: a path, a path below the cluster's root, or a run by its name. */
export interface HostPlace extends Named {
  readonly kind: "path" | "below root" | "run" | "nowhere";
  readonly path: string;
}

export interface RunData {
  readonly assets: readonly Asset[];
  readonly hub: readonly HubNeed[];
  readonly places: readonly HostPlace[];
  /** Below the cluster's root, when the jobs before the run have finished. */
  readonly made: readonly HostPlace[];
}

/** From `nameOf` of a setting to its value on the host. */
export type HostPaths = ReadonlyMap<string, string>;

/** The option of `theseus run`, called like a setting. */
export const INIT_FROM = "--init-from";

export const nameOf = ({ key, value }: Named): string => `${key} ${value}`;

/** Each setting with each value once. */
export function joined(all: readonly RunData[]): RunData {
  const once = <T extends Named>(parts: readonly T[]): T[] => [
    ...new Map(parts.map((each) => [nameOf(each), each])).values(),
  ];
  return {
    assets: once(all.flatMap(({ assets }) => assets)),
    hub: once(all.flatMap(({ hub }) => hub)),
    places: once(all.flatMap(({ places }) => places)),
    made: once(all.flatMap(({ made }) => made)),
  };
}

export interface Found {
  readonly paths: HostPaths;
  readonly absent: readonly Asset[];
  /** Repositories of which the host's cache has nothing. */
  readonly uncached: readonly HubNeed[];
  readonly nowhere: readonly HostPlace[];
}

/** The same of a part of the data: of what nobody needs any more nothing is missing. */
export function foundOf(found: Found, data: RunData): Found {
  const names = new Set([...data.assets, ...data.hub, ...data.places].map(nameOf));
  const needed = (each: Named): boolean => names.has(nameOf(each));
  return {
    paths: found.paths,
    absent: found.absent.filter(needed),
    uncached: found.uncached.filter(needed),
    nowhere: found.nowhere.filter(needed),
  };
}

const placeTest = (root: string, { kind, path }: HostPlace): string => {
  if (kind === "nowhere") return "false";
  if (kind !== "run") return `[ -e ${quote(fixedPart(path))} ]`;
  const above = "*/".repeat(Math.max(0, 3 - path.split("/").length));
  return `ls -d ${quote(root)}/runs/${above}${quote(path)}/run.json >/dev/null 2>&1`;
};

/** The folder that stands before what a pattern leaves open. */
const fixedPart = (path: string): string => path.replace(/\/[^/]*[*?[{].*$/, "") || "/";

function hubTest({ repo, kind }: HubNeed): string {
  const folder = (each: string): string =>
    `[ -d "$cache"/${each}s--${quote(repo.replace("/", "--"))} ]`;
  return kind === "either" ? `${folder("model")} || ${folder("dataset")}` : folder(kind);
}

/** `environment`: what the job will have in its own, where HF_HOME and HF_HUB_CACHE may be set. */
export async function findData(
  host: Host,
  probe: Probe,
  data: RunData,
  environment: string,
): Promise<Found> {
  const root = absolute(host.entry.cluster.root, probe);
  const onHost = (place: HostPlace): HostPlace => ({
    ...place,
    path: place.kind === "below root" ? `${root}/${place.path}` : absolute(place.path, probe),
  });
  const places = data.places.map(onHost);
  const tests = [
    ...data.assets.map((asset) => `[ -e ${quote(assetDone(root, asset))} ]`),
    ...data.hub.map(hubTest),
    ...places.map((place) => placeTest(root, place)),
  ];
  const absent = new Set(tests.length === 0 ? [] : await failing(host, tests, environment));
  const isAbsent = (from: number) => (_: unknown, i: number) => absent.has(from + i);
  const [assets, hub] = [data.assets.length, data.hub.length];
  const paths = new Map(data.assets.map((asset) => [nameOf(asset), assetPath(root, asset)]));
  for (const place of [...places, ...data.made.map(onHost)])
    if (place.kind !== "run") paths.set(nameOf(place), place.path);
  return {
    paths,
    absent: data.assets.filter(isAbsent(0)),
    uncached: data.hub.filter(isAbsent(assets)),
    nowhere: data.places.filter(isAbsent(assets + hub)),
  };
}

/** Numbers of the tests that fail. */
async function failing(host: Host, tests: readonly string[], environment: string) {
  // The values come on standard input: they may be secrets, which no argument shows.
  const input = new TextEncoder().encode(environment);
  const script = [
    `eval "$(head -c ${input.length})"`,
    `cache="\${HF_HUB_CACHE:-\${HF_HOME:-\${XDG_CACHE_HOME:-$HOME/.cache}/huggingface}/hub}"`,
    // As theseus itself reads it.
    `case "$cache" in '~/'*) cache=$HOME/\${cache#'~/'} ;; esac`,
    ...tests.map((each, i) => `{ ${each}; } || echo ${i}`),
    ":",
  ];
  const { stdout } = await expectRun(host, script.join("\n"), "look for the data", { input });
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map(Number);
}

export interface Allowed {
  readonly ship: boolean;
  readonly fetch: boolean;
}

/** Throws `not_found` for what the host lacks and may not be brought there. */
export function expectAllowed(host: Host, found: Found, { ship, fetch }: Allowed): void {
  const absent = ship ? [] : found.absent;
  const uncached = fetch ? [] : found.uncached;
  const lines = [
    ...absent.map(({ key, local, bytes }) => `${key}: ${local} (${bytesText(bytes)})`),
    ...uncached.map(({ key, value }) => `${key}: ${value}, not in its Hugging Face cache`),
    ...found.nowhere.map(({ key, value }) => `${key}: ${value}, neither here nor there`),
  ];
  if (lines.length === 0) return;
  const advice = [
    ...(absent.length > 0 ? ["--ship-data copies what is here"] : []),
    ...(uncached.length > 0 ? ["--fetch-data fetches there what the hub has"] : []),
    ...(found.nowhere.some(({ key }) => key.startsWith("data."))
      ? ["--prepare JOB.yaml submits the job that makes it"]
      : []),
  ];
  throw new UserError(
    `data is missing on ${host.entry.name}:${lines.map((line) => `\n  ${line}`).join("")}`,
    { code: "not_found", hint: [...advice, "nothing was submitted"].join("; ") },
  );
}

/** Copies what is missing; one progress for each. */
export async function shipData(
  host: Host,
  root: string,
  absent: readonly Asset[],
  report: (what: string) => Progress,
): Promise<void> {
  for (const asset of absent) await shipAsset(host, root, asset, report(asset.name));
}
