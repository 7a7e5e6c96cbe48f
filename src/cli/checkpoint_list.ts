/** @file theseus checkpoint list: the checkpoints of a run, as their manifests describe them. */
import { statSync } from "node:fs";
import { pointedTo } from "../train/checkpoint/choose.ts";
import { realFiles } from "../train/checkpoint/files.ts";
import { type Manifest, parseManifest } from "../train/checkpoint/manifest.ts";
import { type CheckpointFolder, listCheckpoints } from "../train/checkpoint/restore.ts";
import { checkpointRoot } from "../train/checkpointer.ts";
import { UserError } from "../util/errors.ts";
import { bytesText } from "../util/quantities.ts";
import { command } from "./command.ts";
import { tableText } from "./format.ts";
import { findRun, rootArgs, rootOf } from "./place.ts";

async function manifestOf(folder: CheckpointFolder): Promise<Manifest | string> {
  const path = `${folder.path}/manifest.json`;
  try {
    return parseManifest(await realFiles.readText(path), path);
  } catch (error) {
    return error instanceof UserError ? error.message : "no readable manifest";
  }
}

async function described(folder: CheckpointFolder, latest: string | null, best: string | null) {
  const { name, step, path } = folder;
  const time = statSync(path).mtime.toISOString();
  const marks = { latest: name === latest, best: name === best };
  const manifest = await manifestOf(folder);
  if (typeof manifest === "string")
    return {
      step,
      name,
      time,
      bytes: null,
      tokens: null,
      permanent: false,
      ...marks,
      problem: manifest,
    };
  const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0);
  const { tokens, permanent } = manifest;
  return { step, name, time, bytes, tokens, permanent, ...marks, problem: null };
}

type Described = Awaited<ReturnType<typeof described>>;

function rowOf({ name, time, bytes, permanent, latest, best, problem }: Described): string[] {
  const notes = [
    ...(latest ? ["latest"] : []),
    ...(best ? ["best"] : []),
    ...(permanent ? ["permanent"] : []),
    ...(problem === null ? [] : [`unreadable: ${problem}`]),
  ];
  const shownTime = time.slice(0, 19).replace("T", " ");
  return [name, shownTime, bytes === null ? "-" : bytesText(bytes), notes.join(", ")];
}

export const checkpointList = command({
  name: "checkpoint list",
  summary: "the checkpoints of a run, oldest first",
  examples: ["theseus checkpoint list first", "theseus checkpoint list first --json"],
  args: {
    run: { type: "positional", required: true, description: "run directory, or its name" },
    ...rootArgs,
  },
  async run({ args }) {
    const directory = findRun(args.run, rootOf(undefined, args.root));
    const root = checkpointRoot(directory);
    const latest = await pointedTo(realFiles, root, "latest");
    const best = await pointedTo(realFiles, root, "best");
    const folders = await listCheckpoints(realFiles, root);
    const checkpoints = await Promise.all(folders.map((each) => described(each, latest, best)));
    if (args.json === true)
      process.stdout.write(`${JSON.stringify({ schema_version: 1, directory, checkpoints })}\n`);
    else
      process.stdout.write(
        checkpoints.length === 0
          ? `no checkpoints in ${root}\n`
          : tableText([["name", "time (UTC)", "size", ""], ...checkpoints.map(rowOf)]),
      );
    return 0;
  },
});
