/**
 * @file `bun run build`: the native library, then dist/theseus with the library embedded.
 * The runtime inside is Bun's baseline build, so that an old CPU gets our message instead of SIGILL.
 */
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { $ } from "bun";
import { generatedPresets, PRESETS_FILE } from "./generate_presets.ts";

const out = "dist/theseus";
const runtime = "node_modules/@oven/bun-linux-x64-baseline/bin/bun";

writeFileSync(PRESETS_FILE, generatedPresets());
await $`zig build`;
if (!existsSync("zig-out/lib/libtheseus.so"))
  throw new Error("zig build left no zig-out/lib/libtheseus.so");
mkdirSync("dist", { recursive: true });
rmSync(out, { force: true });
/** Programs of threads; src/util/worker_entry.ts names them in the same way. */
const WORKERS = ["./src/data/prefetch_worker.ts", "./src/data/tokenize/tokenize_worker.ts"];
const flags = [
  ...["--compile", `--compile-executable-path=${runtime}`, "--bytecode", "--format=esm"],
  ...["--minify-syntax", "--minify-whitespace"],
  // A binary must not read .env or bunfig.toml (whose preload runs code) of the folder it is started in.
  ...["--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"],
  // Users' own code (--load, script) may import npm packages that are installed beside it.
  "--compile-autoload-package-json",
];
await $`bun build src/binary.ts ${WORKERS} ${flags} --outfile=${out}`.quiet();
console.log(`${out}: ${(statSync(out).size / 2 ** 20).toFixed(1)} MiB`);
