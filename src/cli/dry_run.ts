/** @file What submit would do, without doing it: host, script, and what would be copied and fetched. */
import { assetPath } from "../dispatch/assets.ts";
import { runText } from "../dispatch/job_spec.ts";
import { absolute } from "../dispatch/probe.ts";
import { joined, nameOf } from "../dispatch/run_data.ts";
import type { Prepared } from "../dispatch/submit.ts";
import { bytesText } from "../util/quantities.ts";
import { tableText } from "./format.ts";

interface Shown {
  readonly key: string;
  readonly from: string;
  readonly bytes: number | null;
  readonly to: string;
  readonly state: string;
}

/** Each piece of data, and what would become of it. */
async function dataOf({ host, probe, options, found, before }: Prepared): Promise<Shown[]> {
  const root = absolute(host.entry.cluster.root, probe);
  const { allowed } = options;
  const others = before.filter(({ state }) => state !== "finished");
  const data = joined([options.data, ...others.map((each) => each.data)]);
  const missing = (may: boolean, would: string): string => (may ? would : "missing");
  const hub = data.hub.map(async (need): Promise<Shown> => {
    const absent = found.uncached.includes(need);
    return {
      ...{ key: need.key, from: need.value, to: "Hugging Face cache" },
      bytes: absent ? await need.bytes() : null,
      state: absent
        ? missing(allowed.fetch, "would be fetched there")
        : "is there, at least in part",
    };
  });
  return [
    ...data.assets.map((asset) => ({
      ...{ key: asset.key, from: asset.local, bytes: asset.bytes, to: assetPath(root, asset) },
      state: found.absent.includes(asset) ? missing(allowed.ship, "would be copied") : "is there",
    })),
    ...(await Promise.all(hub)),
    ...data.places.map((place) => ({
      ...{ key: place.key, from: place.value, bytes: null },
      to: found.paths.get(nameOf(place)) ?? place.value,
      state: found.nowhere.includes(place) ? "missing" : "is there",
    })),
  ];
}

export const shownData = async (prepared: Prepared) => ({
  data: await dataOf(prepared),
  before: beforeOf(prepared),
});

export async function shownDryRun(prepared: Prepared): Promise<Record<string, unknown>> {
  const { host, specs, scripts, binary, options, resources } = prepared;
  return {
    host: host.entry.name,
    directory: specs[0]?.directory,
    script: scripts[0],
    resources,
    environment: [...host.entry.env.keys(), ...options.env.keys()],
    ships: {
      theseus: binary.target,
      code: options.code?.files ?? [],
      data: await dataOf(prepared),
    },
    before: beforeOf(prepared),
  };
}

const WOULD = {
  new: "would be submitted before it",
  live: "is at work, it would wait",
  finished: "has finished",
} as const;

/** Jobs before it, and where what they make would lie. */
const beforeOf = ({ before, found, options }: Prepared) =>
  before.map(({ cell, state }, i) => {
    const made = options.before[i]?.made ?? { key: "", value: "" };
    return { run: runText(cell.run), to: found.paths.get(nameOf(made)) ?? "", state: WOULD[state] };
  });

/** What would be copied, fetched and made. */
export async function dataRows(prepared: Prepared): Promise<string[][]> {
  const made = beforeOf(prepared).map(({ run, to, state }) => [
    "prepare",
    `${run} -> ${to}: ${state}`,
  ]);
  const data = (await dataOf(prepared)).map(({ key, from, bytes, to, state }) => [
    key,
    `${from}${bytes === null ? "" : ` (${bytesText(bytes)})`} -> ${to}: ${state}`,
  ]);
  return [...made, ...data];
}

export async function printDryRun(prepared: Prepared): Promise<void> {
  const { host, binary, options, scripts, specs } = prepared;
  const rows = [
    ["host", host.entry.name],
    ["run", specs[0]?.directory ?? ""],
    ["theseus", `${options.binary} (${bytesText(binary.bytes)}) -> ${binary.target}`],
    ...(options.code === null
      ? []
      : [["code", `${options.code.files.length} files of ${options.code.folder}`]]),
    ...(await dataRows(prepared)),
  ];
  process.stdout.write(`${tableText(rows)}\n${scripts[0]}`);
}
