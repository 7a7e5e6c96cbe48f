/** @file Second half of scripts/release: gathers licences, packs one reproducible tar, compresses it twice, sums. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { $ } from "bun";
import pack from "../package.json" with { type: "json" };

const name = `theseus-${pack.version}-linux-x64`;
const out = "dist/release";
const folder = `${out}/${name}`;

/** What the executable carries besides our own code, and where each licence text lies. */
const CARRIED: readonly (readonly [string, readonly string[]])[] = [
  ["Bun (runtime)", ["docs/licenses/bun.md"]],
  ["citty", ["node_modules/citty/LICENSE", "node_modules/citty/dist/THIRD-PARTY-LICENSES.md"]],
  ["consola", ["node_modules/consola/LICENSE"]],
  ["valibot", ["node_modules/valibot/LICENSE.md"]],
  ["yaml", ["node_modules/yaml/LICENSE"]],
  ["Zig standard library", [".tools/ziglang/ziglang/LICENSE"]],
  ["State of the Union speeches", ["docs/licenses/sotu.md"]],
];

function licences(): string {
  const parts = CARRIED.map(([what, files]) => {
    const texts = files.map((file) => readFileSync(file, "utf8").trimEnd());
    return `${"=".repeat(80)}\n${what}\n${"=".repeat(80)}\n\n${texts.join("\n\n")}\n`;
  });
  return `theseus carries the following works.\n\n${parts.join("\n")}`;
}

rmSync(out, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
cpSync("dist/theseus", `${folder}/theseus`);
cpSync("LICENSE", `${folder}/LICENSE`);
cpSync("README.md", `${folder}/README.md`);
writeFileSync(`${folder}/THIRD-PARTY-LICENSES.txt`, licences());

// Fixed owner, order and time: the same inputs give the same archive.
const tar = `${out}/${name}.tar`;
const fixed = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0"];
await $`tar ${fixed} -C ${out} -cf ${tar} ${name}`;
const bytes = readFileSync(tar);
const archives: readonly (readonly [string, Uint8Array])[] = [
  [`${name}.tar.zst`, Bun.zstdCompressSync(bytes, { level: 12 })],
  [`${name}.tar.gz`, Bun.gzipSync(bytes, { level: 6 })],
];
rmSync(tar);
let sums = "";
for (const [file, packed] of archives) {
  writeFileSync(`${out}/${file}`, packed);
  sums += `${new Bun.CryptoHasher("sha256").update(packed).digest("hex")}  ${file}\n`;
  console.log(`${out}/${file}: ${(packed.length / 2 ** 20).toFixed(1)} MiB`);
}
writeFileSync(`${out}/SHA256SUMS`, sums);
rmSync(folder, { recursive: true });
