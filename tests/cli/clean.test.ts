/** @file theseus clean: what goes by itself, what goes when it is asked for, and what never goes. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { SMALL_CONFIG, Workplace } from "./command_line.ts";

setDefaultTimeout(60_000);
const place = new Workplace();
const runDirectory = (name: string): string =>
  join(place.path, "theseus-out/runs/general/default", name);
const first = runDirectory("first");
const checkpoints = join(first, "checkpoints");
const steps = (folder: string) =>
  readdirSync(folder)
    .filter((n) => n.startsWith("step-"))
    .sort();
/** A cache of its own, so that the one of whoever runs the tests stays. */
const cache = { THESEUS_CACHE: join(place.path, "cache"), XDG_CACHE_HOME: join(place.path, "xdg") };
const clean = (...args: string[]) => place.run(["clean", ...args], cache);
const dead = { host: hostname(), pid: 1, started: "-1", nonce: "n" };

/** As if this process, which is alive, were at work there. */
function hold(name: string): void {
  const stat = readFileSync(`/proc/${process.pid}/stat`, "utf8");
  const started = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  const owner = { ...dead, pid: process.pid, started };
  writeFileSync(join(runDirectory(name), "lock"), JSON.stringify(owner));
}

afterAll(() => place.remove());
beforeAll(async () => {
  place.file("small.yaml", SMALL_CONFIG);
  const args = ["run", "first", "small.yaml", "checkpoint.keep=3"];
  expect(await place.run(args)).toMatchObject({ code: 0 });
  expect(await place.run(["restore", "first@8"])).toMatchObject({ code: 0 });
});

test("clean deletes leavings and what was superseded, never what a live run uses", async () => {
  const grave = join(checkpoints, `step-000016.tmp-${crypto.randomUUID()}`);
  cpSync(join(checkpoints, "step-000012"), grave, { recursive: true });
  writeFileSync(join(first, "model.safetensors.tmp"), "half");
  writeFileSync(join(first, "lock"), JSON.stringify(dead));
  cpSync(first, runDirectory("live"), { recursive: true });
  // This process is alive: whoever holds the lock of the copy is at work.
  const stat = readFileSync(`/proc/${process.pid}/stat`, "utf8");
  const started = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  writeFileSync(
    join(runDirectory("live"), "lock"),
    JSON.stringify({ ...dead, pid: process.pid, started }),
  );
  const all = (name: string) => readdirSync(runDirectory(name), { recursive: true }).sort();
  const [before, live] = [all("first"), all("live")];

  const dry = await clean("--dry-run");
  expect(dry.stdout).toContain("model.safetensors.tmp (temporary, 4 B)");
  expect(dry.stdout).toMatch(/would delete .* in all/);
  expect(dry.stderr).toContain("general/default/live is running: left alone");
  expect(all("first")).toEqual(before);

  expect(await clean()).toMatchObject({ code: 0 });
  expect(all("live")).toEqual(live);
  expect(existsSync(grave)).toBe(false);
  expect(existsSync(join(first, "superseded"))).toBe(false);
  expect(existsSync(join(first, "lock"))).toBe(false);
  expect(existsSync(join(first, "model.safetensors.tmp"))).toBe(false);
  expect(steps(checkpoints)).toEqual(["step-000004", "step-000008", "step-000012"]);
  expect((await clean()).stdout).toBe("nothing to delete\n");
  rmSync(runDirectory("live"), { recursive: true });
});

test("runs that were moved aside and dead ones go when it is asked for, live and submitted ones never", async () => {
  expect(await place.run(["run", "again", "small.yaml"])).toMatchObject({ code: 0 });
  expect(await place.run(["run", "again", "small.yaml", "--fresh"])).toMatchObject({ code: 0 });
  const copy = (name: string) =>
    cpSync(runDirectory("again"), runDirectory(name), { recursive: true });
  for (const name of ["held.old-1", "queued.old-1", "dead", "ended", "table"]) copy(name);
  hold("held.old-1");
  for (const name of ["queued.old-1", "dead"]) rmSync(join(runDirectory(name), "exit.json"));
  mkdirSync(join(runDirectory("queued.old-1"), "submit"));
  for (const name of ["dead", "ended", "table"])
    rmSync(join(runDirectory(name), "checkpoints"), { recursive: true });
  // No training has no checkpoints, and is not dead for that.
  writeFileSync(join(runDirectory("table"), "run.json"), JSON.stringify({ job: "data/tokenize" }));
  rmSync(join(runDirectory("table"), "exit.json"));

  const names = () => readdirSync(join(place.path, "theseus-out/runs/general/default")).sort();
  const before = names();
  await clean();
  expect(names()).toEqual(before);
  const dry = await clean("--moved-aside", "--dead", "--dry-run");
  expect(dry.stdout).toMatch(/would delete .*again\.old-1 \(moved-aside run, /);
  expect(dry.stdout).toMatch(/would delete .*\/dead \(dead run, /);
  expect(names()).toEqual(before);
  await clean("--moved-aside");
  expect(names()).toEqual(before.filter((name) => name !== "again.old-1"));
  await clean("--dead");
  expect(names()).toEqual(before.filter((name) => name !== "again.old-1" && name !== "dead"));
});

test("libraries of other versions go when nobody used them for a month or has them open", async () => {
  const library = (version: string, days: number): string => {
    const path = join(cache.THESEUS_CACHE, `lib-${version.repeat(16)}`);
    mkdirSync(path, { recursive: true });
    const file = join(path, "libtheseus.so");
    cpSync(join(import.meta.dir, "../../zig-out/lib/libtheseus.so"), file);
    const used = Date.now() / 1000 - days * 86_400;
    utimesSync(file, used, used);
    return path;
  };
  const [old, young, open] = [library("a", 40), library("b", 20), library("c", 40)];
  mkdirSync(join(cache.THESEUS_CACHE, "lib-mine"));
  const env = { ...process.env, THESEUS_LIBRARY: join(open, "libtheseus.so") };
  const script = `const { libraryInfo } = await import(${JSON.stringify(
    join(import.meta.dir, "../../src/runtime/index.ts"),
  )}); libraryInfo(); console.log("open"); for await (const _ of process.stdin) {}`;
  const child = Bun.spawn([process.execPath, "-e", script], {
    ...{ env, stdin: "pipe", stdout: "pipe" },
  });
  try {
    const { value } = await child.stdout.getReader().read();
    expect(new TextDecoder().decode(value)).toBe("open\n");
    expect((await clean("--dry-run")).stdout).toContain(`would delete ${old} (library, `);
    expect(existsSync(old)).toBe(true);
    await clean();
    expect([old, young, open].map((path) => existsSync(path))).toEqual([false, true, true]);
    expect(existsSync(join(cache.THESEUS_CACHE, "lib-mine"))).toBe(true);
  } finally {
    child.kill();
    await child.exited;
  }
});
