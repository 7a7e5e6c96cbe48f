/** @file theseus plan: what a run will need, to the byte, before it runs. */
import { configSource, loadTraining } from "../jobs/load_job.ts";
import { chooseDevice } from "../runtime/index.ts";
import { trainingFields } from "../train/fields.ts";
import { machineOf } from "../train/machine.ts";
import { planRun, type RunPlan } from "../train/plan.ts";
import type { TimeEstimate } from "../train/time_estimate.ts";
import { bytesText, countText } from "../util/quantities.ts";
import { command } from "./command.ts";
import { durationText, tableText } from "./format.ts";
import { rootOf } from "./place.ts";
import { loadArgs, loadUserCode } from "./user_code.ts";

const SCOPES_SHOWN = 12;

function timeText({ seconds, chip, chips, utilisation, peak_flops: peak }: TimeEstimate): string {
  const share = `${utilisation * 100}% of ${countText(peak)}FLOP/s`;
  return `about ${durationText(seconds)} on ${chips} ${chip} at ${share} each (assumed, not measured)`;
}

function planText(plan: RunPlan): string {
  const { memory, target, tokensPerStep: tokens } = plan;
  const rows = Object.entries(memory.stateByKind).map(([kind, bytes]) => [kind, bytesText(bytes)]);
  rows.push([`temporaries (${memory.arenaProgram})`, bytesText(memory.arenaBytes)]);
  rows.push(["inputs and outputs", bytesText(memory.hostBytes)]);
  if (target.kind === "cpu")
    rows.push([`scratch of ${target.threads} threads`, bytesText(memory.scratchBytes)]);
  else rows.push(["programs, and the device itself", bytesText(memory.programBytes)]);
  rows.push(["total", bytesText(memory.totalBytes)]);
  if (memory.copyBytes > 0)
    rows.push(["beside it, in the host's memory: checkpoint copy", bytesText(memory.copyBytes)]);
  const scopes = memory.scopes
    .slice(0, SCOPES_SHOWN)
    .map(({ scope, bytes }) => [scope === "" ? "(step)" : scope, bytesText(bytes)]);
  const programs = plan.programs.map(({ name, instructions, arenaBytes }) => [
    name,
    `${instructions} instructions`,
    bytesText(arenaBytes),
  ]);
  return [
    `${plan.job}: ${countText(plan.parameters)} parameters (${plan.parameters}), ${plan.precision}`,
    `${countText(plan.flopsPerToken)}FLOP per token, ${countText(tokens)} tokens a step ` +
      `(${plan.rows} samples at once, ${plan.accumulate} times), ` +
      `${countText(tokens * plan.steps)} tokens in ${plan.steps} steps`,
    ...(plan.time === null ? [] : [timeText(plan.time)]),
    "",
    `memory: exactly ${memory.totalBytes} bytes`,
    `${tableText(rows)}`,
    "temporaries at the peak, by module",
    `${tableText(scopes)}`,
    `programs (${target.level}${target.kind === "cpu" ? `, ${target.threads} threads` : ""})`,
    `${tableText(programs)}`,
  ].join("\n");
}

export default command({
  name: "plan",
  summary: "parameters, FLOPs and exact memory, before running",
  examples: ["theseus plan gpt/tiny-sotu", "theseus plan my.yaml architecture.n_layer=24 --json"],
  overrides: true,
  args: {
    config: { type: "positional", required: true, description: "a YAML file or a preset's name" },
  },
  repeated: loadArgs,
  async run({ args, overrides, repeated }) {
    await loadUserCode(repeated.load);
    const { job, config: asked } = loadTraining(configSource(args.config), overrides);
    const config = (await job.resolve?.(asked, rootOf(undefined, undefined), null)) ?? asked;
    const device = chooseDevice(config.values(trainingFields));
    try {
      const plan = planRun(job, config, machineOf(device));
      process.stdout.write(
        args.json === true ? `${JSON.stringify({ schema_version: 1, ...plan })}\n` : planText(plan),
      );
    } finally {
      device.close();
    }
    return 0;
  },
});
