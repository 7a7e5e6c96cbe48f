/** @file Names while a template runs, and where its output goes, with what the loss mask has to know of its origin. */
import type { Dict, Value } from "./values.ts";

/** A loop, macro or `with` opens one; `if` does not. Most hold two or three names, where a search beats a map. */
export class Scope {
  private readonly names: string[] = [];
  private readonly values: Value[] = [];
  /** `names` come from a map where there are many: the globals. */
  constructor(
    private readonly parent: Scope | undefined,
    private readonly many?: ReadonlyMap<string, Value>,
  ) {}

  get(name: string): Value | undefined {
    let scope: Scope | undefined = this;
    while (scope !== undefined) {
      const at = scope.names.indexOf(name);
      if (at >= 0) return scope.values[at];
      const found = scope.many?.get(name);
      if (found !== undefined) return found;
      scope = scope.parent;
    }
    return undefined;
  }

  set(name: string, value: Value): void {
    const at = this.names.indexOf(name);
    if (at >= 0) this.values[at] = value;
    else {
      this.names.push(name);
      this.values.push(value);
    }
  }
}

export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Which stretch of the output was written while a loop was at which dict, and inside {% generation %}. */
export class Trace {
  readonly loops: (Span & { readonly item: Dict })[] = [];
  readonly generations: Span[] = [];
  /** Generation blocks whose text went through a macro or a variable, so that its place is not known. */
  hiddenGenerations = 0;
}

export class Output {
  text = "";
  constructor(
    readonly trace: Trace | undefined,
    /** Whether this is the text of a macro, a set block or the like, not the conversation itself. */
    readonly captured: boolean,
  ) {}

  capture(): Output {
    return new Output(this.trace, true);
  }
}
