/** @file The two forms of the program in which every example is run: the source tree and the executable. */
import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { $ } from "bun";

const repository = join(import.meta.dir, "../..");

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Program {
  readonly name: string;
  /** The words before a command's own. */
  command(): Promise<readonly string[]>;
}

async function executable(): Promise<string> {
  const path = join(repository, "dist/theseus");
  if (!existsSync(path)) await $`${process.execPath} scripts/build.ts`.cwd(repository).quiet();
  return path;
}

export const PROGRAMS: readonly Program[] = [
  { name: "source", command: async () => [process.execPath, join(repository, "src/main.ts")] },
  { name: "executable", command: async () => [await executable()] },
];

export const example = (name: string): string => join(repository, "examples", name);

export const newRoot = (): string => mkdtempSync(join(tmpdir(), "theseus-examples-"));

export async function run(command: readonly string[]): Promise<Outcome> {
  const child = Bun.spawn([...command], {
    ...{ stdout: "pipe", stderr: "pipe", env: { ...Bun.env, NO_COLOR: "1" } },
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}
