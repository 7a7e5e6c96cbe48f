/** @file Copies of many files: how far they are, as it is told; what is damaged, and what cannot be copied. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyingText } from "../../src/cli/upload_line.ts";
import { assetOf, assetTarget, shipAsset } from "../../src/dispatch/assets.ts";
import { parseDispatchFile } from "../../src/dispatch/dispatch_file.ts";
import { type Host, openHost } from "../../src/dispatch/host.ts";

const folder = mkdtempSync(join(tmpdir(), "theseus-upload-"));
const root = join(folder, "root");
const before = process.env.XDG_STATE_HOME;
let host: Host;

beforeAll(() => {
  process.env.XDG_STATE_HOME = join(folder, "state");
  const text = `clusters: { one: { root: ${root}, work: ${folder}/work } }\nhosts: { here: { type: local, cluster: one } }\n`;
  const [entry] = parseDispatchFile({ name: "hosts.yaml", text }).hosts;
  if (entry === undefined) throw new Error("no host");
  host = openHost(entry);
});
afterAll(() => {
  if (before === undefined) delete process.env.XDG_STATE_HOME;
  else process.env.XDG_STATE_HOME = before;
  rmSync(folder, { recursive: true });
});

async function files(name: string, contents: Readonly<Record<string, string>>): Promise<string> {
  for (const [path, content] of Object.entries(contents))
    await Bun.write(join(folder, name, path), content);
  return join(folder, name);
}

test("size, speed and the time that is left", () => {
  const text = copyingText("stories", { from: 2e6, there: 42e6, total: 122e6, ms: 4000 });
  expect(text).toBe("copying stories: 34 %, 40.1 MiB of 116 MiB, 10.0 MB/s, 8s left");
  expect(copyingText("a", { from: 5, there: 5, total: 10, ms: 0 })).toContain(", - left");
});

test("how far it is, over all files; the same again sends nothing", async () => {
  const large = "0123456789abcdef".repeat(2 ** 17);
  const local = await files("many", {
    "a/1": "one",
    "a/2": "",
    "b c/3'": "three",
    large,
    late: large,
  });
  mkdirSync(join(local, "empty"));
  const asset = await assetOf("data.tokens", local);
  const seen: [number, number][] = [];
  await shipAsset(host, root, asset, (there, total) => seen.push([there, total]));
  expect(seen[0]).toEqual([0, asset.bytes]);
  expect(seen.at(-1)).toEqual([asset.bytes, asset.bytes]);
  expect(seen.length).toBeGreaterThan(8);
  expect(seen.map(([there]) => there)).toEqual(seen.map(([there]) => there).sort((a, b) => a - b));
  const target = assetTarget(root, asset);
  for (const { path } of asset.files)
    expect(readFileSync(join(target, path))).toEqual(readFileSync(join(local, path)));
  expect(readdirSync(join(target, "..")).sort()).toEqual(["complete", "many"]);
  const again: number[] = [];
  await shipAsset(host, root, asset, (there) => again.push(there));
  expect(again).toEqual([]);
});

test("a file that is changed while it is copied: told, and not taken", async () => {
  const local = await files("changing", { small: "as it was", other: "o" });
  const asset = await assetOf("data.tokens", local);
  await Bun.write(join(local, "small"), "other one");
  const failure = await shipAsset(host, root, asset, () => undefined).catch((error) => error);
  expect(failure.message).toContain(
    "some of 2 files arrived damaged on here; nothing of it was kept",
  );
  expect(readdirSync(join(assetTarget(root, asset), ".."))).toEqual([]);
});

test("names that cannot be copied; the same content under another name is another thing", async () => {
  const odd = await assetOf("data.text", await files("odd", { "a\nb": "x" }));
  expect(shipAsset(host, root, odd, () => undefined)).rejects.toThrow(
    "has a line break in its name",
  );
  const one = await assetOf("data.text", join(await files("same", { "a.txt": "x" }), "a.txt"));
  const two = await assetOf("data.text", join(await files("same", { "a.jsonl": "x" }), "a.jsonl"));
  for (const asset of [one, two]) {
    await shipAsset(host, root, asset, () => undefined);
    expect(existsSync(assetTarget(root, asset))).toBe(true);
  }
});
