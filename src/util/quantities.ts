/** @file Bytes and counts for people. */

const scaled = (value: number, base: number, units: readonly string[]): string => {
  let unit = 0;
  let scaledValue = value;
  while (scaledValue >= base && unit < units.length - 1) {
    scaledValue /= base;
    unit++;
  }
  const digits = unit === 0 || scaledValue >= 100 ? 0 : scaledValue >= 10 ? 1 : 2;
  return `${scaledValue.toFixed(digits)}${units[unit]}`;
};

/** `1.23 GiB` */
export const bytesText = (bytes: number): string =>
  scaled(bytes, 1024, [" B", " KiB", " MiB", " GiB", " TiB"]);

/** `10.8M` */
export const countText = (count: number): string => scaled(count, 1000, ["", "K", "M", "G", "T"]);
