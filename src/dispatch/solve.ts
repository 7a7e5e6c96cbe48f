/** @file Which host a request goes to: the first in order that has free what is asked for, else the first whose queue will. */
import { RemoteError, UserError } from "../util/errors.ts";
import { didYouMean } from "../util/suggest.ts";
import { isChip } from "./chips.ts";
import type { DispatchFile, HostEntry } from "./dispatch_file.ts";
import { type Host, openHost } from "./host.ts";
import type { Resources } from "./job_spec.ts";
import { type Probe, probeHost, type SlurmNode } from "./probe.ts";

export interface Placement {
  readonly partition: string | null;
  readonly gres: string | null;
}

export interface Candidate {
  readonly host: string;
  /** now: free; later: will be, in the queue; never: cannot; unreachable: nobody knows. */
  readonly verdict: "now" | "later" | "never" | "unreachable" | "left out";
  readonly reason: string;
  readonly taken: boolean;
  /** How near it comes where it cannot: devices of the right kind, or cores. */
  readonly nearness: number;
}

export interface Choice {
  readonly host?: string | undefined;
  readonly clusters: readonly string[];
  readonly excluded: readonly string[];
  readonly partition?: string | undefined;
  /** Looks at every host also when one is found. */
  readonly all: boolean;
}

export interface Solution {
  readonly host: Host;
  readonly probe: Probe;
  readonly placement: Placement;
  readonly candidates: readonly Candidate[];
}

interface Verdict {
  readonly verdict: Candidate["verdict"];
  readonly reason: string;
  readonly placement: Placement;
  readonly nearness: number;
}

const MIB = 2 ** 20;
const NOWHERE: Placement = { partition: null, gres: null };
const never = (reason: string, nearness = 0): Verdict => ({
  ...{ verdict: "never", reason, placement: NOWHERE, nearness },
});

const counted = (count: number, what: string): string =>
  `${count} ${what}${count === 1 ? "" : "s"}`;

function plainVerdict(entry: HostEntry, probe: Probe, wanted: Resources): Verdict {
  const { chip, chips, cpus, memoryBytes, nodes } = wanted;
  if (nodes > 1) return never("one machine alone");
  if (cpus !== null && cpus > probe.cpus)
    return never(`has ${counted(probe.cpus, "core")}, ${cpus} are asked for`, probe.cpus);
  if (memoryBytes !== null && memoryBytes > probe.memoryMiB * MIB)
    return never(
      `has ${probe.memoryMiB} MiB of memory, ${Math.ceil(memoryBytes / MIB)} are asked for`,
    );
  if (chip === null)
    return {
      verdict: "now",
      reason: "no accelerator is asked for",
      placement: NOWHERE,
      nearness: 0,
    };
  const fitting = probe.gpus.filter(({ name }) => isChip(chip, name));
  const declared = entry.chips.get(chip);
  const there = Math.min(fitting.length, declared ?? fitting.length);
  if (there < chips) return never(`has ${there} ${chip}, ${chips} are asked for`, there);
  const free = Math.min(fitting.filter((gpu) => gpu.free).length, there);
  const verdict = free >= chips ? "now" : "later";
  const reason = `${free} of ${there} ${chip} are free`;
  return { verdict, reason, placement: NOWHERE, nearness: there };
}

const DOWN = /^(down|drain|drng|fail|maint|unk|boot|pow|no_resp)|\*$/i;

/** What one node has and has free of the chip; the type as `--gres` takes it. */
function nodeGpus(node: SlurmNode, chip: string, mapped: string | undefined) {
  for (const [type, count] of node.gpus) {
    const fits =
      mapped === undefined
        ? isChip(chip, type)
        : type === mapped || (mapped === "gpu" && type === "");
    if (!fits) continue;
    return { type, count, free: count - (node.gpusUsed.get(type) ?? 0) };
  }
  return null;
}

function partitionVerdict(
  partition: string,
  nodes: readonly SlurmNode[],
  wanted: Resources,
  mapped: string | undefined,
): Verdict {
  const { chip, chips, cpus, memoryBytes } = wanted;
  const perNode = Math.ceil(chips / wanted.nodes);
  const memory = memoryBytes === null ? 0 : Math.ceil(memoryBytes / MIB);
  let [able, free, most] = [0, 0, 0];
  let gres: string | null = null;
  for (const node of nodes) {
    const gpus = chip === null ? null : nodeGpus(node, chip, mapped);
    most = Math.max(most, chip === null ? node.cpus : (gpus?.count ?? 0));
    if (chip !== null && (gpus === null || gpus.count < perNode)) continue;
    if (node.cpus < (cpus ?? 1) || node.memoryMiB < memory) continue;
    if (gpus !== null) gres = gpus.type === "" ? `gpu:${perNode}` : `gpu:${gpus.type}:${perNode}`;
    able++;
    const idle = node.cpusIdle >= (cpus ?? 1) && node.memoryFreeMiB >= memory;
    if (!DOWN.test(node.state) && idle && (gpus === null || gpus.free >= perNode)) free++;
  }
  const what = chip === null ? "enough cores and memory" : `${perNode} ${chip}`;
  if (able < wanted.nodes) {
    const has = chip === null ? `${most} cores` : `${most} ${chip}`;
    const reason = `partition ${partition}: ${counted(able, "node")} with ${what}, ${wanted.nodes} asked for; at most ${has} a node`;
    return never(reason, most);
  }
  const verdict = free >= wanted.nodes ? "now" : "later";
  const reason = `partition ${partition}: ${free} of ${counted(able, "node")} with ${what} free`;
  return { verdict, reason, placement: { partition, gres }, nearness: most };
}

function slurmVerdict(
  entry: HostEntry,
  probe: Probe,
  wanted: Resources,
  file: DispatchFile,
  only: string | undefined,
): Verdict {
  const { chip, chips } = wanted;
  if (probe.nodes === null)
    return never("there is no sbatch: is SLURM installed, and in the PATH?");
  if (probe.slurmError !== null)
    return { ...never(`SLURM does not answer: ${probe.slurmError}`), verdict: "unreachable" };
  const limit = chip === null ? undefined : entry.chips.get(chip);
  if (limit !== undefined && chips > limit)
    return never(`at most ${limit} ${chip} a job by the dispatch file`, limit);
  const known = [...new Set(probe.nodes.map((node) => node.partition))];
  const named = only !== undefined ? [only] : entry.partitions;
  for (const name of named)
    if (!known.includes(name))
      return never(
        `there is no partition "${name}".${didYouMean(name, known)} Partitions: ${known.join(", ")}`,
      );
  const defaults = probe.nodes.filter((node) => node.isDefault).map((node) => node.partition);
  const order = named.length > 0 ? named : [...new Set([...defaults, ...known])];
  const mapped = chip === null ? undefined : file.gresMapping.get(chip);
  const verdicts = order.map((name) =>
    partitionVerdict(
      name,
      (probe.nodes ?? []).filter((node) => node.partition === name),
      wanted,
      mapped,
    ),
  );
  const best =
    verdicts.find(({ verdict }) => verdict === "now") ??
    verdicts.find(({ verdict }) => verdict === "later") ??
    [...verdicts].sort((a, b) => b.nearness - a.nearness)[0];
  return best ?? never("has no partition that is up");
}

function eligible(file: DispatchFile, choice: Choice): HostEntry[] {
  const known = file.clusters.map(({ name }) => name);
  for (const name of [...choice.clusters, ...choice.excluded])
    if (!known.includes(name))
      throw new UserError(`no cluster is named "${name}".${didYouMean(name, known)}`, {
        code: "config",
        hint: `clusters: ${known.join(", ")}`,
      });
  return file.hosts.filter(
    ({ name, cluster }) =>
      (choice.host === undefined || choice.host === name) &&
      (choice.clusters.length === 0 || choice.clusters.includes(cluster.name)) &&
      !choice.excluded.includes(cluster.name),
  );
}

function verdictOf(
  file: DispatchFile,
  entry: HostEntry,
  probe: Probe,
  wanted: Resources,
  choice: Choice,
): Verdict {
  if (probe.unwritable.length > 0)
    return never(`${probe.unwritable.join(" and ")} cannot be written to`);
  return entry.type === "slurm"
    ? slurmVerdict(entry, probe, wanted, file, choice.partition)
    : plainVerdict(entry, probe, wanted);
}

/** What an accelerator may be called: by the dispatch file and by what hosts said. */
function chipNames(file: DispatchFile, probes: readonly Probe[]): string[] {
  const names = new Set([...file.gresMapping.keys()]);
  for (const { chips } of file.hosts) for (const name of chips.keys()) names.add(name);
  for (const { nodes } of probes)
    for (const { gpus } of nodes ?? [])
      for (const type of gpus.keys()) if (type !== "") names.add(type);
  for (const { gpus } of probes) for (const { name } of gpus) names.add(name);
  return [...names];
}

function nothingFits(
  file: DispatchFile,
  wanted: Resources,
  probes: readonly Probe[],
  candidates: readonly Candidate[],
): UserError {
  const asked = wanted.chip === null ? "the request" : `${wanted.chips} ${wanted.chip}`;
  const reasons = candidates.map(({ host, reason }) => `\n  ${host}: ${reason}`).join("");
  const silent = candidates.filter(({ verdict }) => verdict === "unreachable");
  if (candidates.length > 0 && silent.length === candidates.length)
    return new RemoteError(`no host answers:${reasons}`);
  const names = chipNames(file, probes);
  if (wanted.chip !== null && silent.length === 0) {
    const { chip } = wanted;
    if (!names.some((name) => name === chip || isChip(chip, name)))
      return new UserError(`no host has a chip "${chip}".${didYouMean(chip, names)}`, {
        code: "config",
        hint: names.length === 0 ? "no host has any accelerator" : `there are: ${names.join(", ")}`,
      });
  }
  const [nearest] = [...candidates].sort((a, b) => b.nearness - a.nearness);
  return new UserError(`no host can meet ${asked}:${reasons}`, {
    code: "not_found",
    ...(nearest === undefined ? {} : { hint: `nearest: ${nearest.host}, ${nearest.reason}` }),
  });
}

/** Where another job of the same host goes. Throws `not_found` when it can go nowhere there. */
export function placementOn(
  file: DispatchFile,
  { host, probe }: Pick<Solution, "host" | "probe">,
  wanted: Resources,
): Placement {
  const choice: Choice = { clusters: [], excluded: [], all: false };
  const { verdict, reason, placement } = verdictOf(file, host.entry, probe, wanted, choice);
  if (verdict === "now" || verdict === "later") return placement;
  throw new UserError(`${host.entry.name} cannot meet a request: ${reason}`, { code: "not_found" });
}

/** Hosts are asked in order, and no further than to the first that has everything free. */
export async function solve(
  file: DispatchFile,
  wanted: Resources,
  choice: Choice,
  onCandidates?: (candidates: readonly Candidate[]) => void,
): Promise<Solution> {
  const entries = eligible(file, choice);
  const candidates: Candidate[] = [];
  const probes: Probe[] = [];
  const open: { host: Host; probe: Probe; verdict: Verdict }[] = [];
  for (const entry of entries) {
    if (!choice.all && open.some(({ verdict }) => verdict.verdict === "now")) break;
    const host = openHost(entry);
    let verdict: Verdict;
    try {
      const probe = await probeHost(host);
      probes.push(probe);
      verdict = verdictOf(file, entry, probe, wanted, choice);
      if (["now", "later"].includes(verdict.verdict)) open.push({ host, probe, verdict });
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error;
      if (entries.length === 1) throw error;
      verdict = { ...never(error.message), verdict: "unreachable" };
    }
    candidates.push({ host: entry.name, taken: false, ...verdict });
  }
  const best = open.find(({ verdict }) => verdict.verdict === "now") ?? open[0];
  const asked = new Set(entries.map(({ name }) => name));
  const leftOut = file.hosts
    .filter(({ name }) => !asked.has(name))
    .map(
      ({ name }): Candidate => ({
        host: name,
        verdict: "left out",
        reason: "by the options",
        taken: false,
        nearness: -1,
      }),
    );
  const all = [...candidates, ...leftOut].map((each) => ({
    ...each,
    taken: each.host === best?.host.entry.name,
  }));
  onCandidates?.(all);
  if (best === undefined) throw nothingFits(file, wanted, probes, candidates);
  const { host, probe, verdict } = best;
  return { host, probe, placement: verdict.placement, candidates: all };
}
