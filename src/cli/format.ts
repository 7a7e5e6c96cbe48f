/** @file Durations and tables for people. */

/** `42s`, `3m 05s`, `2h 10m`, `5d 03h` */
export function durationText(seconds: number): string {
  if (!Number.isFinite(seconds)) return "-";
  const whole = Math.round(seconds);
  const two = (value: number): string => String(value).padStart(2, "0");
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)}h ${two(Math.floor(whole / 60) % 60)}m`;
  return `${Math.floor(whole / 86400)}d ${two(Math.floor(whole / 3600) % 24)}h`;
}

/** Rows with aligned columns; a column of nothing but quantities is aligned to the right. */
export function tableText(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const cells = (i: number): string[] => rows.map((row) => row[i] ?? "");
  const widths = Array.from({ length: columns }, (_, i) =>
    Math.max(...cells(i).map((cell) => cell.length)),
  );
  const right = widths.map((_, i) =>
    cells(i).every((cell) => /^[-\d][\d.]*( ?[KMGT]?i?B?)?$/.test(cell)),
  );
  const aligned = (cell: string, i: number): string =>
    right[i] === true ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0);
  return rows.map((row) => `  ${row.map(aligned).join("  ").trimEnd()}\n`).join("");
}
