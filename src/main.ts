/** @file Entry of `bun src/main.ts` and, through binary.ts, of the executable. */
import { VERSION } from "./util/version.ts";

export async function start(argv: readonly string[]): Promise<void> {
  // Answered before anything else is loaded: scripts ask for it often.
  if (argv[0] === "--version" || argv[0] === "-V") {
    process.stdout.write(`theseus ${VERSION}\n`);
    return;
  }
  const { main } = await import("./cli/main.ts");
  process.exitCode = await main(argv);
}

if (import.meta.main) await start(process.argv.slice(2));
