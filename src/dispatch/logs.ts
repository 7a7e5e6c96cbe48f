/** @file The log of a job, from where the reader stands: asked for piece by piece, so that nothing stays behind on the host. */
import { expectRun, type Host } from "./host.ts";
import { quote } from "./quote.ts";

const PIECE = 1 << 20;

export interface LogPiece {
  readonly bytes: Uint8Array;
  /** Where the next piece begins. */
  readonly next: number;
}

/** `from` negative: so many lines from the end. */
export async function readLog(host: Host, log: string, from: number): Promise<LogPiece> {
  const file = quote(log);
  const script =
    from < 0
      ? `size=$(wc -c <${file} 2>/dev/null || echo 0); echo "$size"; head -c "$size" ${file} 2>/dev/null | tail -n ${-from}`
      : `size=$(wc -c <${file} 2>/dev/null || echo 0); [ "$size" -gt ${from + PIECE} ] && size=${from + PIECE}; echo "$size"
[ "$size" -gt ${from} ] && tail -c +${from + 1} ${file} | head -c $((size - ${from})); :`;
  const { bytes } = await expectRun(host, script, "read the log");
  const end = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf("\n");
  const size = Number(Buffer.from(bytes.subarray(0, Math.max(0, end))).toString());
  return { bytes: bytes.subarray(end + 1), next: Number.isFinite(size) ? size : Math.max(0, from) };
}
