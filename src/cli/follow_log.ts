/** @file The log of a submitted run while it goes on. Ctrl-C only ends the watching. */
import type { Host } from "../dispatch/host.ts";
import type { JobRecord } from "../dispatch/job_record.ts";
import type { RunState } from "../dispatch/ladder.ts";
import { readLog } from "../dispatch/logs.ts";
import { queryHost } from "../dispatch/query.ts";
import { log } from "../util/log.ts";
import { EXIT_CODES } from "./exit_codes.ts";

const POLL_MS = 1000;
/** How often the state is asked for, in reads of the log. */
const STATE_EVERY = 3;
const EXIT_DETACHED = 130;
const EXIT_RESUMABLE = 75;

const OVER: readonly RunState[] = ["finished", "failed", "cancelled"];

function exitOf(state: RunState): number {
  if (state === "finished") return 0;
  return state === "failed" ? EXIT_CODES.run_failed : EXIT_RESUMABLE;
}

export function writePiece(bytes: Uint8Array, json: boolean): void {
  if (bytes.length === 0) return;
  if (!json) process.stdout.write(bytes);
  else
    for (const line of Buffer.from(bytes).toString().replace(/\n$/, "").split("\n"))
      process.stdout.write(`${JSON.stringify({ schema_version: 1, line })}\n`);
}

/** From `lines` before the end on, until the run is over; the exit code says how it ended. */
export async function followLog(
  host: Host,
  record: JobRecord,
  json: boolean,
  lines = 0,
): Promise<number> {
  let detached = false;
  const detach = (): void => {
    detached = true;
    log.info(`\nstopped watching; the job goes on (theseus cancel ${record.name} ends it)`);
    process.exit(EXIT_DETACHED);
  };
  process.on("SIGINT", detach);
  try {
    let at = lines > 0 ? -lines : 0;
    for (let turn = 1; !detached; turn++) {
      const piece = await readLog(host, record.log, at);
      writePiece(piece.bytes, json);
      const idle = piece.bytes.length === 0;
      at = piece.next;
      if (idle && turn % STATE_EVERY === 0) {
        const [status] = (await queryHost(host, [record.directory])).statuses;
        if (status !== undefined && OVER.includes(status.state)) {
          // What was written between the last read and the end.
          writePiece((await readLog(host, record.log, at)).bytes, json);
          log.info(
            `${status.run}: ${status.state}${status.reason === "" ? "" : `, ${status.reason}`}`,
          );
          return exitOf(status.state);
        }
      }
      if (idle) await Bun.sleep(POLL_MS);
    }
    return EXIT_DETACHED;
  } finally {
    process.off("SIGINT", detach);
  }
}
