/** @file What a job asks for when it is submitted: how memory and time are written, and how `configure` writes them. */
import { afterAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseDuration, parseMemory } from "../../src/config/amounts.ts";
import { loadJob } from "../../src/jobs/load_job.ts";
import { JOBS } from "../../src/jobs/registry.ts";
import { changeOf } from "../../src/train/resume_rule.ts";
import { Workplace } from "../cli/command_line.ts";

const place = new Workplace();
afterAll(() => place.remove());

test.each([
  ["64 GiB", 64 * 2 ** 30],
  ["64G", 64 * 2 ** 30],
  ["1.5T", 1.5 * 2 ** 40],
  ["500 MB", 5e8],
] as const)("memory %p", (text, bytes) => expect(parseMemory(text)).toBe(bytes));

test.each(["", "64", 64, "0 GiB", "64 Gib", "-1G", "1 PB", null])("%p is no memory", (value) =>
  expect(parseMemory(value)).toBeUndefined(),
);

test.each([
  ["12 hours", 43_200],
  ["1 day", 86_400],
  ["1.5 minutes", 90],
  ["12:00:00", 43_200],
  ["1-00:30:05", 88_205],
] as const)("time %p", (text, seconds) => expect(parseDuration(text)).toBe(seconds));

test.each(["", "12", 12, "0 hours", "12:60:00", "1-2", "3 weeks", null])("%p is no time", (value) =>
  expect(parseDuration(value)).toBeUndefined(),
);

test("configure writes it, flags and overrides alike, and every mistake is told", async () => {
  const args = ["configure", "gpt/pretrain", "a.yaml", "--chip", "h100", "-n", "8"];
  const more = ["request.time=12 hours", "request.memory=64 GiB", "request.nodes=2"];
  expect(await place.run([...args, ...more])).toMatchObject({ code: 0 });
  const text = readFileSync(join(place.path, "a.yaml"), "utf8");
  expect(loadJob({ name: "a.yaml", text }).config.toTree().request).toEqual({
    ...{ chip: "h100", chips: 8, nodes: 2, cpus: null, memory: "64 GiB", time: "12 hours" },
  });
  const bad = ["--chip", "h 100", "-n", "none", "request.time=soon"];
  expect(await place.said(["configure", "gpt/pretrain", "b.yaml", ...bad])).toMatchSnapshot();
});

test("every job has it, and it may differ when a run goes on", () => {
  for (const job of JOBS.all) expect(job.schema.fields.has("request/chip")).toBe(true);
  expect(changeOf("request/chip")).toBe("free");
});
