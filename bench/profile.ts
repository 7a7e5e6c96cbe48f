/** @file Time per instruction of the programs of a step, gathered by opcode and module. */
import type { Engine } from "../src/train/engine.ts";
import type { ProgramName } from "../src/train/job_programs.ts";

interface Row {
  ms: number;
  count: number;
}

/** Layers are folded together: `blocks.3.mlp.up` counts as `blocks.*.mlp.up`. */
const folded = (scope: string): string => scope.replace(/\.\d+\./g, ".*.");

/** Prints to stderr, in ms a step, what takes the time: by opcode, then by opcode and module. */
export function printProfile(
  engine: Engine,
  steps: number,
  programs: readonly ProgramName[] = ["micro", "update"],
): void {
  const byOpcode = new Map<string, Row>();
  const byModule = new Map<string, Row>();
  const add = (table: Map<string, Row>, key: string, ms: number): void => {
    const row = table.get(key) ?? { ms: 0, count: 0 };
    table.set(key, { ms: row.ms + ms, count: row.count + 1 });
  };
  let total = 0;
  for (const name of programs) {
    const { program, nanoseconds } = engine.profile(name);
    program.instructions.forEach(({ opcode, scope, operands }, i) => {
      const ms = (nanoseconds[i] ?? 0) / 1e6 / steps;
      total += ms;
      const shapes = operands.map(({ shape }) => shape.join("x")).join(" ");
      add(byOpcode, `${name} ${opcode}`, ms);
      add(byModule, `${name} ${opcode} ${folded(scope)} [${shapes.slice(0, 90)}]`, ms);
    });
  }
  console.error(`${total.toFixed(2)} ms a step inside instructions`);
  for (const [table, most] of [
    [byOpcode, 30],
    [byModule, 45],
  ] as const) {
    const rows = [...table].sort(([, a], [, b]) => b.ms - a.ms).slice(0, most);
    for (const [key, { ms, count }] of rows)
      console.error(
        `${ms.toFixed(3).padStart(9)} ms ${((ms / total) * 100).toFixed(1).padStart(5)}%  x${count}  ${key}`,
      );
    console.error("");
  }
}
