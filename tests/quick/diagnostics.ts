/** @file What tsc says about TypeScript that uses the package, in a folder of its own. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { $ } from "bun";

const repository = join(import.meta.dir, "../..");

const OPTIONS = {
  ...{ target: "ESNext", module: "ESNext", moduleResolution: "bundler", lib: ["ESNext"] },
  ...{ types: ["bun"], strict: true, noEmit: true },
};

export interface UserFolder {
  readonly path: string;
  write(file: string, text: string): void;
  /** `file(line): code` of each error, with the message's first line. */
  check(): Promise<string[]>;
  remove(): void;
}

/** A folder as a user has it. `packages` are linked from this repository, `options` and `include` go to its tsconfig. */
export function userFolder(
  packages: readonly string[],
  options: object = {},
  include: readonly string[] = [],
): UserFolder {
  const path = mkdtempSync(join(tmpdir(), "theseus-user-"));
  const modules = join(path, "node_modules");
  const write = (file: string, text: string) => writeFileSync(join(path, file), text);
  for (const name of ["@types", "bun-types", "undici-types", ...packages]) {
    // A scoped package lies in a folder of its scope.
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(repository, "node_modules", name), join(modules, name));
  }
  const compilerOptions = { ...OPTIONS, ...options };
  write("tsconfig.json", JSON.stringify({ compilerOptions, include: ["*.ts", ...include] }));
  write("package.json", JSON.stringify({ name: "user", type: "module" }));
  return {
    path,
    write,
    async check() {
      const tsc = join(repository, "node_modules/.bin/tsc");
      const { stdout } = await $`${tsc} -p ${path} --pretty false`.cwd(path).nothrow().quiet();
      const lines = stdout.toString().trimEnd().split("\n");
      return lines.filter((line) => line !== "" && !line.startsWith(" "));
    },
    remove: () => rmSync(path, { recursive: true }),
  };
}
