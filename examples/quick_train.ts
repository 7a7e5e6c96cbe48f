/** @file A first run from a script: a small GPT learns text for a few seconds, tells its loss, and writes a line. */
import { quick } from "theseus";

// Arguments: ROOT [STEPS]
const [root = "theseus-out", steps = "60"] = process.argv.slice(2);

await using run = await quick("gpt/pretrain", { root, name: "quick", fresh: true });
Object.assign(run.config.architecture, { n_layer: 2, n_head: 2, n_embd: 64, block_size: 64 });
run.config.training.steps = Number(steps);
run.config.training.per_device_batch_size = 8;
run.config.training.learning_rate = 3e-3;
run.config.training.warmup_steps = 5;
run.config.validation.interval = 0;
run.config.validation.batches = 4;

for await (const { step, loss, tokens_per_s } of run) {
  if (step % 10 === 0)
    console.log(`step ${step}  loss ${loss.toFixed(3)}  ${Math.round(tokens_per_s)} tokens/s`);
}

const { loss, bitsPerByte } = await run.validate();
console.log(`held-out loss ${loss.toFixed(3)}, ${bitsPerByte.toFixed(3)} bits per byte`);
console.log(`The people${await run.sample("The people", { maxTokens: 60 })}`);

// The same configuration as a file: `theseus run again quick.yaml` repeats the run to the bit.
await run.save(`${run.directory}/quick.yaml`);
