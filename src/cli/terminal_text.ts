/** @file A model's text on its way to a terminal: what would move the cursor or change the terminal is shown instead of obeyed. */

/** Control characters but line ends and tabs, as the pictures that Unicode has for them. */
export function terminalText(text: string): string {
  let out = "";
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (code === 0x7f || (code < 0x20 && character !== "\n" && character !== "\t"))
      out += String.fromCodePoint(code === 0x7f ? 0x2421 : 0x2400 + code);
    else out += code >= 0x80 && code < 0xa0 ? "\ufffd" : character;
  }
  return out;
}

/** Writes to stdout, which is often a file or a pipe and then gets the text as it is. */
export function writeText(text: string): void {
  process.stdout.write(process.stdout.isTTY === true ? terminalText(text) : text);
}
