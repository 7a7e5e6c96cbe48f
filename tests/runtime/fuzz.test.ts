/** @file Thousands of damaged programs and nonsensical calls: errors, never a crash. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLibrary } from "../../src/runtime/library.ts";

const CASES = 6000;

test(`${CASES} damaged programs are refused, or run within bounds`, () => {
  const folder = mkdtempSync(join(tmpdir(), "theseus-fuzz-"));
  const dump = join(folder, "case.bin");
  const child = Bun.spawnSync(
    [process.execPath, join(import.meta.dir, "fuzz_worker.ts"), "0", String(CASES), dump],
    { timeout: 90_000 },
  );
  const lines = child.stdout.toString().trim().split("\n");
  const last = lines.at(-1) ?? "";
  // On a failure the dump stays, and the worker can be run again from the case that is named.
  expect(last, `${dump} crashed or hung: ${child.stderr.toString().slice(0, 500)}`).toStartWith(
    "result",
  );
  rmSync(folder, { recursive: true });
  const counts = JSON.parse(last.slice("result ".length));
  expect(counts.refused).toBeGreaterThan(CASES / 4);
  expect(counts.ran).toBeGreaterThan(CASES / 20);
}, 100_000);

test("functions refuse nonsense instead of following it", () => {
  const { symbols } = openLibrary();
  const numbers = [0, -1, 1, 2 ** 20, 2 ** 31, 2 ** 32 - 1, 2 ** 53 - 1, -(2 ** 53) + 1];
  const handles = numbers.filter((n) => n !== 0);
  for (const a of handles) {
    for (const b of numbers) {
      const results = [
        symbols.theseus_close(a),
        symbols.theseus_device_info(a, null, b),
        symbols.theseus_buffer_alloc(a, b),
        symbols.theseus_buffer_free(a),
        symbols.theseus_buffer_map(a),
        symbols.theseus_buffer_write(a, b, null, b),
        symbols.theseus_buffer_read(a, b, null, b),
        symbols.theseus_buffer_fill(a, b, b, b),
        symbols.theseus_buffer_copy(a, b, a, b, b),
        symbols.theseus_buffer_save(a, b, b, null, b, b),
        symbols.theseus_buffer_load(a, b, b, null, b, b),
        symbols.theseus_program_load(a, null, b),
        symbols.theseus_program_free(a),
        symbols.theseus_program_bind(a, b, b, b),
        symbols.theseus_program_run(a, b),
        symbols.theseus_program_info(a, null, b),
        symbols.theseus_program_profile_enable(a, b),
        symbols.theseus_program_profile(a, null, b),
        symbols.theseus_poll(a, b),
        symbols.theseus_wait(a, b, 0),
      ];
      for (const result of results) expect(result).toBeLessThan(0);
    }
  }
  const device = symbols.theseus_open(1, 0, 0);
  const buffer = symbols.theseus_buffer_alloc(device, 100);
  expect(device).toBeGreaterThan(0);
  for (const b of numbers) {
    for (const c of [101, -1, 2 ** 53 - 1]) {
      expect(symbols.theseus_buffer_write(buffer, b, null, c)).toBeLessThan(0);
      expect(symbols.theseus_buffer_copy(buffer, b, buffer, c, 1)).toBeLessThan(0);
      expect(symbols.theseus_buffer_save(buffer, b, c, null, 0, 0)).toBeLessThan(0);
    }
    expect(symbols.theseus_buffer_write(buffer, 0, null, 8)).toBeLessThan(0);
    expect(symbols.theseus_program_load(device, null, b)).toBeLessThan(0);
    expect(symbols.theseus_open(b === 0 ? -5 : b, 99, 0)).toBeLessThan(0);
  }
  expect(symbols.theseus_close(device)).toBe(0);
});
