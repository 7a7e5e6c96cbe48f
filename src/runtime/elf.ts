/**
 * @file Refuses a damaged shared library before it is opened: the loader maps the file without comparing its length
 * with what the headers promise, and a truncated one kills the process with SIGBUS instead of an error.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

const HEADER_BYTES = 64;

/** Null when `path` looks like a whole 64-bit x86 shared library, else what is wrong. */
export function elfProblem(path: string): string | null {
  const fd = openSync(path, "r");
  try {
    const size = fstatSync(fd).size;
    const header = new DataView(new ArrayBuffer(HEADER_BYTES));
    if (readSync(fd, header, 0, HEADER_BYTES, 0) < HEADER_BYTES) return `only ${size} bytes long`;
    if (header.getUint32(0) !== 0x7f454c46) return "not an ELF file";
    const [elfClass, encoding, type, machine] = [
      header.getUint8(4),
      header.getUint8(5),
      header.getUint16(16, true),
      header.getUint16(18, true),
    ];
    if (elfClass !== 2 || encoding !== 1 || type !== 3 || machine !== 62)
      return "not a shared library for x86-64";
    // The section headers come last in what the linker writes, so their end is the file's.
    const sections = Number(header.getBigUint64(40, true));
    const end = sections + header.getUint16(58, true) * header.getUint16(60, true);
    if (end > size) return `truncated: ${size} bytes of ${end}`;
    return null;
  } finally {
    closeSync(fd);
  }
}
