/** @file Runs under ROOT, and the one that a name means. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../util/errors.ts";

const folders = (path: string): string[] =>
  existsSync(path)
    ? readdirSync(path, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => entry.name)
        .sort()
    : [];

/** Run directories under ROOT as `project/group/name`. */
export function listRuns(root: string): string[] {
  const runs = join(root, "runs");
  return folders(runs).flatMap((project) =>
    folders(join(runs, project)).flatMap((group) =>
      folders(join(runs, project, group)).map((name) => `${project}/${group}/${name}`),
    ),
  );
}

/** RUN is a run directory, or `[[project/]group/]name` under ROOT. Throws when there is none, or more than one. */
export function findRun(run: string, root: string): string {
  if (existsSync(join(run, "run.json"))) return run;
  const matches = listRuns(root).filter((path) => path === run || path.endsWith(`/${run}`));
  const [only, ...others] = matches;
  if (only === undefined)
    throw new UserError(`no run is named "${run}" under ${root}`, {
      code: "not_found",
      hint: "give the run's directory, or --root",
    });
  if (others.length > 0)
    throw new UserError(`"${run}" may be any of ${matches.join(", ")}`, { code: "not_found" });
  return join(root, "runs", only);
}
