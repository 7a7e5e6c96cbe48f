/** @file Repositories of the Hugging Face hub that a run names: jobs fetch nothing, so that they must be in the host's cache before. */
import { UserError } from "../util/errors.ts";
import { expectRun, type Host } from "./host.ts";
import { quote } from "./quote.ts";

/** `hf:org/name`, perhaps with a revision or a file behind it. */
const REPO = /^hf:([\w.-]+)\/([\w.-]+)/;

export interface Named {
  /** The setting that names it. */
  readonly key: string;
  readonly value: string;
}

/** `environment`: what the job will have in its own, where HF_HOME and HF_HUB_CACHE may be set. */
export async function expectInCache(
  host: Host,
  named: readonly Named[],
  environment: string,
): Promise<void> {
  const repos = named.flatMap(({ key, value }) => {
    const [, owner, name] = REPO.exec(value) ?? [];
    return owner === undefined ? [] : [{ key, value, folder: `${owner}--${name}` }];
  });
  if (repos.length === 0) return;
  const tests = repos.map(
    ({ folder }, i) =>
      `[ -d "$cache"/models--${quote(folder)} ] || [ -d "$cache"/datasets--${quote(folder)} ] || echo ${i}`,
  );
  // The values come on standard input: they may be secrets, which no argument shows.
  const cache = `"\${HF_HUB_CACHE:-\${HF_HOME:-$HOME/.cache/huggingface}/hub}"`;
  const input = new TextEncoder().encode(environment);
  const script = [`eval "$(head -c ${input.length})"`, `cache=${cache}`, ...tests, ":"].join("\n");
  const { stdout } = await expectRun(host, script, "look into the hub's cache", { input });
  const absent = new Set(stdout.trim().split("\n"));
  const missing = repos.filter((_, i) => absent.has(String(i)));
  if (missing.length === 0) return;
  const list = missing.map(({ key, value }) => `\n  ${key}: ${value}`).join("");
  throw new UserError(`not in the Hugging Face cache of ${host.entry.name}:${list}`, {
    code: "not_found",
    hint: "jobs fetch nothing: fetch it there once, or copy your cache; nothing was submitted",
  });
}
