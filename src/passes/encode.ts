/** @file From a plan to a program: storages become buffers and offsets, words become bits. */
import type { View, Word } from "../ops/kernel.ts";
import { bitsOfFloat } from "../ops/lowered/map_ops.ts";
import type {
  Program,
  ProgramBuffer,
  ProgramInstruction,
  ProgramOperand,
} from "../program/program.ts";
import { dtypeBytes } from "../util/dtype.ts";
import { assert } from "../util/errors.ts";
import { ownerOf } from "./liveness.ts";
import type { Ref, Step, StorageId } from "./memory.ts";
import type { Plan } from "./plan.ts";

export function encode(plan: Plan): Program {
  const encoder = new Encoder(plan);
  return {
    name: plan.name,
    buffers: encoder.buffers,
    instructions: plan.steps.map((step) => encoder.instruction(step)),
    scratchBytesPerThread: plan.scratchBytesPerThread,
    inputs: plan.inputs,
    outputs: plan.outputs,
  };
}

interface Place {
  readonly buffer: number;
  readonly offsetBytes: number;
}

class Encoder {
  readonly buffers: ProgramBuffer[] = [];
  private readonly plan: Plan;
  /** Buffer and offset of each storage. */
  private readonly places: readonly (Place | undefined)[];

  constructor(plan: Plan) {
    this.plan = plan;
    const { arenaBytes, inputBytes, outputBytes } = plan;
    const arena = this.buffer("arena", "arena", arenaBytes);
    const input = this.buffer("input", "input", inputBytes);
    const output = this.buffer("output", "output", outputBytes);
    const shared = { arena, input, output };
    this.places = plan.storages.map((storage, id) => {
      if (storage.kind === "state") {
        return { buffer: this.buffer("state", storage.name, storage.bytes), offsetBytes: 0 };
      }
      const owner = plan.storages[ownerOf(plan.storages, id)];
      return { buffer: shared[storage.kind], offsetBytes: owner?.offset ?? 0 };
    });
  }

  instruction(step: Step): ProgramInstruction {
    const { lowered, inputs, outputs, workspace, node } = step;
    const operands = [
      ...inputs.map((ref, i) => this.operand(ref, lowered.inputs?.[i], false)),
      ...outputs.map((ref, i) => this.operand(ref, lowered.outputs?.[i], true)),
    ];
    if (workspace !== null) operands.push(this.workspace(workspace));
    return {
      opcode: lowered.opcode,
      operands,
      words: lowered.words.map(bitsOf),
      hasWorkspace: workspace !== null,
      node: step.id,
      scope: node.scope,
    };
  }

  /** Index of a new buffer; a buffer of no bytes is left out, and nothing refers to it. */
  private buffer(kind: ProgramBuffer["kind"], name: string, bytes: number): number {
    if (bytes === 0) return -1;
    this.buffers.push({ kind, name, bytes });
    return this.buffers.length - 1;
  }

  private place(storage: StorageId): Place {
    const place = this.places[storage];
    assert(place !== undefined && place.buffer >= 0, `storage ${storage} has no buffer`);
    return place;
  }

  private operand(ref: Ref, lowered: View | undefined, output: boolean): ProgramOperand {
    const view = lowered ?? ref.view;
    const { buffer, offsetBytes } = this.place(ref.storage);
    return {
      buffer,
      offsetBytes: offsetBytes + view.offset * dtypeBytes(view.dtype),
      dtype: view.dtype,
      shape: view.shape,
      strides: view.strides,
      output,
    };
  }

  private workspace(storage: StorageId): ProgramOperand {
    const bytes = this.plan.storages[storage]?.bytes ?? 0;
    const { buffer, offsetBytes } = this.place(storage);
    const shape = [Math.ceil(bytes / 4)];
    return { buffer, offsetBytes, dtype: "u32", shape, strides: [1], output: true };
  }
}

const bitsOf = (word: Word): number =>
  typeof word === "number" ? word >>> 0 : bitsOfFloat(word.f32);
