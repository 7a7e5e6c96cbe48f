/**
 * @file Time per instruction of the programs of a step, gathered by opcode and module; on a GPU beside the least that it can be.
 */
import type { Engine } from "../src/train/engine.ts";
import type { ProgramName } from "../src/train/job_programs.ts";
import { type Ceilings, foldedScope, launchesOf } from "./roofline_model.ts";

interface Row {
  ms: number;
  /** By the roofline. */
  least: number;
  count: number;
}

type Table = Map<string, Row>;

function add(table: Table, key: string, ms: number, least: number): void {
  const row = table.get(key) ?? { ms: 0, least: 0, count: 0 };
  table.set(key, { ms: row.ms + ms, least: row.least + least, count: row.count + 1 });
}

function printTable(table: Table, most: number, total: number, ceilings: Ceilings | null): void {
  const rows = [...table].sort(([, a], [, b]) => b.ms - a.ms).slice(0, most);
  for (const [key, { ms, least, count }] of rows) {
    const share = `${((ms / total) * 100).toFixed(1).padStart(5)}%`;
    const bound = ceilings === null ? "" : `  least ${least.toFixed(3).padStart(8)} ms`;
    console.error(`${ms.toFixed(3).padStart(9)} ms ${share}${bound}  x${count}  ${key}`);
  }
  console.error("");
}

/**
 * Prints to stderr, in ms a step, what takes the time: by opcode, then by opcode and module. `ceilings`: of the GPU, see
 * bench/roofline.ts.
 */
export function printProfile(
  engine: Engine,
  steps: number,
  ceilings: Ceilings | null,
  programs: readonly ProgramName[] = ["micro", "update"],
): void {
  const byOpcode: Table = new Map();
  const byModule: Table = new Map();
  let total = 0;
  let bound = 0;
  for (const name of programs) {
    const { program, nanoseconds } = engine.profile(name);
    const least = new Array<number>(program.instructions.length).fill(0);
    for (const { instruction, ms } of ceilings === null ? [] : launchesOf(program, ceilings))
      least[instruction] = (least[instruction] ?? 0) + ms;
    program.instructions.forEach(({ opcode, scope, operands }, i) => {
      const ms = (nanoseconds[i] ?? 0) / 1e6 / steps;
      const own = least[i] ?? 0;
      total += ms;
      bound += own;
      const shapes = operands.map(({ shape }) => shape.join("x")).join(" ");
      add(byOpcode, `${name} ${opcode}`, ms, own);
      add(byModule, `${name} ${opcode} ${foldedScope(scope)} [${shapes.slice(0, 90)}]`, ms, own);
    });
  }
  const beside = ceilings === null ? "" : `, at the least ${bound.toFixed(2)} (bench/roofline.ts)`;
  console.error(`${total.toFixed(2)} ms a step inside instructions${beside}`);
  printTable(byOpcode, 30, total, ceilings);
  printTable(byModule, 45, total, ceilings);
}
