/** @file Charts: ticks, the terminal drawing and the SVG. */
import { expect, test } from "bun:test";
import { svgChart, terminalChart, ticks } from "../../src/util/chart.ts";

test("ticks are round and inside the range", () => {
  expect(ticks({ low: 0, high: 10 }, 5)).toEqual([0, 2, 4, 6, 8, 10]);
  expect(ticks({ low: 0.13, high: 0.47 }, 4)).toEqual([0.2, 0.3, 0.4]);
});

test("a falling line runs from the upper left to the lower right, without NaN", () => {
  const points: [number, number][] = [
    [0, 4],
    [1, Number.NaN],
    [2, 2],
  ];
  const chart = terminalChart([{ name: "loss", points }], { width: 20, height: 4, color: false });
  expect(chart).toMatchInlineSnapshot(`
    "4.000 │⠑⠢⢄⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀
          │⠀⠀⠀⠉⠒⢄⡀⠀⠀⠀⠀⠀⠀
    3.000 │⠀⠀⠀⠀⠀⠀⠈⠑⠤⣀⠀⠀⠀
    2.000 │⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠑⠢⢄
          └─────────────
           0           2
           ━━ loss
    "
  `);
});

test("the SVG escapes names and draws one polyline a series", () => {
  const series = [
    { name: "<a>", points: [[0, 1] as const, [1, 2] as const] },
    { name: "b", points: [[0, 3] as const, [1, 1] as const] },
  ];
  const svg = svgChart(series, "t&t", "step", "loss");
  expect(svg.match(/<polyline/g)?.length).toBe(2);
  expect(svg).toContain("&lt;a&gt;");
  expect(svg).not.toContain("<a>");
  expect(svg).toContain("t&amp;t");
});
