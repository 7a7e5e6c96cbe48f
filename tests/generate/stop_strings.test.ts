/** @file Stop strings in text that arrives in pieces. */
import { expect, test } from "bun:test";
import { StopStrings } from "../../src/generate/stop_strings.ts";

function shown(stops: string[], pieces: string[]) {
  const stop = new StopStrings(stops);
  const steps = pieces.map((piece) => stop.push(piece));
  return { steps, rest: stop.end(), stopped: stop.stopped };
}

test("a stop string across pieces ends the text before it", () => {
  expect(shown(["\n\nUser:"], ["Hi", "\n", "\nUs", "er: more", "x"])).toEqual({
    steps: ["Hi", "", "", "", ""],
    rest: "",
    stopped: "\n\nUser:",
  });
});

test("what turns out to be none is shown then, or at the end", () => {
  expect(shown(["END"], ["EEN", "EN", "D"])).toEqual({
    steps: ["E", "EN", ""],
    rest: "",
    stopped: "END",
  });
  expect(shown(["END"], ["xE", "N"])).toEqual({ steps: ["x", ""], rest: "EN", stopped: null });
});

test("the earliest of several wins, also within one piece", () => {
  expect(shown(["b", "ca"], ["xxcab"])).toEqual({ steps: ["xx"], rest: "", stopped: "ca" });
  expect(shown(["aab"], ["aaab"])).toEqual({ steps: ["a"], rest: "", stopped: "aab" });
});

test("no stop strings hold nothing back", () => {
  expect(shown([], ["a", "b"])).toEqual({ steps: ["a", "b"], rest: "", stopped: null });
  expect(shown([""], ["a"])).toEqual({ steps: ["a"], rest: "", stopped: null });
});

test("every way of cutting a text gives the same", () => {
  const text = "abcabcabd-abcabd!";
  for (let first = 0; first <= text.length; first++)
    for (let second = first; second <= text.length; second++) {
      const pieces = [text.slice(0, first), text.slice(first, second), text.slice(second)];
      const { steps, rest } = shown(["abcabd"], pieces);
      expect(steps.join("") + rest).toBe("abc");
    }
});
