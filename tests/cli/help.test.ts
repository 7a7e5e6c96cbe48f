/** @file Help texts, as they stand, and what stands in for them where there is nothing to say. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { COMMANDS } from "../../src/cli/main.ts";
import { Workplace } from "./command_line.ts";

setDefaultTimeout(120_000);
const place = new Workplace();
afterAll(() => place.remove());

test("theseus alone says in ten lines what a first day needs, each command one that exists", async () => {
  const { code, stdout } = await place.run([]);
  expect({ code, lines: stdout.trimEnd().split("\n").length }).toEqual({ code: 0, lines: 10 });
  for (const [, name = ""] of stdout.matchAll(/^ {2}theseus (\w+)/gm))
    expect(Object.keys(COMMANDS)).toContain(name);
  expect(await place.said([])).toMatchSnapshot();
});

test("--help, -h and help list all commands", async () => {
  const all = await place.said(["--help"]);
  expect(all).toMatchSnapshot();
  for (const name of Object.keys(COMMANDS)) expect(all).toContain(`  theseus ${name} `);
  for (const args of [["-h"], ["help"]]) expect(await place.said(args)).toBe(all);
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
