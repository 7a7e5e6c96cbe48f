/**
 * @file From a fused graph to steps over memory with exact offsets. What a plan says is what the library allocates, to
 * the byte: `theseus plan` prints it and an out-of-memory error quotes it.
 */
import type { Graph } from "../ir/graph.ts";
import type { TargetKind } from "../ops/kernel.ts";
import type { HostSlot } from "../program/program.ts";
import { layOutArena } from "./arena.ts";
import { type Lifetimes, lifetimesOf, shareInPlace } from "./liveness.ts";
import type { Step, Storage } from "./memory.ts";
import { Placement } from "./placement.ts";
import { type LiveBuffer, liveAt, type ScopeBytes, scopeBytes } from "./plan_report.ts";
import { StepBuilder } from "./steps.ts";
import { type StateInfo, Storages } from "./storages.ts";

export interface Plan {
  readonly name: string;
  /** Temporaries; one arena, as large as the largest needs, serves all programs of a job. */
  readonly arenaBytes: number;
  /** Most bytes of temporaries alive at one step: no layout can be smaller. */
  readonly arenaLowerBoundBytes: number;
  readonly states: readonly StateInfo[];
  readonly stateBytes: number;
  /** One slot of the host input buffer; there are two. */
  readonly inputBytes: number;
  readonly outputBytes: number;
  readonly inputs: readonly HostSlot[];
  readonly outputs: readonly HostSlot[];
  readonly scratchBytesPerThread: number;
  /** Step at which most temporaries are alive, and what they are, largest first. */
  readonly peakStep: number;
  readonly live: readonly LiveBuffer[];
  /** Temporaries by scope at the peak, largest first. */
  readonly scopes: readonly ScopeBytes[];
  readonly steps: readonly Step[];
  readonly storages: readonly Storage[];
  readonly lifetimes: Lifetimes;
}

export interface PlanOptions {
  /** False: no result overwrites a temporary. */
  readonly inPlace: boolean;
  /** Default: cpu. */
  readonly target?: TargetKind;
}

export function plan(graph: Graph, options: PlanOptions = { inPlace: true }): Plan {
  const storages = new Storages(graph);
  const target = options.target ?? "cpu";
  const placement = new Placement(graph, storages);
  const steps = new StepBuilder(graph, storages, placement, target).build();
  const { list } = storages;
  if (options.inPlace) shareInPlace(steps, list);
  const lifetimes = lifetimesOf(steps, list);
  const arena = layOutArena(list, lifetimes, steps.length);
  const live = liveAt(steps, list, lifetimes, arena.peakStep);
  return {
    name: graph.name,
    arenaBytes: arena.bytes,
    arenaLowerBoundBytes: arena.lowerBoundBytes,
    states: storages.states,
    stateBytes: storages.states.reduce((sum, state) => sum + state.bytes, 0),
    inputBytes: storages.inputBytes,
    outputBytes: storages.outputBytes,
    inputs: storages.inputs,
    outputs: storages.outputs,
    scratchBytesPerThread: steps.reduce((most, step) => Math.max(most, step.perThreadBytes), 0),
    peakStep: arena.peakStep,
    live,
    scopes: scopeBytes(live),
    steps,
    storages: list,
    lifetimes,
  };
}
