/** @file Opening the library and the device: whatever is wrong with either is one clear line. */
import { afterAll, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LEVELS, libraryInfo, openDevice } from "../../src/runtime/index.ts";

const folder = mkdtempSync(join(tmpdir(), "theseus-library-"));
afterAll(() => rmSync(folder, { recursive: true }));

const runtime = JSON.stringify(join(import.meta.dir, "../../src/runtime/index.ts"));
const script = `
  const { openDevice } = await import(${runtime});
  try {
    console.log(openDevice().info.level, openDevice().info.threads);
  } catch (error) {
    console.log(error.name + ": " + error.message);
  }`;

/** The library opens once per process, so each case gets one of its own. */
function openWith(environment: Readonly<Record<string, string>>): string {
  const env = { ...process.env, ...environment };
  const child = Bun.spawnSync([process.execPath, "-e", script], { env });
  expect(child.exitCode).toBe(0);
  return child.stdout.toString().trim();
}

test("a missing library", () => {
  expect(openWith({ THESEUS_LIBRARY: "/nowhere/lib.so" })).toBe(
    "DeviceError: no native library at /nowhere/lib.so",
  );
});

test("a truncated, foreign or garbled library", () => {
  const { path } = libraryInfo();
  const cut = join(folder, "cut.so");
  copyFileSync(path, cut);
  truncateSync(cut, 100_000);
  expect(openWith({ THESEUS_LIBRARY: cut })).toMatch(
    /^DeviceError: cannot open the native library .*cut.so: truncated: 100000 bytes of \d+$/,
  );
  truncateSync(cut, 10);
  expect(openWith({ THESEUS_LIBRARY: cut })).toEndWith("cut.so: only 10 bytes long");
  const text = join(folder, "text.so");
  writeFileSync(text, "not a library, ".repeat(20));
  expect(openWith({ THESEUS_LIBRARY: text })).toEndWith("text.so: not an ELF file");
  const foreign = openWith({ THESEUS_LIBRARY: "/lib/x86_64-linux-gnu/libm.so.6" });
  expect(foreign).toStartWith("DeviceError: cannot open the native library");
  expect(foreign.split("\n").length).toBe(1);
});

test("levels and threads come from the environment and are checked", () => {
  expect(openWith({ THESEUS_CPU_LEVEL: "v3", THESEUS_THREADS: "3" })).toBe("v3 3");
  expect(openWith({ THESEUS_CPU_LEVEL: "v9" })).toBe(
    'DeviceError: THESEUS_CPU_LEVEL: expected one of v3, v4, v4_bf16, got "v9"',
  );
  expect(openWith({ THESEUS_THREADS: "many" })).toBe(
    'DeviceError: THESEUS_THREADS: expected an integer >= 1, got "many"',
  );
  expect(() => openDevice({ threads: 1000 })).toThrow(
    "1000 threads, expected 0 (one per core) to 256",
  );
});

test("a level above the machine's is refused, those below open", () => {
  const { cpu_level } = libraryInfo();
  for (const level of LEVELS) {
    if (LEVELS.indexOf(level) <= LEVELS.indexOf(cpu_level as (typeof LEVELS)[number])) {
      using device = openDevice({ level, threads: 1 });
      expect(device.info.level).toBe(level);
    } else {
      expect(() => openDevice({ level })).toThrow(
        `CPU level ${level} was asked for, this machine has ${cpu_level}`,
      );
    }
  }
});
