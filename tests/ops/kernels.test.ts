/**
 * @file Every kernel equals the f64 reference: one program per op and sample, at every CPU level of the machine,
 * with the same bits from one thread and from two. Buffers end at inaccessible pages.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { LEVELS, libraryInfo, openDevice } from "../../src/runtime/index.ts";
import { cases, expectResults } from "./kernel_cases.ts";
import { runNative } from "./native.ts";
import { compileOne, named } from "./one_op.ts";
import { sampleTensors } from "./values.ts";

/** Every level that the library was built for and this CPU has; a better CPU has the lower ones too. */
const { cpu_level, levels } = libraryInfo();
const usable = levels.filter(
  (level) => cpu_level !== "none" && LEVELS.indexOf(level) <= LEVELS.indexOf(cpu_level),
);

test("the library has kernels for this machine", () => {
  expect(usable.length).toBeGreaterThan(0);
});

describe.each(usable)("level %s", (level) => {
  const alone = openDevice({ level, threads: 1, guarded: true });
  const pair = openDevice({ level, threads: 2, guarded: true });
  afterAll(() => {
    alone.close();
    pair.close();
  });

  test.each(cases)("%s", (_, op, sample) => {
    const operands = sampleTensors(op, sample);
    const compiled = compileOne(op, operands, sample.attrs, { kind: "cpu", level, threads: 1 });
    const one = runNative(alone, compiled, named(operands));
    const two = runNative(pair, compiled, named(operands));
    expect(Buffer.compare(one.bytes, two.bytes), "one thread and two").toBe(0);
    expectResults(op, sample, operands, one.values);
  });
});
