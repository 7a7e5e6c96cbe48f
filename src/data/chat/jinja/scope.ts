/** @file Names while a template runs, and where its output goes, with what the loss mask has to know of its origin. */
import type { Dict, Value } from "./values.ts";

/** A loop, macro or `with` opens one; `if` does not. */
export class Scope {
  private readonly values = new Map<string, Value>();
  constructor(private readonly parent: Scope | undefined) {}

  get(name: string): Value | undefined {
    let scope: Scope | undefined = this;
    while (scope !== undefined) {
      const found = scope.values.get(name);
      if (found !== undefined) return found;
      scope = scope.parent;
    }
    return undefined;
  }

  set(name: string, value: Value): void {
    this.values.set(name, value);
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
