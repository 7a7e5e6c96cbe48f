/** @file Help texts, as they stand, and what stands in for them where there is nothing to say. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { COMMANDS } from "../../src/cli/main.ts";
import { Workplace } from "./command_line.ts";

setDefaultTimeout(120_000);
const place = new Workplace();
afterAll(() => place.remove());

test("theseus alone, --help, -h and help say the same", async () => {
  const alone = await place.said([]);
  expect(alone).toMatchSnapshot();
  for (const args of [["--help"], ["-h"], ["help"]]) expect(await place.said(args)).toBe(alone);
});

test("--version", async () => {
  expect(await place.said(["--version"])).toBe("exit 0\nstdout:\ntheseus VERSION\n");
});

test("every command has its page, the same by --help, -h and help", async () => {
  for (const [name, entry] of Object.entries(COMMANDS)) {
    const below = Object.keys((await entry.load()).default.commands ?? {});
    for (const words of [[name], ...below.map((each) => [name, each])]) {
      const page = await place.said(["help", ...words]);
      expect(page).toStartWith("exit 0\nstdout:\n");
      expect(page).toMatchSnapshot(words.join(" "));
      expect(await place.said([...words, "--help"])).toBe(page);
    }
  }
  expect(await place.said(["run", "-h"])).toBe(await place.said(["help", "run"]));
});
