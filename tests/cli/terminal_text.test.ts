/** @file A model's text on a terminal. */
import { expect, test } from "bun:test";
import { terminalText } from "../../src/cli/terminal_text.ts";

test("control characters are shown and not obeyed; line ends, tabs and all other text stay", () => {
  expect(terminalText("\x1b[2Ja\r\x07\x7f\x9b1m")).toBe("␛[2Ja␍␇␡\ufffd1m");
  const text = "Zeile\n\tTab é 語 🙂";
  expect(terminalText(text)).toBe(text);
});
