/**
 * @file `~/.theseus.yaml`: the hosts that jobs can be submitted to and the folders they keep there. Checked as strictly as a job's
 * configuration, with the same messages.
 */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { resolve } from "node:path";
import { parseDuration } from "../config/amounts.ts";
import { Problems } from "../config/problems.ts";
import { duration, enumOf, int, list, memory, nullable, string } from "../config/schema.ts";
import { parseYaml, type Source } from "../config/yaml.ts";
import { ConfigError, UserError } from "../util/errors.ts";
import { didYouMean } from "../util/suggest.ts";
import { MapReader } from "./map_reader.ts";

/** Folders that the hosts of a cluster share. They may begin with `~/`. */
export interface Cluster {
  readonly name: string;
  /** Where runs and data are kept, as ROOT of `theseus run`. */
  readonly root: string;
  /** Executables and users' code, by the hash of their content. */
  readonly work: string;
  /** Where logs go; null: into each run's folder. */
  readonly log: string | null;
}

export const HOST_TYPES = ["plain", "slurm", "local"] as const;

export interface HostEntry {
  readonly name: string;
  readonly type: (typeof HOST_TYPES)[number];
  /** As `ssh` knows it; null: this machine. */
  readonly ssh: string | null;
  /** A configuration of ssh other than the user's own. */
  readonly sshConfig: string | null;
  readonly cluster: Cluster;
  /** Accelerators by name: what there is on a plain host, the most a job may take on SLURM. */
  readonly chips: ReadonlyMap<string, number>;
  readonly partitions: readonly string[];
  readonly account: string | null;
  readonly qos: string | null;
  readonly memory: string | null;
  readonly time: string | null;
  readonly cpus: number | null;
  /** Any further `#SBATCH --key=value`. */
  readonly sbatch: ReadonlyMap<string, string>;
  /** Lines of shell that run before the job. */
  readonly setup: readonly string[];
  readonly env: ReadonlyMap<string, string>;
  /** The scheduler is asked at most so often. */
  readonly pollSeconds: number;
  /** A training without any progress for so long is killed and begins again; null: never. */
  readonly hangAfter: string | null;
}

export interface DispatchFile {
  readonly path: string;
  readonly hosts: readonly HostEntry[];
  readonly clusters: readonly Cluster[];
  /** From a chip's name to SLURM's GRES type. */
  readonly gresMapping: ReadonlyMap<string, string>;
}

const DEFAULT_POLL_S = 30;
const DEFAULT_HANG = "30 minutes";
/** What needs no quotes anywhere: these paths stand in scripts, directives and tables. */
const PATH = /^(~\/|\/)[\w./+@=-]*$/;
const SBATCH_KEY = /^[a-z][a-z0-9-]*$/;

function readCluster(name: string, map: MapReader): Cluster {
  const cluster = {
    name,
    root: map.required("root", string()),
    work: map.required("work", string()),
    log: map.get("log", nullable(string()), null),
  };
  const { root, work, log } = cluster;
  for (const [key, path] of Object.entries({ root, work, log }))
    if (typeof path === "string" && !PATH.test(path))
      map.problem(
        key,
        `expected a path from "/" or "~/" on, of letters, digits and ._+@=-, got ${JSON.stringify(path)}`,
      );
  map.finish();
  return cluster as Cluster;
}

function readHost(
  name: string,
  map: MapReader,
  clusters: ReadonlyMap<string, Cluster>,
  sshConfig: string | null,
): HostEntry | null {
  const type = map.required("type", enumOf(HOST_TYPES));
  const ssh = map.get("ssh", nullable(string()), null);
  const clusterName = map.required("cluster", string());
  if (type === "plain" && ssh === null)
    map.problem("", 'a host of type plain needs "ssh"; this machine itself has type local');
  if (type === "local" && ssh !== null)
    map.problem("ssh", "a host of type local is this machine; with ssh its type is plain or slurm");
  if (ssh?.startsWith("-")) map.problem("ssh", `expected a host, got ${JSON.stringify(ssh)}`);
  const cluster = clusters.get(clusterName ?? "");
  if (clusterName !== undefined && cluster === undefined)
    map.problem(
      "cluster",
      `no cluster is named "${clusterName}".${didYouMean(clusterName, clusters.keys())}`,
    );
  const entry = {
    ...{ name, type, ssh, sshConfig, cluster },
    chips: map.each("chips", int({ min: 0 })),
    partitions: map.get("partitions", list(string()), []),
    account: map.get("account", nullable(string()), null),
    qos: map.get("qos", nullable(string()), null),
    memory: map.get("mem", nullable(memory()), null),
    time: map.get("time", nullable(duration()), null),
    cpus: map.get("cpus", nullable(int({ min: 1 })), null),
    sbatch: map.texts("sbatch"),
    setup: map.get("setup", list(string()), []),
    env: map.texts("env"),
    pollSeconds: map.get("poll_seconds", int({ min: 1 }), DEFAULT_POLL_S),
    hangAfter: map.get("hang_after", nullable(duration()), DEFAULT_HANG),
  };
  for (const key of entry.sbatch.keys())
    if (!SBATCH_KEY.test(key)) map.problem("sbatch", `"${key}" is no option of sbatch`);
  for (const key of entry.env.keys())
    if (!/^[A-Za-z_]\w*$/.test(key)) map.problem("env", `"${key}" is no name of a variable`);
  map.finish();
  return type === undefined || cluster === undefined ? null : { ...entry, type, cluster };
}

/** Hosts in the order of `priority`, then as written. */
function inOrder(hosts: readonly HostEntry[], priority: readonly string[]): HostEntry[] {
  const rank = ({ name }: HostEntry): number => {
    const at = priority.indexOf(name);
    return at === -1 ? priority.length : at;
  };
  return [...hosts].sort((a, b) => rank(a) - rank(b));
}

export function parseDispatchFile(source: Source): DispatchFile {
  const problems = new Problems();
  const tree = parseYaml(source, 0, problems);
  problems.throwIfAny();
  const top = new MapReader(tree, "", problems);
  const clusters = new Map<string, Cluster>();
  for (const [name, map] of top.maps("clusters")) clusters.set(name, readCluster(name, map));
  const sshConfig = top.get("ssh_config", nullable(string()), null);
  const hosts: HostEntry[] = [];
  const names: string[] = [];
  for (const [name, map] of top.maps("hosts")) {
    names.push(name);
    if (!/^[A-Za-z0-9][\w.-]*$/.test(name)) map.problem("", `"${name}" is no name for a host`);
    const host = readHost(name, map, clusters, sshConfig);
    if (host !== null) hosts.push(host);
  }
  const priority = top.get("priority", list(string()), []);
  for (const name of priority)
    if (!names.includes(name))
      top.problem("priority", `no host is named "${name}".${didYouMean(name, names)}`);
  const gresMapping = top.texts("gres_mapping");
  top.finish();
  problems.throwIfAny();
  if (hosts.length === 0)
    throw new ConfigError("no hosts are declared", { place: { path: source.name } });
  const all = [...clusters.values()];
  return { path: source.name, hosts: inOrder(hosts, priority), clusters: all, gresMapping };
}

/** Without a file there is this machine alone, with the root that `theseus run` has. */
function thisMachine(root: string): DispatchFile {
  const work = `${process.env.XDG_CACHE_HOME || `${homedir()}/.cache`}/theseus`;
  const cluster: Cluster = { name: "here", root: resolve(root), work, log: null };
  const host: HostEntry = {
    ...{ name: "local", type: "local", ssh: null, sshConfig: null, cluster },
    ...{ chips: new Map(), partitions: [], account: null, qos: null, memory: null, time: null },
    ...{ cpus: null, sbatch: new Map(), setup: [], env: new Map(), pollSeconds: DEFAULT_POLL_S },
    hangAfter: DEFAULT_HANG,
  };
  return { path: "", hosts: [host], clusters: [cluster], gresMapping: new Map() };
}

export function loadDispatchFile(named: string | undefined, root: string): DispatchFile {
  const path = named ?? (process.env.THESEUS_DISPATCH || `${homedir()}/.theseus.yaml`);
  if (!existsSync(path)) {
    if (named === undefined && !process.env.THESEUS_DISPATCH) return thisMachine(root);
    throw new UserError(`there is no file ${path}`, {
      code: "not_found",
      hint: "docs/clusters.md shows what belongs into it",
    });
  }
  return parseDispatchFile({ name: path, text: readFileSync(path, "utf8") });
}

export function hostNamed(file: DispatchFile, name: string): HostEntry {
  const host = file.hosts.find((each) => each.name === name);
  if (host !== undefined) return host;
  const names = file.hosts.map((each) => each.name);
  throw new ConfigError(`no host is named "${name}".${didYouMean(name, names)}`, {
    hint: `hosts: ${names.join(", ")}`,
  });
}

export const secondsOf = (time: string | null): number | null =>
  time === null ? null : (parseDuration(time) ?? null);
