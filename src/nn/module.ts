/**
 * @file Composable modules. A module declares parameters and children and says in `forward` how they are used; its path
 * is known while it is constructed, so that every message can name it. `call` runs `forward` under that path.
 */
import type { Configured } from "../config/collect.ts";
import { UserError } from "../util/errors.ts";
import type { Axis } from "./axis.ts";
import type { Init } from "./init.ts";
import { Param } from "./param.ts";
import type { Rules } from "./sharding.ts";
import { Tensor } from "./tensor.ts";

/** What stands on the class: configuration fields, the modules it is made of, default sharding. */
export interface ModuleClass extends Configured {
  readonly sharding?: Rules;
}

/** Paths of the modules under construction, innermost last. */
const underConstruction: string[] = [];

export abstract class Module {
  readonly path: string = underConstruction.at(-1) ?? "";
  readonly ownParams: Param[] = [];
  readonly ownChildren: Module[] = [];

  abstract forward(...inputs: never[]): unknown;

  /** Declares a parameter. */
  protected param(name: string, axes: readonly Axis[], init: Init): Param {
    const param = new Param(this.pathOf(name), axes, init);
    for (const { name: label, size } of axes)
      if (!Number.isInteger(size) || size < 1)
        this.fail(`axis ${label} of ${name} has size ${size}, expected a whole number >= 1`);
    this.ownParams.push(param);
    return param;
  }

  /** Constructs a child under this module's path. */
  protected child<M extends Module>(name: string, create: () => M): M {
    underConstruction.push(this.pathOf(name));
    try {
      const module = create();
      this.ownChildren.push(module);
      return module;
    } finally {
      underConstruction.pop();
    }
  }

  protected childList<M extends Module>(
    name: string,
    count: number,
    create: (index: number) => M,
  ): readonly M[] {
    return Array.from({ length: count }, (_, i) => this.child(`${name}.${i}`, () => create(i)));
  }

  /** Runs `forward` with this module's path as the scope of the nodes it makes. */
  call<M extends Module>(this: M, ...inputs: Parameters<M["forward"]>): ReturnType<M["forward"]> {
    const first: unknown = inputs[0];
    const run = () => this.forward(...(inputs as never[])) as ReturnType<M["forward"]>;
    if (!(first instanceof Tensor)) return run();
    const { b } = first.trace;
    return b.as({ scope: this.path, phase: b.phase }, run);
  }

  /** All parameters below this module, in order of declaration. */
  parameters(): Param[] {
    return [...this.ownParams, ...this.ownChildren.flatMap((child) => child.parameters())];
  }

  /** This module and all below it. */
  modules(): Module[] {
    return [this, ...this.ownChildren.flatMap((child) => child.modules())];
  }

  protected fail(message: string): never {
    const name = this.path === "" ? this.constructor.name : this.path;
    throw new UserError(`${name}: ${message}`, { code: "config" });
  }

  private pathOf(name: string): string {
    return this.path === "" ? name : `${this.path}.${name}`;
  }
}
