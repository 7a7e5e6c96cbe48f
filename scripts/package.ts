/**
 * @file Packs dist/npm/theseus-VERSION.tgz: the sources (Bun runs TypeScript), the native library that zig-out holds, and
 * generated declarations, so that an editor and tsc check scripts and models against the public door src/index.ts.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { $ } from "bun";
import pack from "../package.json" with { type: "json" };

const root = join(import.meta.dir, "..");
/** Another folder: for tests, which must not disturb a release. */
const out = process.argv[2] ?? join(root, "dist/npm");
const folder = join(out, "package");
const library = "zig-out/lib/libtheseus.so";

function copy(path: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  cpSync(join(root, path), join(folder, path));
}

async function declarations(): Promise<void> {
  const config = join(out, "tsconfig.json");
  const compilerOptions = {
    ...{ noEmit: false, declaration: true, emitDeclarationOnly: true, paths: {} },
    ...{
      rootDir: root,
      outDir: join(folder, "types"),
      typeRoots: [join(root, "node_modules/@types")],
    },
  };
  const files = ["src/index.ts", ...new Bun.Glob("src/**/*.d.ts").scanSync(root)];
  const extended = join(root, "tsconfig.json");
  const text = {
    extends: extended,
    compilerOptions,
    include: [],
    files: files.map((f) => join(root, f)),
  };
  writeFileSync(config, JSON.stringify(text));
  await $`${join(root, "node_modules/.bin/tsc")} -p ${config}`;
  rmSync(config);
}

const manifest = {
  name: pack.name,
  version: pack.version,
  description: pack.description,
  license: pack.license,
  type: "module",
  engines: { bun: `>=${pack.packageManager.split("@")[1]}` },
  os: ["linux"],
  cpu: ["x64"],
  bin: { theseus: "bin/theseus.ts" },
  exports: { ".": { types: "./types/src/index.d.ts", default: "./src/index.ts" } },
  types: "./types/src/index.d.ts",
  dependencies: pack.dependencies,
};

if (!existsSync(join(root, library)))
  throw new Error(`there is no ${library}: build it with \`zig build\``);
rmSync(out, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
for (const path of new Bun.Glob("{src,configs}/**/*").scanSync(root)) copy(path);
for (const path of [library, "LICENSE", "docs/quick-api.md"]) copy(path);
mkdirSync(join(folder, "bin"));
writeFileSync(
  join(folder, "bin/theseus.ts"),
  `#!/usr/bin/env bun\nimport { start } from "../src/main.ts";\n\nawait start(process.argv.slice(2));\n`,
  { mode: 0o755 },
);
writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
await declarations();

// Fixed owner, order and time: the same sources give the same archive.
const fixed = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0"];
const archive = join(out, `${pack.name}-${pack.version}.tgz`);
const tar = await $`tar ${fixed} -C ${out} -cf - package`.quiet();
writeFileSync(archive, Bun.gzipSync(new Uint8Array(tar.stdout), { level: 6 }));
rmSync(folder, { recursive: true });
console.log(`${archive}: ${(statSync(archive).size / 2 ** 20).toFixed(1)} MiB`);
console.log(`sha256 ${new Bun.CryptoHasher("sha256").update(readFileSync(archive)).digest("hex")}`);
