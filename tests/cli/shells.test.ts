/**
 * @file Completions in real shells: each runs the script that `theseus completions` prints and completes lines with it. A shell that
 * is not installed is told and left out.
 */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { Workplace } from "./command_line.ts";

setDefaultTimeout(60_000);
const place = new Workplace();
afterAll(() => place.remove());
const main = join(import.meta.dir, "../../src/main.ts");
const program = place.file("bin/theseus", `#!/bin/sh\nexec ${process.execPath} ${main} "$@"\n`);
chmodSync(program, 0o755);
for (const run of ["general/default/first", "general/default/second"])
  mkdirSync(join(place.path, "out/runs", run), { recursive: true });
place.file("a file.yaml", "job: gpt/pretrain\n");

const missing = ["bash", "zsh", "fish"].filter((shell) => Bun.which(shell) === null);
if (missing.length > 0)
  console.warn(`NOT TESTED: completions in ${missing.join(" and ")}, which this machine lacks`);

/** The script as a file, run with our program on the path, in a folder with runs and a file. */
function inShell(shell: string, flags: readonly string[], script: string): string {
  const path = place.file(`script.${shell}`, script);
  const { stdout, stderr } = Bun.spawnSync([shell, ...flags, path], {
    cwd: place.path,
    env: {
      PATH: `${join(place.path, "bin")}:${process.env.PATH}`,
      HOME: place.path,
      TERM: "xterm",
    },
    timeout: 50_000,
  });
  expect(stderr.toString()).toBe("");
  return stdout.toString();
}

const here = (shell: string) => test.skipIf(missing.includes(shell));

here("bash")("bash", () => {
  const script = `eval "$(theseus completions bash)"
COMP_WORDS=(theseus show --root out f); COMP_CWORD=4; _theseus; echo "\${COMPREPLY[@]}"
COMP_WORDS=(theseus run --fr); COMP_CWORD=2; _theseus; echo "\${COMPREPLY[@]}"
COMP_WORDS=(theseus run name a); COMP_CWORD=3; _theseus; echo "\${#COMPREPLY[@]}"
complete -p theseus`;
  const lines = ["first", "--fresh", "0", "complete -o default -F _theseus theseus", ""];
  expect(inShell("bash", [], script)).toBe(lines.join("\n"));
});

here("fish")("fish", () => {
  const script = `theseus completions fish | source
complete -C "theseus show --root out f"; echo .
complete -C "theseus run --fr"; echo .
complete -C "theseus run name gpt/tiny"; echo .
complete -C "theseus configure gpt/"; echo .
complete -C "theseus run name a"`;
  const found = ["first", "--fresh", "gpt/tiny-sotu", "gpt/pretrain"];
  const out = inShell("fish", ["--no-config"], script);
  expect(out).toBe(`${found.join("\n.\n")}\n.\na file.yaml\n`);
});

// An interactive zsh behind a terminal: what is typed, a tab, and the line as it stands then.
here("zsh")("zsh", () => {
  const begin = `PS1=; autoload -Uz compinit; compinit -u -D; eval "$(theseus completions zsh)"
show() { print -r -- "LI""NE<$BUFFER>"; BUFFER=; zle .accept-line }
zle -N accept-line show; print RE""ADY`;
  const script = `zmodload zsh/zpty
zpty -b z 'zsh -f -i'
zpty -w z ${JSON.stringify(begin).replaceAll("\\n", "\n").replaceAll("$", "\\$")}
await() {
  local all= part=
  repeat 600; do
    while zpty -r -t z part; do all+=$part; done
    if [[ $all == *$~1* ]]; then REPLY=$all; return 0; fi
    sleep 0.05
  done
  print -r -- "waited for $1 in vain: $all"; exit 1
}
await READY
complete() {
  zpty -w -n z "$1"$'\\t'
  await "$2"
  zpty -w -n z $'\\n'
  await 'LINE<*>'
  print -r -- "\${\${REPLY##*LINE}%%>*}>"
}
complete 'theseus show --root out f' first
complete 'theseus run --fr' fresh
complete 'theseus run name a' yaml
zpty -d z
`;
  const lines = ["theseus show --root out first ", "theseus run --fresh "];
  const all = [...lines, "theseus run name a\\ file.yaml "];
  expect(inShell("zsh", ["-f"], script)).toBe(all.map((line) => `<${line}>\n`).join(""));
});
