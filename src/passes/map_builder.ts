/** @file Writes the bytecode of a group of elementwise nodes. */
import type { Id, Node } from "../ir/graph.ts";
import {
  FIRST_CONSTANT,
  FIRST_RESULT,
  type MapCode,
  type MapInstruction,
  mapOp,
} from "../ops/lowered/map_code.ts";
import { opOf } from "../ops/registry.ts";
import type { DType } from "../util/dtype.ts";
import { assert } from "../util/errors.ts";

type NodeOf = (id: Id) => Node;

const dtypeOf = (node: Node): DType => node.types[0]?.dtype ?? "f32";

/** Name of the map instruction of a node; null where it passes its operand through. */
export function mapNameOf(node: Node, nodeOf: NodeOf): string | null {
  const op = opOf(node.op);
  assert(op.map !== undefined, `${node.op} is not elementwise`);
  const types = node.inputs.map((id) => {
    const source = nodeOf(id);
    return { shape: source.types[0]?.shape ?? [], dtype: dtypeOf(source) };
  });
  return op.map(types, node.attrs, node.types);
}

export class MapBuilder {
  readonly inputs: Id[] = [];
  private readonly constants: (readonly [DType, number])[] = [];
  private readonly code: MapInstruction[] = [];
  /** Register of a value as results store it. */
  private readonly registers = new Map<Id, number>();
  /** Register of a value as other instructions read it, where rounding makes a difference. */
  private readonly rounded = new Map<Id, number>();
  private readonly nodeOf: NodeOf;
  private readonly needsInput: boolean;

  /** With `needsInput` the first constant is an input where nothing else is. */
  constructor(nodeOf: NodeOf, needsInput = false) {
    this.nodeOf = nodeOf;
    this.needsInput = needsInput;
  }

  /** Adds a node after all members that it reads. */
  member(id: Id): void {
    const node = this.nodeOf(id);
    const name = mapNameOf(node, this.nodeOf);
    const operands = node.inputs.map((input) => this.operand(input));
    if (name !== null) {
      assert(mapOp(name).arity === operands.length, `${node.op} does not fit ${name}`);
      this.registers.set(id, this.emit([name, ...operands]));
      return;
    }
    this.registers.set(id, operands[0] ?? 0);
  }

  finish(results: readonly Id[]): MapCode {
    return {
      constants: this.constants,
      code: this.code,
      results: results.map((id) => {
        const register = this.registers.get(id);
        assert(register !== undefined, `result ${id} is not a member`);
        return register;
      }),
    };
  }

  private emit(instruction: MapInstruction): number {
    this.code.push(instruction);
    return FIRST_RESULT + this.code.length - 1;
  }

  private operand(id: Id): number {
    const node = this.nodeOf(id);
    const member = this.registers.get(id);
    if (member === undefined) {
      const immediate = node.op === "const" && !(this.needsInput && this.inputs.length === 0);
      if (immediate) return this.constant(dtypeOf(node), Number(node.attrs.value));
      this.inputs.push(id);
      this.registers.set(id, this.inputs.length - 1);
      this.rounded.set(id, this.inputs.length - 1);
      return this.inputs.length - 1;
    }
    const known = this.rounded.get(id);
    if (known !== undefined) return known;
    const rounds = node.op === "cast" && dtypeOf(node) === "bf16";
    const register = rounds ? this.emit(["round_bf16", member]) : member;
    this.rounded.set(id, register);
    return register;
  }

  private constant(dtype: DType, value: number): number {
    const at = this.constants.findIndex(([d, v]) => d === dtype && Object.is(v, value));
    if (at >= 0) return FIRST_CONSTANT + at;
    this.constants.push([dtype, value]);
    return FIRST_CONSTANT + this.constants.length - 1;
  }
}
