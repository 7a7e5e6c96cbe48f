/** @file How a run stands, for every kind of evidence: silence is never taken for a failure. */
import { describe, expect, test } from "bun:test";
import { type AttemptEvent, type Evidence, standing } from "../../src/dispatch/ladder.ts";

const event = (name: AttemptEvent["event"], next = "", code = 0): AttemptEvent => ({
  ...{ event: name, job: "7", attempt: 1, host: "n1", time: 1, checkpoint: 5, code, next },
});

const state = (more: Partial<Evidence>): string => {
  const { state, reason } = standing({
    ...{ job: "7", events: [], exit: null, heartbeatAge: null, cancelled: false },
    ...{ scheduler: null, silence: "", after: [], step: 12, hangSeconds: 1800 },
    ...more,
  });
  return reason === "" ? state : `${state}: ${reason}`;
};
const says = (word: string, name: string, reason = "") => ({
  scheduler: { word, state: name, reason },
});

describe("own files come first", () => {
  test.each([
    ["finished", "finished"],
    ["cancelled", "cancelled"],
    ["gave up", "failed: several attempts in a row brought no new checkpoint"],
    ["not requeued", "preempted: saved, but SLURM did not take it back into the queue"],
  ])("the script noted the end: %s", (next, expected) => {
    for (const more of [
      {},
      says("running", "RUNNING"),
      says("gone", "FAILED"),
      { silence: "down" },
    ])
      expect(state({ events: [event("start"), event("end", next)], ...more })).toBe(expected);
  });

  test("why it failed: the training's own words, else the exit code", () => {
    const events = [event("start"), event("end", "failed", 137)];
    expect(state({ events })).toBe("failed: exit code 137: killed, perhaps for memory");
    const exit = { state: "failed", reason: "loss is NaN at step 3" };
    expect(state({ events, exit })).toBe("failed: loss is NaN at step 3");
  });
});

describe("then the scheduler", () => {
  test.each([
    [says("pending", "PENDING", "Resources"), [], "queued: Resources"],
    [says("pending", "PENDING", "None"), [event("end", "requeue", 75)], "queued: attempt 2"],
    [says("running", "RUNNING"), [event("start")], "running"],
    [says("running", "RUNNING"), [event("waiting")], "queued: waits for free devices"],
    [says("gone", "CANCELLED"), [event("end", "stopped", 75)], "cancelled"],
    [
      says("gone", "TIMEOUT"),
      [event("start")],
      "failed: the time limit was reached before it could save",
    ],
    [says("gone", "OUT_OF_MEMORY"), [event("start")], "failed: out of memory"],
    [says("gone", "NODE_FAIL"), [event("start")], "failed: its node failed"],
    [says("gone", "PREEMPTED"), [event("start")], "preempted: not taken back into the queue"],
    [
      says("gone", "KILLED"),
      [event("start")],
      "failed: its processes are gone without a word: killed, perhaps for memory",
    ],
    [says("gone", "UNKNOWN"), [event("start")], "unknown: SLURM says UNKNOWN"],
    [says("gone", "COMPLETED"), [event("start")], "unknown: SLURM says COMPLETED"],
  ])("%j", (more, events, expected) => {
    expect(state({ ...more, events })).toBe(expected);
  });

  test("one that was cancelled while it waited", () => {
    expect(state({ ...says("gone", "KILLED"), cancelled: true })).toBe("cancelled");
  });
});

describe("a standstill", () => {
  const events = [event("start")];
  test.each([
    [{ heartbeatAge: 30 }, "running"],
    [{ heartbeatAge: 150 }, "running: no progress for 3 min, at step 12; killed after 30 min"],
    [{ heartbeatAge: 150, hangSeconds: 0, step: null }, "running: no progress for 3 min"],
    [
      { heartbeatAge: 9, hangSeconds: 12 },
      "running: no progress for 9 s, at step 12; killed after 12 s",
    ],
    [
      { events: [event("start"), event("hung", "", 1805)] },
      "running: hangs: no progress for 30 min, at step 12; killed",
    ],
    [{ events: [event("hung"), event("end", "requeue", 75)] }, "running: attempt 2 starting"],
  ])("%j", (more, expected) => {
    expect(state({ ...says("running", "RUNNING"), events, ...more })).toBe(expected);
  });
});

describe("data that another job makes", () => {
  const made = (next: string, code = 0) => ({
    after: [{ run: "a/b/data", last: next === "" ? null : event("end", next, code) }],
  });
  test.each<[string, Partial<Evidence>]>([
    ["queued: waits for a/b/data", { ...says("pending", "PENDING", "Dependency"), ...made("") }],
    ["queued: waits for a/b/data", { ...says("pending", "PENDING", "None"), ...made("") }],
    ["queued", { ...says("pending", "PENDING", "None"), ...made("finished") }],
    ["queued: Priority", { ...says("pending", "PENDING", "Priority"), ...made("") }],
    [
      "failed: a/b/data, which makes its data, failed (exit code 6)",
      { ...says("gone", "CANCELLED", "DependencyNeverSatisfied"), ...made("failed", 6) },
    ],
    [
      "failed: a/b/data, which makes its data, did not finish",
      { ...says("gone", "CANCELLED", "DependencyNeverSatisfied"), ...made("") },
    ],
    [
      "failed: a/b/data, which makes its data, was cancelled",
      { ...says("gone", "UNKNOWN"), ...made("cancelled") },
    ],
    ["cancelled", { ...says("gone", "CANCELLED"), ...made("") }],
    ["cancelled", { ...says("gone", "CANCELLED"), ...made("failed"), cancelled: true }],
    [
      "failed: a/b/data, which makes its data, gave up",
      { events: [event("end", "not prepared", 3)], ...made("gave up") },
    ],
    [
      "queued: waits for a/b/data",
      { ...says("running", "RUNNING"), events: [event("waiting", "a/b/data")], ...made("") },
    ],
  ])("%s", (expected, evidence) => {
    expect(state(evidence)).toBe(expected);
  });
});

describe("silence", () => {
  test("a young heartbeat says that it runs, an old one says nothing", () => {
    const silence = "Unable to contact slurm controller";
    const events = [event("start")];
    expect(state({ events, heartbeatAge: 5, silence })).toBe(`running: ${silence}`);
    expect(state({ events, heartbeatAge: 500, silence })).toBe(`unknown: ${silence}`);
    expect(state({ silence })).toBe(`unknown: ${silence}`);
    expect(state({})).toBe("unknown: nothing is known of its job");
  });

  test("saved and stopped, and nobody knows whether it comes back", () => {
    expect(state({ events: [event("end", "stopped", 75)] })).toStartWith("preempted");
    expect(state({ events: [event("end", "requeue", 75)] })).toStartWith("preempted");
  });
});
