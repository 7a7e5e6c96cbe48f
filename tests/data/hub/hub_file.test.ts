/** @file The hub's client against a server that speaks its API, and the cache it leaves. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { hubFile } from "../../../src/data/hub/hub_file.ts";
import { hubFiles } from "../../../src/data/hub/hub_files.ts";
import { retryAfterMs } from "../../../src/data/hub/request.ts";
import { hubSettings } from "../../../src/data/hub/settings.ts";
import { UserError } from "../../../src/util/errors.ts";
import { COMMIT, etagOf, FakeHub } from "./fake_hub.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const weights = { content: new Uint8Array(300_000).map((_, i) => (i * 7) % 251), large: true };
const config = { content: bytes('{"model_type":"gpt2"}') };
const REPO = "models/org/small";

let cache: string;
let hub: FakeHub;

beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), "theseus-hub-"));
  hub = new FakeHub({
    [REPO]: {
      commit: COMMIT,
      files: { "config.json": config, "sub folder/model.safetensors": weights },
    },
    "models/org/gated": { commit: COMMIT, files: { "a.txt": config }, gated: true },
    "datasets/org/private": { commit: COMMIT, files: { "a.txt": config }, token: "secret" },
  });
});

afterEach(() => {
  hub.stop();
  rmSync(cache, { recursive: true });
});

const settings = (more: Partial<ReturnType<typeof hubSettings>> = {}) => ({
  ...{ endpoint: hub.endpoint, cache, token: undefined, offline: false, attempts: 5 },
  ...more,
});

const get = (file: string, more = {}) =>
  hubFile("org/small", file, { kind: "model", settings: settings(more) });

async function failure(promise: Promise<unknown>): Promise<UserError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error("expected a failure");
}

test("the cache is laid out as Python's huggingface_hub does", async () => {
  const path = await get("sub folder/model.safetensors");
  const root = join(cache, "models--org--small");
  expect(path).toBe(join(root, "snapshots", COMMIT, "sub folder/model.safetensors"));
  expect(readlinkSync(path)).toBe(`../../../blobs/${etagOf(weights)}`);
  expect(Buffer.compare(readFileSync(path), Buffer.from(weights.content))).toBe(0);
  expect(readFileSync(join(root, "refs/main"), "utf8")).toBe(COMMIT);
  await get("config.json");
  expect(readdirSync(join(root, "blobs")).sort()).toEqual([etagOf(config), etagOf(weights)].sort());
  expect(readdirSync(join(cache, ".locks/models--org--small"))).toEqual([]);
  expect(readdirSync(cache).sort()).toEqual([".locks", "CACHEDIR.TAG", "models--org--small"]);
});

test("what is cached costs one question, or none at a commit or offline", async () => {
  await get("config.json");
  const gets = hub.lines("GET").length;
  await get("config.json");
  expect(hub.lines("GET").length).toBe(gets);
  const asked = hub.seen.length;
  await hubFile("org/small", "config.json", {
    kind: "model",
    revision: COMMIT,
    settings: settings(),
  });
  await get("config.json", { offline: true });
  expect(hub.seen.length).toBe(asked);
});

test("offline, what is missing is named", async () => {
  const error = await failure(get("config.json", { offline: true }));
  expect(error.message).toContain("config.json of model org/small is not in the cache");
  expect(error.message).toContain("HF_HUB_OFFLINE");
  expect(error.code).toBe("not_found");
  expect(hub.seen).toEqual([]);
});

test("the token goes to the hub and nowhere else", async () => {
  await get("sub folder/model.safetensors", { token: "secret" });
  const away = hub.seen.filter(({ line }) => line.includes("signature"));
  expect(away.map(({ token }) => token)).toEqual([false]);
  expect(hub.seen.filter(({ line }) => !line.includes("signature")).every((s) => s.token)).toBe(
    true,
  );
});

test("a broken connection is gone on with, by this process and by the next", async () => {
  Object.assign(hub.troubles, { cutAfter: 100_000, cuts: 2 });
  const path = await get("sub folder/model.safetensors");
  expect(Buffer.compare(readFileSync(path), Buffer.from(weights.content))).toBe(0);
  const ranges = hub.seen.filter(({ line }) => line.includes("signature")).map((s) => s.range);
  expect(ranges).toEqual([null, "bytes=100000-", "bytes=200000-"]);

  const blob = join(cache, "models--org--small/blobs", etagOf(weights));
  rmSync(blob);
  writeFileSync(`${blob}.theseus.incomplete`, weights.content.slice(0, 250_000));
  hub.seen.length = 0;
  await get("sub folder/model.safetensors");
  expect(hub.seen.map(({ range }) => range).filter((r) => r !== null)).toEqual([
    ...["bytes=250000-", "bytes=250000-"],
  ]);
  expect(existsSync(`${blob}.theseus.incomplete`)).toBe(false);
});

test("a server that knows no ranges, and a damaged part, still give the right bytes", async () => {
  const blob = join(cache, "models--org--small/blobs", etagOf(weights));
  mkdirSync(dirname(blob), { recursive: true });
  hub.troubles.ignoreRange = true;
  writeFileSync(`${blob}.theseus.incomplete`, new Uint8Array(10));
  const path = await get("sub folder/model.safetensors");
  expect(Buffer.compare(readFileSync(path), Buffer.from(weights.content))).toBe(0);
  hub.troubles.ignoreRange = false;
  rmSync(blob);
  writeFileSync(`${blob}.theseus.incomplete`, new Uint8Array(299_999));
  expect(
    Buffer.compare(
      readFileSync(await get("sub folder/model.safetensors")),
      Buffer.from(weights.content),
    ),
  ).toBe(0);
});

test("content that does not have its hash is refused and not kept", async () => {
  hub.troubles.damage = true;
  const error = await failure(get("config.json"));
  expect(error.message).toContain("does not have the hash");
  expect(error.code).toBe("data");
  expect(readdirSync(join(cache, "models--org--small/blobs"))).toEqual([]);
});

test("rate limits and servers in trouble are waited for", async () => {
  Object.assign(hub.troubles, { busy: 2, failing: 1 });
  await get("config.json");
  expect(hub.lines("HEAD").length).toBe(4);
  expect(retryAfterMs("7")).toBe(7000);
  expect(retryAfterMs("Thu, 01 Jan 1970 00:00:10 GMT", 4000)).toBe(6000);
  expect(retryAfterMs(null)).toBeUndefined();
});

test("without a hub, the cache serves with a warning, and what is missing is an error", async () => {
  await get("config.json");
  hub.stop();
  const dead = { endpoint: "http://127.0.0.1:9", attempts: 2 };
  const warned: string[] = [];
  const write = process.stderr.write;
  process.stderr.write = (text: string | Uint8Array) => warned.push(String(text)) > 0;
  try {
    expect(await get("config.json", dead)).toContain("snapshots");
  } finally {
    process.stderr.write = write;
  }
  const error = await failure(get("tokenizer.json", dead));
  expect(error.message).toContain("cannot get tokenizer.json of model org/small");
  expect(error.code).toBe("not_found");
});

test("refusals say what to do", async () => {
  const from = (name: string, kind: "model" | "dataset", file: string, more = {}) =>
    failure(hubFile(name, file, { kind, settings: settings(more) }));
  const nobody = await from("org/nothing", "model", "a.txt");
  expect(nobody.message).toContain("there is no model org/nothing");
  expect(nobody.hint).toContain("HF_TOKEN");
  const gated = await from("org/gated", "model", "a.txt");
  expect(gated.message).toContain("is gated");
  expect(gated.hint).toContain(`ask for access at ${hub.endpoint}/org/gated`);
  const absent = await from("org/small", "model", "absent.txt");
  expect(absent.message).toBe("model org/small has no file absent.txt");
  const revision = await failure(
    hubFile("org/small", "a", { kind: "model", revision: "v9", settings: settings() }),
  );
  expect(revision.message).toBe("model org/small has no revision v9");
  const wrong = await from("org/private", "dataset", "a.txt", { token: "other" });
  expect(wrong.hint).toContain("may not read it");
  for (const error of [nobody, gated, absent, revision, wrong])
    expect(error.code).toBe("not_found");
  const path = await hubFile("org/private", "a.txt", {
    kind: "dataset",
    settings: settings({ token: "secret" }),
  });
  expect(path).toContain("datasets--org--private");
});

test("no name leads out of the cache", async () => {
  for (const name of ["../up", "a/b/c", "a--b/c", "", "/abs"])
    expect((await failure(hubFile(name, "a", { kind: "model", settings: settings() }))).code).toBe(
      "config",
    );
  for (const file of ["../a", "a/../../b", "/etc/passwd", "a//b", "a\\b"])
    expect((await failure(get(file))).code).toBe("config");
});

test("eight at once fetch a file once", async () => {
  const paths = await Promise.all(
    Array.from({ length: 8 }, () => get("sub folder/model.safetensors")),
  );
  expect(new Set(paths).size).toBe(1);
  expect(hub.lines("GET").filter((line) => line.includes("signature")).length).toBe(1);
});

test("the list of files is complete, and stays so offline", async () => {
  const options = { kind: "model" as const, settings: settings() };
  const listing = await hubFiles("org/small", options);
  expect(listing).toEqual({
    commit: COMMIT,
    files: [
      { path: "config.json", bytes: config.content.length },
      { path: "sub folder/model.safetensors", bytes: weights.content.length },
    ],
  });
  await get("config.json");
  const offline = { ...options, settings: settings({ offline: true }) };
  expect(await hubFiles("org/small", offline)).toEqual(listing);
  const error = await failure(
    hubFiles("org/other", { kind: "dataset", settings: settings({ offline: true }) }),
  );
  expect(error.message).toContain("dataset org/other is not in the cache");
});

test("settings come from the variables that Python's huggingface_hub reads", () => {
  expect(hubSettings({ HF_HOME: "/h", HF_TOKEN: " t ", HF_HUB_OFFLINE: "yes" })).toEqual({
    endpoint: "https://huggingface.co",
    cache: "/h/hub",
    token: "t",
    offline: true,
    attempts: 5,
  });
  const more = {
    HF_HOME: "/h",
    HF_HUB_CACHE: "/c",
    HF_ENDPOINT: "http://x/",
    XDG_CACHE_HOME: "/x",
  };
  expect(hubSettings(more)).toMatchObject({ cache: "/c", endpoint: "http://x", offline: false });
  expect(hubSettings({ XDG_CACHE_HOME: "/x" }).cache).toBe("/x/huggingface/hub");
  writeFileSync(join(cache, "token"), "from-file\n");
  expect(hubSettings({ HF_HOME: cache }).token).toBe("from-file");
  expect(hubSettings({ HF_HOME: cache, HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" }).token).toBeUndefined();
});
