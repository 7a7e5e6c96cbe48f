/**
 * @file The common shape of activation functions: elementwise, in f32 whatever the storage, run by the `map` kernel. The
 * gradient is a second elementwise op with the value of the derivative, times the cotangent.
 */
import type { Attrs, Id, TensorType } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { at, expectDtype, FLOATS, one } from "../check.ts";
import { defineOp, type OpDef, type Sample } from "../define.ts";
import { elementwiseDims } from "../elementwise.ts";
import { cast } from "../prim/cast.ts";
import { mul } from "../prim/mul.ts";
import { f32 } from "./compose.ts";

interface ActivationSpec<A extends Attrs> {
  readonly name: string;
  readonly doc: string;
  /** Checks the attributes. */
  check?(attrs: A): void;
  /** The function on f32. */
  compute(b: Builder, x: Id, attrs: A): Id;
  /** Its derivative at x, f32; y is the result. Null: the op is a derivative itself. */
  readonly derivative: ((b: Builder, x: Id, y: Id, attrs: A) => Id) | null;
  /** Name in `MapOp`. */
  map(attrs: A): string;
  /** Storage of the result. */
  readonly result: "like_input" | "f32";
  readonly attrs: readonly A[];
}

const SHAPES: readonly (readonly number[])[] = [[], [7], [3, 5, 129]];

function samples<A extends Attrs>(all: readonly A[]): Sample<A>[] {
  return all.flatMap((attrs, at) =>
    FLOATS.flatMap((dtype) =>
      SHAPES.map((shape) => {
        const name = `${at}_${dtype}_${shape.join("x")}`;
        return { name, inputs: [{ shape, dtype }], attrs };
      }),
    ),
  );
}

export function activationOp<A extends Attrs>(spec: ActivationSpec<A>): OpDef<A> {
  const { name, derivative } = spec;
  const typeOf = (x: TensorType): TensorType =>
    spec.result === "f32" ? { shape: x.shape, dtype: "f32" } : x;
  return defineOp<A>({
    name,
    tier: "fused",
    doc: spec.doc,
    infer(inputs, attrs) {
      const x = one(name, inputs);
      expectDtype(name, "x", x, FLOATS);
      spec.check?.(attrs);
      return [typeOf(x)];
    },
    decompose(b, inputs, attrs) {
      const x = at(inputs, 0);
      return [cast(b, spec.compute(b, f32(b, x), attrs), typeOf(b.type(x)).dtype)];
    },
    vjp:
      derivative === null
        ? null
        : (b, { inputs, outputs, attrs, cotangents }) => {
            const dy = cotangents[0] ?? null;
            if (dy === null) return [null];
            return [mul(b, dy, derivative(b, at(inputs, 0), at(outputs, 0), attrs))];
          },
    dims: (inputs) => elementwiseDims(inputs),
    map: (_inputs, attrs) => spec.map(attrs),
    kernels: {},
    samples: samples(spec.attrs),
  });
}
