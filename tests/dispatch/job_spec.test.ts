/** @file Small rules of jobs: leads, times, ranges, and which device is which chip. */
import { expect, test } from "bun:test";
import { isChip } from "../../src/dispatch/chips.ts";
import { expandRange } from "../../src/dispatch/commit_script.ts";
import { leadSeconds } from "../../src/dispatch/job_spec.ts";
import { parseGres } from "../../src/dispatch/probe.ts";
import { quote } from "../../src/dispatch/quote.ts";
import { framed } from "../../src/dispatch/shell.ts";
import { slurmTime } from "../../src/dispatch/slurm_script.ts";
import { rangeText } from "../../src/dispatch/submit.ts";

test("the lead is three times the last save, at least a minute, at most a third of the time", () => {
  expect(leadSeconds(null, null)).toBe(60);
  expect(leadSeconds(36_000, 45.2)).toBe(136);
  expect(leadSeconds(300, 500)).toBe(100);
  expect(leadSeconds(12, null)).toBe(4);
});

test("times as SLURM writes them", () => {
  expect(slurmTime(15)).toBe("00:00:15");
  expect(slurmTime(12 * 3600)).toBe("12:00:00");
  expect(slurmTime(3 * 86_400 + 61)).toBe("3-00:01:01");
});

test("whole words decide which chip a device is", () => {
  for (const name of [
    "NVIDIA H100 80GB HBM3",
    "NVIDIA H100 PCIe",
    "nvidia_h100_80gb_hbm3",
    "h100",
  ]) {
    expect(isChip("h100", name)).toBe(true);
    expect(isChip("a100", name)).toBe(false);
  }
  expect(isChip("a100", "NVIDIA A100-SXM4-40GB")).toBe(true);
  expect(isChip("a100-sxm4-80gb", "NVIDIA A100-SXM4-40GB")).toBe(false);
  expect(isChip("h10", "NVIDIA H100 80GB HBM3")).toBe(false);
});

test("GRES of nodes", () => {
  expect([...parseGres("gpu:h100:2(S:0-1),gpu:1,shard:4")]).toEqual([
    ["h100", 2],
    ["", 1],
  ]);
  expect([...parseGres("gpu:h100:1(IDX:0)")]).toEqual([["h100", 1]]);
  expect([...parseGres("(null)")]).toEqual([]);
});

test("ranges of arrays, there and back", () => {
  for (const indices of [[0], [0, 1, 2, 5], [3, 5, 6], [0, 2, 4]])
    expect(expandRange(rangeText(indices, 2))).toEqual(indices);
  expect(rangeText([0, 1, 2, 5], 3)).toBe("0-2,5%3");
});

test("quoted words come out of a shell as they went in", () => {
  for (const word of ["plain", "it's", '$HOME `id` "x" \\', "a\nb", "*", ""]) {
    const { stdout } = Bun.spawnSync(["sh", "-c", `printf %s ${quote(word)}`]);
    expect(stdout.toString()).toBe(word);
  }
});

test("an answer is what stands in its frame, whatever else is printed", () => {
  const frame = framed("echo hi");
  const [, nonce] = /<<([0-9a-f]+)/.exec(new TextDecoder().decode(frame.script)) ?? [];
  const parse = (text: string) => frame.parse(new TextEncoder().encode(text));
  const whole = parse(`motd\n<<${nonce}\nhi\n>>x 3\n\n>>${nonce} 255\nbye\n`);
  expect(whole).toMatchObject({ code: 255, noise: "motd\n" });
  expect(typeof whole === "string" ? "" : new TextDecoder().decode(whole.bytes)).toBe(
    "hi\n>>x 3\n",
  );
  expect(parse(`motd\n<<${nonce}\nhi\n`)).toBe("began");
  expect(parse("motd\n")).toBe("nothing");
});
