/** @file That submit says when a run needs more time than is asked for: by what is known of it, and not at all where nothing is. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CLUSTER, Client } from "./client.ts";

setDefaultTimeout(60_000);

const HOSTS = `${CLUSTER}hosts:
  here: { type: local, cluster: one }
  other: { type: local, cluster: one }
`;
const SMI = `#!/bin/sh
case "$*" in
  *memory.total*) echo '0, GPU-a, NVIDIA H100 80GB HBM3, 81559' ;;
  *query-gpu=index*) echo '0, GPU-a' ;;
esac
`;

let client: Client;
let PATH: string;
beforeAll(() => {
  client = new Client(HOSTS);
  client.file("smi/nvidia-smi", SMI, 0o755);
  PATH = `${join(client.folder, "smi")}:${process.env.PATH}`;
});
afterAll(() => client.stop());

const dryRun = (name: string, ...more: string[]) =>
  client.run(["submit", name, "small.yaml", "--dry-run", "--time", "10 minutes", ...more], {
    PATH,
  });

const warning = async (name: string, ...more: string[]): Promise<string> =>
  (await dryRun(name, ...more)).stderr;

const said = async (args: readonly string[]): Promise<string> => (await client.run(args)).stderr;

async function settled<T>(
  wanted: Readonly<Record<string, Promise<T>>>,
): Promise<Record<string, T>> {
  const all = Object.entries(wanted).map(async ([key, value]) => [key, await value] as const);
  return Object.fromEntries(await Promise.all(all));
}

const MANY = "training.steps=100000";

test("by this run, by another one with the same architecture, by the plan of a known chip, or not at all", async () => {
  expect(await warning("none", "--host", "here", MANY)).toBe("");
  await client.submit("first", "here");
  await client.ended("first");
  // As if it had been slow: 40 steps of 32 tokens, at 100 tokens a second.
  const metrics = join(client.directory("first"), "metrics.jsonl");
  const lines = readFileSync(metrics, "utf8").replaceAll(
    /"tokens_per_s":[^,]+/g,
    '"tokens_per_s":100',
  );
  writeFileSync(metrics, lines);

  const here = ["--host", "here"];
  const all = await settled({
    own: warning("first", ...here, MANY),
    "own, with what is left of it": warning("first", ...here, "training.steps=50"),
    another: warning("second", ...here, MANY),
    "another architecture": warning("second", ...here, MANY, "architecture.n_layer=2"),
    "another host": warning("second", "--host", "other", MANY),
    "no time asked for": said(["submit", "second", "small.yaml", "--dry-run", MANY]),
    "the plan of a chip": warning(
      "second",
      ...here,
      "--chip",
      "h100",
      "training.steps=200000000000",
    ),
    "a run that ends by the clock": warning("second", ...here, MANY, "training.stop_minutes=5"),
  });
  expect(all).toMatchSnapshot();
  const json = await dryRun("second", "--host", "here", "--json", MANY);
  expect(JSON.parse(json.stdout).time_needed).toMatchObject({
    seconds: (100_000 * 32) / 100,
    basis: "another run",
  });
});
