/** @file How fast runs have been on a host: what their folders there tell, for judging how long another one will take. */
import type { Host } from "./host.ts";
import { expectRun, MARK, sections } from "./host.ts";
import { type RunName, runFolder } from "./job_spec.ts";
import { quote } from "./quote.ts";
import measure from "./sh/measure.sh" with { type: "text" };

export interface Measured {
  readonly directory: string;
  /** Of the run itself that was asked about. */
  readonly own: boolean;
  /** config.resolved.yaml */
  readonly config: string;
  readonly step: number;
  readonly tokens: number;
  readonly tokensPerSecond: number;
}

interface Line {
  readonly step: number;
  readonly tokens: number;
  readonly tokens_per_s: number;
}

function linesOf(text: string): Line[] {
  return text.split("\n").flatMap((line): Line[] => {
    try {
      const metrics = JSON.parse(line) as Line;
      return Number.isFinite(metrics.tokens_per_s) ? [metrics] : [];
    } catch {
      return [];
    }
  });
}

/** The run itself first, then others that this host ran on the same chip, newest first; `root` absolute. */
export async function measuredOn(
  host: Host,
  root: string,
  run: RunName,
  chip: string | null,
): Promise<Measured[]> {
  const own = runFolder(root, run);
  const script = [
    `section() { printf '\\n%s %s\\n' '${MARK}' "$1"; }`,
    `root=${quote(root)}`,
    `own=${quote(own)}`,
    `host=${quote(`"host": ${JSON.stringify(host.entry.name)}`)}`,
    `chip=${quote(`"chip": ${JSON.stringify(chip)}`)}`,
    measure,
  ].join("\n");
  const { stdout } = await expectRun(host, script, "look at earlier runs");
  const parts = sections(stdout);
  const out: Measured[] = [];
  for (let i = 0; parts.has(`run${i}`); i++) {
    const directory = parts.get(`run${i}`)?.trim() ?? "";
    const lines = linesOf(parts.get(`run${i}.metrics`) ?? "");
    const last = lines.at(-1);
    const rates = lines.map((line) => line.tokens_per_s).sort((a, b) => a - b);
    const tokensPerSecond = rates[Math.floor(rates.length / 2)] ?? 0;
    if (last === undefined || tokensPerSecond <= 0) continue;
    const { step, tokens } = last;
    const config = parts.get(`run${i}.config`) ?? "";
    out.push({ directory, own: directory === own, config, step, tokens, tokensPerSecond });
  }
  return out;
}
