/** @file theseus hosts: what the hosts of the dispatch file offer, and what is wrong with them. */
import { checkHost, type HostCheck, offerOf } from "../dispatch/check_host.ts";
import { hostNamed } from "../dispatch/dispatch_file.ts";
import { openHost } from "../dispatch/host.ts";
import { CUDA_LIBRARIES, type Settled, setupHost } from "../dispatch/setup_host.ts";
import { cudaLibraryFolders } from "../runtime/index.ts";
import { log } from "../util/log.ts";
import { bytesText } from "../util/quantities.ts";
import { command } from "./command.ts";
import { dispatchArgs, dispatchFileOf, printJson } from "./dispatch_args.ts";
import { tableText } from "./format.ts";
import { binaryOf } from "./submission.ts";
import { uploadLine } from "./upload_line.ts";

function showChecks(host: string, checks: readonly HostCheck[]): void {
  process.stdout.write(`${host}\n`);
  process.stdout.write(tableText(checks.map(({ state, name, detail }) => [state, name, detail])));
  for (const { name, fix } of checks)
    if (fix !== undefined) process.stdout.write(`  fix for ${name}: ${fix}\n`);
}

function showSettled(settled: readonly Settled[]): void {
  for (const { what, target, bytes, state } of settled) {
    const how = { here: "there already", copied: `copied ${bytesText(bytes)}`, missing: "missing" };
    process.stdout.write(`${how[state]}: ${what}${target === "" ? "" : ` -> ${target}`}\n`);
  }
}

export default command({
  name: "hosts",
  summary: "what the hosts offer, and what is wrong with them",
  examples: [
    "theseus hosts",
    "theseus hosts --check",
    "theseus hosts login --check",
    "theseus hosts --setup login",
  ],
  args: {
    host: { type: "positional", required: false, description: "one host alone" },
    ...dispatchArgs,
    check: { type: "boolean", description: "look for everything that a job may miss there" },
    setup: {
      type: "string",
      valueHint: "host",
      description: "copy theseus and what is missing of CUDA's libraries to a host",
    },
  },
  async run({ args }) {
    const file = dispatchFileOf(args);
    const json = args.json === true;
    if (args.setup !== undefined) {
      const host = openHost(hostNamed(file, args.setup));
      const line = uploadLine(args.quiet === true || json);
      let settled: readonly Settled[];
      try {
        settled = await setupHost(host, binaryOf(), cudaLibraryFolders(), line.for);
      } finally {
        line.end();
      }
      if (json) printJson({ host: args.setup, settled });
      else showSettled(settled);
      for (const { what, state } of settled)
        if (state === "missing")
          log.warn(
            `${what} is neither there nor here; the Python package ${CUDA_LIBRARIES[what]} brings it: ` +
              "install it here and name its folder in THESEUS_CUDA_LIBRARIES",
          );
      return 0;
    }
    const entries = args.host === undefined ? file.hosts : [hostNamed(file, args.host)];
    if (args.check === true) {
      const hosts = await Promise.all(
        entries.map(async (entry) => ({
          host: entry.name,
          checks: await checkHost(openHost(entry)),
        })),
      );
      if (json) printJson({ hosts });
      else for (const { host, checks } of hosts) showChecks(host, checks);
      return hosts.some(({ checks }) => checks.some(({ state }) => state === "fail")) ? 4 : 0;
    }
    const offers = await Promise.all(entries.map((entry) => offerOf(openHost(entry))));
    if (json) printJson({ hosts: offers });
    else
      process.stdout.write(
        tableText(
          offers.map(({ host, type, cluster, offers: text, problem }) => [
            host,
            type,
            cluster,
            problem ?? text,
          ]),
        ),
      );
    return offers.some(({ problem }) => problem !== null) ? 4 : 0;
  },
});
