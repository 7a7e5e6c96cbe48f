/** @file Line charts of a few series: with braille dots for a terminal (2 x 4 dots a cell), and as SVG. */

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

interface Range {
  readonly low: number;
  readonly high: number;
}

const finite = (series: Series): (readonly [number, number])[] =>
  series.points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));

function rangeOf(values: readonly number[]): Range {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return { low: 0, high: 1 };
  return low === high ? { low: low - 0.5, high: high + 0.5 } : { low, high };
}

function ranges(all: readonly Series[]): { x: Range; y: Range } {
  const points = all.flatMap(finite);
  return { x: rangeOf(points.map(([x]) => x)), y: rangeOf(points.map(([, y]) => y)) };
}

const at = (value: number, { low, high }: Range, size: number): number =>
  ((value - low) / (high - low)) * size;

/** Round numbers inside a range, about `count` of them. */
export function ticks({ low, high }: Range, count: number): number[] {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= raw) ?? 10);
  const out: number[] = [];
  for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i++)
    out.push(Number((i * step).toPrecision(12)));
  return out;
}

const BRAILLE = [
  [0x01, 0x08],
  [0x02, 0x10],
  [0x04, 0x20],
  [0x40, 0x80],
] as const;
const ANSI = ["\x1b[36m", "\x1b[33m", "\x1b[35m", "\x1b[32m", "\x1b[34m", "\x1b[31m"];
const RESET = "\x1b[0m";

interface Canvas {
  readonly bits: Uint8Array;
  readonly owner: Int8Array;
  readonly width: number;
  readonly height: number;
}

/** Sets the dots of a straight line; dots outside the canvas are clipped. */
function drawLine(
  canvas: Canvas,
  owner: number,
  from: [number, number],
  to: [number, number],
): void {
  const steps = Math.max(
    1,
    Math.ceil(Math.max(Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1]))),
  );
  for (let i = 0; i <= steps; i++) {
    const x = Math.round(from[0] + ((to[0] - from[0]) * i) / steps);
    const y = Math.round(from[1] + ((to[1] - from[1]) * i) / steps);
    if (x < 0 || y < 0 || x >= canvas.width * 2 || y >= canvas.height * 4) continue;
    const cell = (y >> 2) * canvas.width + (x >> 1);
    canvas.bits[cell] = (canvas.bits[cell] ?? 0) | (BRAILLE[y & 3]?.[x & 1] ?? 0);
    canvas.owner[cell] = owner;
  }
}

function legend(all: readonly Series[], color: boolean): string {
  const names = all.map((series, i) =>
    color ? `${ANSI[i % ANSI.length]}━━ ${series.name}${RESET}` : `━━ ${series.name}`,
  );
  return names.join("   ");
}

/** `height` rows of text, an axis row and a legend. Values that are not finite are left out. */
export function terminalChart(
  all: readonly Series[],
  size: { width: number; height: number; color: boolean },
): string {
  const { x, y } = ranges(all);
  const labels = [y.high, (y.high + y.low) / 2, y.low].map((value) => value.toPrecision(4));
  const margin = Math.max(...labels.map((label) => label.length));
  const width = Math.max(8, size.width - margin - 2);
  const canvas: Canvas = {
    bits: new Uint8Array(width * size.height),
    owner: new Int8Array(width * size.height).fill(-1),
    width,
    height: size.height,
  };
  all.forEach((series, owner) => {
    let last: [number, number] | undefined;
    for (const [px, py] of finite(series)) {
      const dot: [number, number] = [
        at(px, x, width * 2 - 1),
        size.height * 4 - 1 - at(py, y, size.height * 4 - 1),
      ];
      drawLine(canvas, owner, last ?? dot, dot);
      last = dot;
    }
  });
  const rows: string[] = [];
  for (let row = 0; row < size.height; row++) {
    const which = row === 0 ? 0 : row === size.height >> 1 ? 1 : row === size.height - 1 ? 2 : -1;
    let line = `${(labels[which] ?? "").padStart(margin)} │`;
    for (let column = 0; column < width; column++) {
      const cell = row * width + column;
      const glyph = String.fromCharCode(0x2800 + (canvas.bits[cell] ?? 0));
      const owner = canvas.owner[cell] ?? -1;
      line += size.color && owner >= 0 ? `${ANSI[owner % ANSI.length]}${glyph}${RESET}` : glyph;
    }
    rows.push(line);
  }
  const [left, right] = [String(x.low), String(x.high)];
  rows.push(`${" ".repeat(margin)} └${"─".repeat(width)}`);
  rows.push(`${" ".repeat(margin + 2)}${left}${right.padStart(Math.max(1, width - left.length))}`);
  rows.push(`${" ".repeat(margin + 2)}${legend(all, size.color)}`);
  return `${rows.join("\n")}\n`;
}

const PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const escaped = (text: string): string =>
  text.replace(
    /[&<>"]/g,
    (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c] ?? c,
  );

/** One text element; `more` are further attributes. */
const textAt = (x: number | string, y: number | string, body: string, more = ""): string =>
  `<text x="${x}" y="${y}" text-anchor="middle"${more}>${escaped(body)}</text>`;

/** A standalone SVG of 800 x 480 with axes, grid and legend. */
export function svgChart(
  all: readonly Series[],
  title: string,
  xLabel: string,
  yLabel: string,
): string {
  const [width, height, left, top, right, bottom] = [800, 480, 70, 40, 20, 50];
  const [w, h] = [width - left - right, height - top - bottom];
  const { x, y } = ranges(all);
  const px = (value: number): string => (left + at(value, x, w)).toFixed(1);
  const py = (value: number): string => (top + h - at(value, y, h)).toFixed(1);
  const font = 'font-family="sans-serif" font-size="12"';
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" ${font}>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    textAt(width / 2, 22, title, ' font-size="15"'),
  ];
  for (const tick of ticks(x, 8)) {
    parts.push(`<path d="M${px(tick)} ${top}v${h}" stroke="#e5e5e5"/>`);
    parts.push(textAt(px(tick), top + h + 18, String(tick)));
  }
  for (const tick of ticks(y, 6)) {
    parts.push(`<path d="M${left} ${py(tick)}h${w}" stroke="#e5e5e5"/>`);
    parts.push(textAt(left - 26, py(tick), String(tick), ' dominant-baseline="middle"'));
  }
  all.forEach((series, i) => {
    const color = PALETTE[i % PALETTE.length];
    const line = finite(series)
      .map(([sx, sy]) => `${px(sx)},${py(sy)}`)
      .join(" ");
    parts.push(`<polyline points="${line}" fill="none" stroke="${color}" stroke-width="1.5"/>`);
    parts.push(textAt(left + w - 80, top + 16 + i * 16, series.name, ` fill="${color}"`));
  });
  parts.push(textAt(left + w / 2, height - 10, xLabel));
  parts.push(textAt(0, 0, yLabel, ` transform="translate(16 ${top + h / 2}) rotate(-90)"`));
  parts.push("</svg>");
  return `${parts.join("\n")}\n`;
}
