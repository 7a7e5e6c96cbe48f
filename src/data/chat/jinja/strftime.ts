/** @file datetime.strftime in the C locale, for templates that write the date. */
import { unsupported } from "./template_error.ts";

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  ...["January", "February", "March", "April", "May", "June", "July", "August"],
  ...["September", "October", "November", "December"],
];
const two = (value: number): string => String(value).padStart(2, "0");

const DIRECTIVES: Readonly<Record<string, (date: Date) => string>> = {
  "%": () => "%",
  d: (date) => two(date.getDate()),
  e: (date) => String(date.getDate()).padStart(2, " "),
  "-d": (date) => String(date.getDate()),
  m: (date) => two(date.getMonth() + 1),
  "-m": (date) => String(date.getMonth() + 1),
  b: (date) => (MONTHS[date.getMonth()] ?? "").slice(0, 3),
  B: (date) => MONTHS[date.getMonth()] ?? "",
  y: (date) => two(date.getFullYear() % 100),
  Y: (date) => String(date.getFullYear()),
  a: (date) => (DAYS[date.getDay()] ?? "").slice(0, 3),
  A: (date) => DAYS[date.getDay()] ?? "",
  w: (date) => String(date.getDay()),
  H: (date) => two(date.getHours()),
  I: (date) => two(date.getHours() % 12 || 12),
  M: (date) => two(date.getMinutes()),
  S: (date) => two(date.getSeconds()),
  p: (date) => (date.getHours() < 12 ? "AM" : "PM"),
  F: (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`,
  T: (date) => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`,
  j: (date) => {
    const start = Date.UTC(date.getFullYear(), 0, 1);
    const day = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
    return String((day - start) / 86_400_000 + 1).padStart(3, "0");
  },
};

export function strftime(format: string, date: Date): string {
  return format.replace(/%(-?[\s\S]|$)/g, (whole, directive: string) => {
    const run = Object.hasOwn(DIRECTIVES, directive) ? DIRECTIVES[directive] : undefined;
    if (run === undefined) throw unsupported(`${JSON.stringify(whole)} in a format of a date`);
    return run(date);
  });
}
