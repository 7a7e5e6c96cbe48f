/** @file Jobs by name. */
import { expect, test } from "bun:test";
import { JOBS, job, jobNamed } from "../../src/jobs/registry.ts";
import { Gpt } from "../../src/models/gpt/gpt.ts";
import { optionsOf } from "../../src/models/gpt/options.ts";
import { ConfigError } from "../../src/util/errors.ts";
import { Registry } from "../../src/util/registry.ts";

const define = (name: string) =>
  job({ name, doc: "for a test", uses: [Gpt], model: (config) => new Gpt(optionsOf(config)) });

test("what is registered is found, with all fields of training", () => {
  const own = define("test/own");
  expect(jobNamed("test/own")).toBe(own);
  expect(JOBS.names.slice(0, 1)).toEqual(["gpt/pretrain"]);
  const paths = [...own.schema.fields.keys()];
  expect(paths.filter((path) => path !== "job")).toEqual(
    [...jobNamed("gpt/pretrain").schema.fields.keys()].filter((path) => path !== "job"),
  );
  expect(own.schema.fields.get("job")?.default).toBe("test/own");
});

test("a name is taken once, and has a family", () => {
  define("test/twice");
  expect(() => define("test/twice")).toThrow('two jobs are named "test/twice"');
  expect(() => define("gpt/pretrain")).toThrow('two jobs are named "gpt/pretrain"');
  for (const name of ["", "single", "a/", "/a", "A/b", "a/b c"])
    expect(() => define(name)).toThrow("expected a job's name like");
});

test("an unknown name is answered with the nearest and with all", () => {
  const registry = new Registry("dataset", [{ name: "sotu" }, { name: "moby-dick" }]);
  let error: unknown;
  try {
    registry.named("sotuu");
  } catch (caught) {
    error = caught;
  }
  if (!(error instanceof ConfigError)) throw error;
  expect(error.message).toBe('no dataset is named "sotuu". Did you mean "sotu"?');
  expect(error.hint).toBe("datasets: sotu, moby-dick; --load FILE.ts brings your own");
  expect(registry.find("moby-dick")).toEqual({ name: "moby-dick" });
  expect(registry.find("constructor")).toBeUndefined();
});
