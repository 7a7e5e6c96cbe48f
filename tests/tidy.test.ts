/** @file The house rules that a program can check (STYLE.md): imports between rooms, sizes, headers, banned words. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { $ } from "bun";

const root = join(import.meta.dir, "..");
const listed = await $`git -C ${root} ls-files --cached --others --exclude-standard`.quiet().text();
const files = listed.split("\n").filter((file) => file !== "");
const generated = (file: string): boolean => file.endsWith(".gen.ts");
const read = (file: string): string => readFileSync(join(root, file), "utf8");

/** Rooms of src/, lower ones first, with the rooms each may import besides itself. */
const ROOMS: Record<string, readonly string[]> = (() => {
  const below = {
    util: [],
    config: ["util"],
    ir: ["util"],
    ops: ["ir", "util"],
    autodiff: ["ops", "ir", "util"],
    passes: ["autodiff", "ops", "ir", "program", "util"],
    program: ["ir", "util"],
    runtime: ["program", "util"],
    nn: ["ops", "autodiff", "ir", "config", "util"],
    optim: ["nn", "ops", "autodiff", "ir", "config", "util"],
    models: ["nn", "config", "util"],
    data: ["runtime", "config", "util"],
    dispatch: ["config", "util"],
    train: [
      ...["nn", "models", "optim", "passes", "autodiff", "ops", "ir", "program", "runtime", "data"],
      ...["config", "util"],
    ],
    generate: ["train", "models", "nn", "ops", "ir", "passes", "data", "runtime", "config", "util"],
    evaluate: [
      ...["generate", "train", "models", "nn", "ops", "ir", "passes", "data", "runtime"],
      ...["config", "util"],
    ],
  };
  return { ...below, jobs: Object.keys(below) };
})();
const EVERYTHING = new Set(["cli", "main", "binary", "index", "quick"]);

/** Packages and the one place each may be imported from. */
const PACKAGES: Record<string, RegExp> = {
  hyparquet: /^src\/data\/sources\//,
  "hyparquet-compressors": /^src\/data\/sources\//,
  valibot: /^src\/config\//,
  yaml: /^src\/config\//,
  citty: /^src\/cli\//,
  consola: /^src\/util\/log\.ts$/,
  "@huggingface/tokenizers": /^src\/data\/tokenizers\//,
  "bun:ffi": /^src\/runtime\//,
};

const packageOf = (path: string): string =>
  path.startsWith("bun:") ? path : (/^(@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? "");

const roomOf = (file: string): string => (file.split("/")[1] ?? "").replace(/\.ts$/, "");

function importProblems(file: string): string[] {
  const scan = new Bun.Transpiler({ loader: "ts" }).scanImports(read(file));
  const problems: string[] = [];
  for (const { path } of scan) {
    if (path.startsWith(".")) {
      const target = normalize(join(dirname(file), path));
      if (!target.startsWith("src/")) continue;
      const [from, to] = [roomOf(file), roomOf(target)];
      if (from === to || EVERYTHING.has(from)) continue;
      if (!(ROOMS[from] ?? []).includes(to)) problems.push(`${file}: ${from} may not import ${to}`);
    } else {
      const name = packageOf(path);
      const allowed = PACKAGES[name];
      if (allowed !== undefined && !allowed.test(file))
        problems.push(`${file}: "${name}" may only be imported where ${allowed} matches`);
    }
  }
  return problems;
}

/** Function lengths by indentation: a declaration that ends with `{` up to the brace at the same column. */
function longFunctions(file: string, start: RegExp): string[] {
  const lines = read(file).split("\n");
  const problems: string[] = [];
  lines.forEach((line, at) => {
    if (!start.test(line) || !line.trimEnd().endsWith("{")) return;
    // Zig's generic types are functions that return a struct; their methods are counted instead.
    if (line.trimEnd().endsWith(") type {")) return;
    const indent = line.length - line.trimStart().length;
    const closing = new RegExp(`^ {${indent}}\\}`);
    const end = lines.findIndex((other, i) => i > at && closing.test(other));
    if (end - at > 70) problems.push(`${file}:${at + 1}: function of ${end - at + 1} lines`);
  });
  return problems;
}

const typescript = files.filter((file) =>
  /^(src|tests|scripts|bench|examples)\/.*\.ts$/.test(file),
);
const zig = files.filter((file) => file.endsWith(".zig") && !file.startsWith("shared/"));
const none: string[] = [];

describe("house rules", () => {
  test("rooms import only what the table of ARCHITECTURE.md allows", () => {
    const sources = typescript.filter((file) => file.startsWith("src/"));
    const unknown = sources.filter(
      (file) => !(roomOf(file) in ROOMS) && !EVERYTHING.has(roomOf(file)) && !/\.d\.ts$/.test(file),
    );
    expect(unknown).toEqual(none);
    expect(sources.flatMap(importProblems)).toEqual(none);
  });

  test("files have at most 600 lines, lines at most 100 columns", () => {
    const problems: string[] = [];
    for (const file of [...typescript, ...zig]) {
      if (generated(file)) continue;
      const lines = read(file).split("\n");
      if (lines.length > 601) problems.push(`${file}: ${lines.length} lines`);
      lines.forEach((line, i) => {
        // Tables in comments may be longer, and so may a message that is better read in one piece.
        const comment = /^\s*(\/\/|\*|\/\*)/.test(line);
        const message = /["`][^"`]{30,}["`]/.test(line);
        const limit = comment ? 160 : message ? 140 : 100;
        if ([...line].length > limit) problems.push(`${file}:${i + 1}: too long`);
      });
    }
    expect(problems).toEqual(none);
  });

  test("functions have at most 70 lines", () => {
    const ts = typescript.filter((file) => file.startsWith("src/") || file.startsWith("scripts/"));
    const tsStart =
      /^\s*(export )?(async )?(function\*? |(private |static |override |async )*\w+\(.*\).*\{$)/;
    const problems = ts.flatMap((file) => longFunctions(file, tsStart));
    problems.push(...zig.flatMap((file) => longFunctions(file, /^\s*(pub |export |inline )*fn /)));
    expect(problems).toEqual(none);
  });

  test("every source file says at its top what it is", () => {
    const problems = typescript.filter(
      (file) => !/^(#!.*\n)?\/\*\* ?@file |^\/\*\*\n \* @file |^\/\/ Generated/.test(read(file)),
    );
    problems.push(...zig.filter((file) => !read(file).startsWith("//!")));
    expect(problems).toEqual(none);
  });

  test("no banned patterns", () => {
    const banned: [RegExp, RegExp, string][] = [
      [/\bTODO\b|\bFIXME\b|\bXXX\b/, /^(src|zig|tests|scripts|bench|cuda|examples)\//, "finish it"],
      [/\bas any\b|@ts-ignore|@ts-expect-error/, /\.ts$/, "give it a type"],
      [/\.skip\(|expect\(true\)/, /^tests\//, "a test must be able to fail"],
      [
        /^export default (?!command\()/m,
        /^src\/.*(?<!\.d)\.ts$/,
        "no default exports but commands",
      ],
      [/\/root\/|\/home\/\w|\/tmp\/bash/, /./, "no path of one machine"],
    ];
    const problems: string[] = [];
    for (const file of files) {
      if (file === "tests/tidy.test.ts" || /\.(lock|bin|safetensors|zst|gz|so)$/.test(file))
        continue;
      const text = read(file);
      for (const [pattern, where, advice] of banned)
        if (where.test(file) && pattern.test(text))
          problems.push(`${file}: ${pattern} (${advice})`);
    }
    expect(problems).toEqual(none);
  });

  test("file names are snake_case and no folder is empty of purpose", () => {
    const odd = typescript.filter((file) => !/^[a-z0-9_./]+$/.test(relative(".", file)));
    expect(odd).toEqual(none);
  });
});
