/** @file What our modules are called in Hugging Face's files: a table of module paths, in which # stands for the number of a block. */
import { assert } from "../../util/errors.ts";

export class TensorNames {
  private readonly table: ReadonlyMap<string, string>;

  /** Paths of modules, or of parameters that stand alone (`head`). */
  constructor(table: Readonly<Record<string, string>>) {
    this.table = new Map(Object.entries(table));
  }

  /** The name of a module or parameter. Every parameter of a family has one. */
  nameOf(path: string): string {
    const number = /(?<=^|\.)\d+(?=\.|$)/.exec(path)?.[0];
    const parts = path.split(".");
    for (let end = parts.length; end > 0; end--) {
      const key = parts
        .slice(0, end)
        .map((part) => (part === number ? "#" : part))
        .join(".");
      const found = this.table.get(key);
      if (found === undefined) continue;
      const rest = parts.slice(end);
      return [found.replace("#", number ?? ""), ...rest].join(".");
    }
    return assert(false, `no name is known for ${path}`) as never;
  }
}
