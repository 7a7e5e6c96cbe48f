/** @file Texts as words of a POSIX shell. */

export const quote = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

export const quoteAll = (words: readonly string[]): string => words.map(quote).join(" ");

/** A path as a word; `~/` in front means the home folder of whoever runs the shell. */
export const quotePath = (path: string): string =>
  path.startsWith("~/") ? `"$HOME"/${quote(path.slice(2))}` : quote(path);
