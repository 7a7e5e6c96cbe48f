/**
 * @file Compares the cache that hubFile leaves with that of Python's huggingface_hub, against one server, and lets each read the
 * other's offline. Usage: bun scripts/parity/compare_hub_cache.ts PYTHON (one that has huggingface_hub)
 */
import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hubFile } from "../../src/data/hub/hub_file.ts";
import { hubSettings } from "../../src/data/hub/settings.ts";
import { COMMIT, FakeHub } from "../../tests/data/hub/fake_hub.ts";

const FILES = [
  ["model", "org/small", "config.json"],
  ["model", "org/small", "sub dir/model.safetensors"],
  ["dataset", "org/data", "a/b/train.jsonl"],
] as const;

/** Every file with its content, every link with its target; locks come and go. */
function layout(cache: string): string {
  return readdirSync(cache, { recursive: true, encoding: "utf8" })
    .filter((name) => !name.startsWith(".locks") && !lstatSync(join(cache, name)).isDirectory())
    .sort()
    .map((name) => {
      const path = join(cache, name);
      const link = lstatSync(path).isSymbolicLink();
      return `${name} ${link ? `-> ${readlinkSync(path)}` : Bun.hash.xxHash3(readFileSync(path))}`;
    })
    .join("\n");
}

async function python(env: Record<string, string>): Promise<void> {
  const script = join(import.meta.dir, "read_hub_cache.py");
  const child = Bun.spawn([process.argv[2] ?? "python3", script, ...FILES.flat()], {
    env: { ...process.env, ...env, HF_HUB_DISABLE_XET: "1", HF_HUB_DISABLE_TELEMETRY: "1" },
    stdio: ["ignore", "ignore", "inherit"],
  });
  if ((await child.exited) !== 0) throw new Error("huggingface_hub failed");
}

async function ours(env: Record<string, string>): Promise<void> {
  const settings = hubSettings(env);
  for (const [kind, repo, file] of FILES) await hubFile(repo, file, { kind, settings });
}

const root = mkdtempSync(join(tmpdir(), "theseus-hub-"));
using hub = new FakeHub({
  "models/org/small": {
    commit: COMMIT,
    files: {
      "config.json": { content: new TextEncoder().encode("{}") },
      "sub dir/model.safetensors": { content: new Uint8Array(300_000).fill(7), large: true },
    },
  },
  "datasets/org/data": {
    commit: COMMIT,
    files: { "a/b/train.jsonl": { content: new TextEncoder().encode('{"text":"x"}\n') } },
  },
});
try {
  const env = (name: string) => ({ HF_HOME: join(root, name), HF_ENDPOINT: hub.endpoint });
  await python(env("python"));
  await ours(env("ours"));
  const [theirs, mine] = ["python", "ours"].map((name) => layout(join(root, name, "hub")));
  if (theirs !== mine) throw new Error(`the caches differ:\n${theirs}\n\n${mine}`);
  await python({ ...env("ours"), HF_HUB_OFFLINE: "1" });
  await ours({ ...env("python"), HF_HUB_OFFLINE: "1" });
  console.log(`the same cache, and each reads the other's:\n${mine}`);
} finally {
  rmSync(root, { recursive: true });
}
