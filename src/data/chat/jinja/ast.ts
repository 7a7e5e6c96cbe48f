/** @file The syntax tree of a template. Every node that can fail at run time carries its line. */

export type Literal =
  | null
  | boolean
  | string
  | { readonly int: string }
  | { readonly float: number };

export interface CallArgs {
  readonly positional: readonly Expression[];
  readonly named: readonly (readonly [string, Expression])[];
  readonly spread: Expression | undefined;
  readonly namedSpread: Expression | undefined;
}

export type BinaryOperator = "+" | "-" | "*" | "/" | "//" | "%" | "**" | "and" | "or";
export type CompareOperator = "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in";

export type Expression =
  | { readonly kind: "literal"; readonly value: Literal }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "list"; readonly items: readonly Expression[] }
  | { readonly kind: "tuple"; readonly items: readonly Expression[] }
  | { readonly kind: "dict"; readonly entries: readonly (readonly [Expression, Expression])[] }
  | { readonly kind: "attribute"; readonly of: Expression; readonly name: string }
  | { readonly kind: "item"; readonly of: Expression; readonly key: Expression }
  | {
      readonly kind: "slice";
      readonly of: Expression;
      readonly bounds: readonly (Expression | undefined)[];
    }
  | { readonly kind: "call"; readonly callee: Expression; readonly args: CallArgs }
  | {
      readonly kind: "filter";
      /** Undefined in a filter block: what the block wrote. */
      readonly of: Expression | undefined;
      readonly name: string;
      readonly args: CallArgs;
      readonly line: number;
    }
  | {
      readonly kind: "test";
      readonly of: Expression;
      readonly name: string;
      readonly args: CallArgs;
      readonly line: number;
    }
  | { readonly kind: "not"; readonly of: Expression }
  | { readonly kind: "sign"; readonly sign: "+" | "-"; readonly of: Expression }
  | {
      readonly kind: "binary";
      readonly operator: BinaryOperator;
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly kind: "concat"; readonly items: readonly Expression[] }
  | {
      readonly kind: "compare";
      readonly first: Expression;
      readonly rest: readonly (readonly [CompareOperator, Expression])[];
    }
  | {
      readonly kind: "choose";
      readonly test: Expression;
      readonly yes: Expression;
      readonly no: Expression | undefined;
    };

/** Where a value is put: a name, several names, or an attribute of a namespace. */
export type Target =
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "tuple"; readonly items: readonly Target[] }
  | { readonly kind: "namespace"; readonly name: string; readonly attribute: string };

export interface Parameter {
  readonly name: string;
  readonly value: Expression | undefined;
}

export interface Branch {
  readonly test: Expression;
  readonly body: readonly Statement[];
}

export type Statement = { readonly line: number } & (
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "output"; readonly value: Expression }
  | { readonly kind: "set"; readonly target: Target; readonly value: Expression }
  | {
      readonly kind: "set_block";
      readonly target: Target;
      readonly filter: Expression | undefined;
      readonly body: readonly Statement[];
    }
  | {
      readonly kind: "if";
      readonly branches: readonly Branch[];
      readonly otherwise: readonly Statement[];
    }
  | {
      readonly kind: "for";
      readonly target: Target;
      readonly over: Expression;
      readonly filter: Expression | undefined;
      readonly body: readonly Statement[];
      readonly otherwise: readonly Statement[];
    }
  | { readonly kind: "break" | "continue" }
  | {
      readonly kind: "macro";
      readonly name: string;
      readonly parameters: readonly Parameter[];
      readonly body: readonly Statement[];
    }
  | {
      readonly kind: "call_block";
      readonly parameters: readonly Parameter[];
      readonly call: Expression;
      readonly body: readonly Statement[];
    }
  | {
      readonly kind: "filter_block";
      readonly filter: Expression;
      readonly body: readonly Statement[];
    }
  | {
      readonly kind: "with";
      readonly values: readonly (readonly [Target, Expression])[];
      readonly body: readonly Statement[];
    }
  | { readonly kind: "generation"; readonly body: readonly Statement[] }
);
