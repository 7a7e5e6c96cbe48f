/** @file Things by name: a name is taken once, and one that nobody took is answered with the nearest. */
import { ConfigError } from "./errors.ts";
import { didYouMean } from "./suggest.ts";

export class Registry<T extends { readonly name: string }> {
  private readonly kind: string;
  private readonly byName = new Map<string, T>();

  /** `kind` is what one of them is called in messages: "job". */
  constructor(kind: string, first: readonly T[] = []) {
    this.kind = kind;
    for (const each of first) this.register(each);
  }

  register(item: T): void {
    const { name } = item;
    if (this.byName.has(name))
      throw new ConfigError(`two ${this.kind}s are named "${name}"`, {
        hint: "the name is taken by the program itself or by another --load file",
      });
    this.byName.set(name, item);
  }

  find(name: string): T | undefined {
    return this.byName.get(name);
  }

  /** Throws a ConfigError with a suggestion when there is none. */
  named(name: string): T {
    const found = this.byName.get(name);
    if (found !== undefined) return found;
    const names = this.names;
    throw new ConfigError(`no ${this.kind} is named "${name}".${didYouMean(name, names)}`, {
      hint: `${this.kind}s: ${names.join(", ")}; --load FILE.ts brings your own`,
    });
  }

  get names(): readonly string[] {
    return [...this.byName.keys()];
  }

  get all(): readonly T[] {
    return [...this.byName.values()];
  }
}
