/** @file theseus completions: a script for the shell, which asks `theseus completions words` what may come next. */
import { command, UsageError } from "./command.ts";
import { completionsOf } from "./complete_words.ts";

/** Each hands over the words typed so far; the last one, perhaps empty, is to be completed. */
const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `_theseus() {
  local IFS=$'\\n'
  COMPREPLY=($(theseus completions words "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _theseus theseus
`,
  zsh: `#compdef theseus
_theseus() {
  local -a found
  found=("\${(@f)$(theseus completions words "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "\${found[1]}" ]]; then compadd -- "\${found[@]}"; else _files; fi
}
compdef _theseus theseus
`,
  fish: `function __theseus_find
    set -l typed (commandline -opc)
    set -g __theseus_found (theseus completions words $typed[2..] (commandline -ct) 2>/dev/null)
    test (count $__theseus_found) -gt 0
end
complete -c theseus -n __theseus_find -f -a '$__theseus_found'
`,
};

const SHELLS = Object.keys(SCRIPTS);

export default command({
  name: "completions",
  summary: "completion of commands, options, presets and runs in your shell",
  examples: [
    'eval "$(theseus completions bash)"    # in ~/.bashrc; zsh: in ~/.zshrc',
    "theseus completions fish > ~/.config/fish/completions/theseus.fish",
  ],
  args: {
    shell: { type: "positional", required: true, description: SHELLS.join(", ") },
  },
  passthrough: true,
  async run({ args, passed }) {
    if (args.shell === "words") {
      const found = await completionsOf(passed);
      process.stdout.write(found.map((word) => `${word}\n`).join(""));
      return 0;
    }
    const script = Object.hasOwn(SCRIPTS, args.shell) ? SCRIPTS[args.shell] : undefined;
    if (script === undefined || passed.length > 0) {
      const got = script === undefined ? args.shell : passed[0];
      throw new UsageError(`completions expected one of ${SHELLS.join(", ")}, got "${got}"`);
    }
    process.stdout.write(script);
    return 0;
  },
});
