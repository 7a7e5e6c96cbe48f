/**
 * @file Programs on a device: all memory is allocated when the engine is made (state shared by name, one arena, two slots of
 * host values a program), then runs are queued. A program's third run waits for its first, so the host prepares one step
 * while the device computes the one before.
 */

import type { HostSlot, Program } from "../program/program.ts";
import { serialize } from "../program/serialize.ts";
import {
  cacheAlgorithms,
  type Device,
  type DeviceBuffer,
  type LoadedProgram,
  type Slot,
  type Ticket,
} from "../runtime/index.ts";
import { assert } from "../util/errors.ts";
import { type HostValue, readValue, valueIn, writeValue } from "./host_values.ts";
import type { ProgramName, Programs } from "./job_programs.ts";
import { SLOTS } from "./memory_report.ts";

export interface Run {
  /** Waits for the run and returns a host output of it; valid until this program has been started twice more. */
  output(name: string): Promise<HostValue>;
  done(): Promise<void>;
  /** As `output`, without the millisecond that waiting may cost. */
  outputSoon(name: string): Promise<HostValue>;
}

/** Outputs up to this size are read together: each copy from a GPU costs a wait. */
const AT_ONCE_BYTES = 4096;

interface Loaded {
  readonly program: Program;
  readonly native: LoadedProgram;
  readonly inputs: readonly DeviceBuffer[];
  readonly outputs: readonly DeviceBuffer[];
  readonly staging: Uint8Array<ArrayBuffer>;
  /** Last run of each slot. */
  readonly tickets: (Ticket | undefined)[];
  runs: number;
}

export class Engine {
  readonly device: Device;
  private readonly loaded = new Map<ProgramName, Loaded>();
  private readonly natives: LoadedProgram[] = [];
  private readonly states = new Map<string, DeviceBuffer>();
  private readonly owned: DeviceBuffer[] = [];
  private readonly shared: Engine | undefined;
  private arena: DeviceBuffer | undefined;

  /** `shared`: an engine whose states are used instead of own ones, where it has them; it outlives this one. */
  constructor(device: Device, programs: Programs, shared?: Engine) {
    this.device = device;
    this.shared = shared;
    const arenaBytes = Math.max(0, ...[...programs.values()].map((p) => p.plan.arenaBytes));
    try {
      if (arenaBytes > 0) this.arena = this.alloc(arenaBytes);
      for (const [name, { program }] of programs) this.loaded.set(name, this.load(program));
      cacheAlgorithms(device);
    } catch (error) {
      // The device may serve others.
      this.free();
      throw error;
    }
  }

  /** Bytes of all buffers of this engine; equals the plan. */
  get allocatedBytes(): number {
    return this.owned.reduce((sum, buffer) => sum + buffer.bytes, 0);
  }

  has(state: string): boolean {
    return this.states.has(state);
  }

  state(name: string): DeviceBuffer {
    const buffer = this.states.get(name);
    assert(buffer !== undefined, `no program has the state ${name}`);
    return buffer;
  }

  /** Queues a run; waits only while two runs of this program are queued already. */
  async start(name: ProgramName, inputs: Readonly<Record<string, HostValue>> = {}): Promise<Run> {
    const loaded = this.loaded.get(name);
    assert(loaded !== undefined, `the engine has no program ${name}`);
    const slot = (loaded.runs++ % SLOTS) as Slot;
    const before = loaded.tickets[slot];
    if (before !== undefined) await this.device.wait(before);
    this.writeInputs(loaded, slot, inputs);
    const ticket = loaded.native.run(slot);
    loaded.tickets[slot] = ticket;
    const started = loaded.runs;
    let image: Uint8Array<ArrayBuffer> | undefined;
    const read = (output: string): HostValue => {
      assert(loaded.runs - started < SLOTS, `output ${output} of ${name} was overwritten`);
      const { buffer, place } = this.outputPlace(loaded, slot, output);
      if (buffer.bytes > AT_ONCE_BYTES) return readValue(buffer, place);
      if (image === undefined) {
        image = new Uint8Array(buffer.bytes);
        buffer.read(image);
      }
      return valueIn(image, place);
    };
    return {
      done: () => this.device.wait(ticket),
      output: (output) => this.device.wait(ticket).then(() => read(output)),
      outputSoon: (output) => this.device.waitClosely(ticket).then(() => read(output)),
    };
  }

  async finish(): Promise<void> {
    for (const { tickets } of this.loaded.values())
      for (const ticket of tickets) if (ticket !== undefined) await this.device.wait(ticket);
  }

  /** Switches the clock per instruction, for all programs; the times start from zero. */
  setProfiling(enabled: boolean): void {
    for (const { native } of this.loaded.values()) native.setProfiling(enabled);
  }

  /** Nanoseconds of each instruction of a program since profiling was switched on. */
  profile(name: ProgramName): { readonly program: Program; readonly nanoseconds: Float64Array } {
    const loaded = this.loaded.get(name);
    assert(loaded !== undefined, `the engine has no program ${name}`);
    return { program: loaded.program, nanoseconds: loaded.native.profile() };
  }

  free(): void {
    for (const native of this.natives) native.free();
    for (const buffer of this.owned) buffer.free();
    this.natives.length = 0;
    this.loaded.clear();
    this.states.clear();
    this.owned.length = 0;
  }

  private alloc(bytes: number): DeviceBuffer {
    const buffer = this.device.alloc(bytes);
    this.owned.push(buffer);
    return buffer;
  }

  private load(program: Program): Loaded {
    const native = this.device.load(serialize(program));
    this.natives.push(native);
    const inputs: DeviceBuffer[] = [];
    const outputs: DeviceBuffer[] = [];
    program.buffers.forEach(({ kind, name, bytes }, index) => {
      if (kind === "arena") {
        assert(this.arena !== undefined, `${program.name} needs an arena`);
        native.bind(index, "both", this.arena);
      } else if (kind === "state") {
        native.bind(index, "both", this.stateOf(name, bytes));
      } else {
        for (const slot of [0, 1] as const) {
          const buffer = this.alloc(bytes);
          (kind === "input" ? inputs : outputs).push(buffer);
          native.bind(index, slot, buffer);
        }
      }
    });
    const staging = new Uint8Array(inputs[0]?.bytes ?? 0);
    return { program, native, inputs, outputs, staging, tickets: [], runs: 0 };
  }

  private stateOf(name: string, bytes: number): DeviceBuffer {
    const known = this.states.get(name) ?? this.shared?.states.get(name);
    assert(
      known === undefined || known.bytes === bytes,
      `programs disagree on the size of ${name}`,
    );
    const buffer = known ?? this.alloc(bytes);
    this.states.set(name, buffer);
    return buffer;
  }

  private writeInputs(
    loaded: Loaded,
    slot: Slot,
    values: Readonly<Record<string, HostValue>>,
  ): void {
    const { program, staging, inputs } = loaded;
    for (const input of program.inputs) {
      const value = values[input.name];
      assert(value !== undefined, `program ${program.name} needs the input ${input.name}`);
      writeValue(staging, input, value);
    }
    inputs[slot]?.write(staging);
  }

  private outputPlace(loaded: Loaded, slot: Slot, name: string) {
    const place: HostSlot | undefined = loaded.program.outputs.find((each) => each.name === name);
    const buffer = loaded.outputs[slot];
    assert(place !== undefined && buffer !== undefined, `no output is named ${name}`);
    return { buffer, place };
  }
}
