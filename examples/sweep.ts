/** @file Which learning rate? One short run each, the best held-out loss at the end. */
import { quick, readMetrics } from "theseus";

// Arguments: ROOT [STEPS [RATE ...]]
const [root = "theseus-out", steps = "60", ...given] = process.argv.slice(2);
const rates = given.length > 0 ? given.map(Number) : [1e-3, 3e-3, 1e-2];

const results: { rate: number; loss: number; directory: string }[] = [];
for (const rate of rates) {
  await using run = await quick("gpt/pretrain", {
    ...{ root, project: "sweep", group: "learning-rate", name: `lr-${rate}`, fresh: true },
  });
  Object.assign(run.config.architecture, { n_layer: 2, n_head: 2, n_embd: 64, block_size: 64 });
  run.config.training = {
    ...run.config.training,
    ...{ steps: Number(steps), per_device_batch_size: 8, warmup_steps: 5, learning_rate: rate },
  };
  run.config.validation = { interval: 0, batches: 4 };
  const { valLoss, directory } = await run.train();
  results.push({ rate, loss: valLoss ?? Number.NaN, directory });
  const tokens = readMetrics(`${directory}/metrics.jsonl`).at(-1)?.tokens;
  console.log(`learning rate ${rate}: held-out loss ${valLoss?.toFixed(4)} after ${tokens} tokens`);
}

const [best] = results.sort((a, b) => a.loss - b.loss);
console.log(`best: ${best?.rate} (theseus show ${best?.directory})`);
