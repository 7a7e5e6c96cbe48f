/** @file Memory and time as they are written: `"64 GiB"`, `"12 hours"`, and SLURM's `"1-12:00:00"`. */

const UNIT_BYTES: Readonly<Record<string, number>> = {
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
  // As in SLURM's --mem, where letters alone count in powers of two.
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
};
const MEMORY = /^(\d+(?:\.\d+)?)\s*([KMGT](?:i?B)?)$/;

/** Bytes; undefined where the value is no amount of memory. */
export function parseMemory(value: unknown): number | undefined {
  const [, number, unit] = (typeof value === "string" && MEMORY.exec(value)) || [];
  const scale = UNIT_BYTES[unit ?? ""];
  const bytes = Math.round(Number(number) * (scale ?? Number.NaN));
  return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : undefined;
}

const UNIT_SECONDS: Readonly<Record<string, number>> = {
  second: 1,
  minute: 60,
  hour: 3600,
  day: 86_400,
};
const WORDS = /^(\d+(?:\.\d+)?)\s*([a-z]+?)s?$/;
const CLOCK = /^(?:(\d+)-)?(\d{1,3}):([0-5]\d):([0-5]\d)$/;

/** Seconds; undefined where the value is no duration. */
export function parseDuration(value: unknown): number | undefined {
  if (typeof value !== "string") return undefined;
  const [clock, days = "0", hours, minutes, seconds] = CLOCK.exec(value) ?? [];
  const [, number, unit] = WORDS.exec(value) ?? [];
  const total =
    clock === undefined
      ? Number(number) * (UNIT_SECONDS[unit ?? ""] ?? Number.NaN)
      : Number(days) * 86_400 + Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
  return Number.isFinite(total) && total > 0 ? Math.ceil(total) : undefined;
}
