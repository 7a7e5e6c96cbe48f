/**
 * @file Alternates our step bench with PyTorch's on the same sizes and prints medians and the ratio. Machines are shared
 * and noisy: each round runs both sides back to back, and the ratio is the median of the rounds' ratios.
 */
import { cpus } from "node:os";
import { parseArgs } from "node:util";

/** The fields of both benches that are read here; both print more. */
interface StepFigures {
  readonly tokens_per_s: number;
  readonly ms_per_step: number;
  readonly gflops_per_s: number;
  readonly first_step_s: number;
  readonly peak_rss_mib: number;
}

const { values } = parseArgs({
  allowNegative: true,
  options: {
    sizes: { type: "string", default: "baby,small,gpt2" },
    dtypes: { type: "string", default: "f32,bf16" },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "10" },
    threads: { type: "string" },
    python: { type: "string", default: process.env.THESEUS_TORCH_PYTHON ?? "python3" },
    compile: { type: "boolean", default: false },
    // The peer at its best: without the time that its initial values cost in subnormal arithmetic.
    "flush-denormal": { type: "boolean", default: true },
  },
});

const threads = values.threads === undefined ? [] : ["--threads", values.threads];

async function figures(command: readonly string[]): Promise<StepFigures> {
  // A clean environment for the peer: variables that pin a slow BLAS kernel would flatter us.
  const env = { ...process.env };
  delete env.OPENBLAS_CORETYPE;
  delete env.OPENBLAS_L2_SIZE;
  const child = Bun.spawn([...command], { env, stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`${command.join(" ")} exited with ${code}:\n${err}`);
  return JSON.parse(out.trim().split("\n").at(-1) ?? "");
}

const median = (numbers: readonly number[]): number => {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
};

async function compare(size: string, dtype: string): Promise<void> {
  const common = ["--size", size, "--dtype", dtype, ...threads];
  const ours = ["bun", "bench/step.ts", ...common];
  const peer = [values.python, "bench/peer_torch.py", ...common];
  if (values.compile) peer.push("--compile");
  if (values["flush-denormal"]) peer.push("--flush-denormal");
  const steps = async (command: readonly string[]): Promise<string[]> => {
    const { ms_per_step } = await figures([...command, "--steps", "5"]);
    return [
      "--steps",
      String(Math.max(3, Math.ceil((Number(values.seconds) * 1e3) / ms_per_step))),
    ];
  };
  const [ourSteps, peerSteps] = [await steps(ours), await steps(peer)];
  const rounds: { ours: StepFigures; peer: StepFigures }[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    const a = await figures([...ours, ...ourSteps]);
    const b = await figures([...peer, ...peerSteps]);
    rounds.push({ ours: a, peer: b });
    console.error(
      `${size} ${dtype} round ${round + 1}: ${a.tokens_per_s} vs ${b.tokens_per_s} tokens/s`,
    );
  }
  const of = (pick: (f: StepFigures) => number, side: "ours" | "peer"): number =>
    median(rounds.map((round) => pick(round[side])));
  console.log(
    JSON.stringify({
      size,
      dtype,
      rounds: rounds.length,
      ratio: Number(
        median(rounds.map((r) => r.ours.tokens_per_s / r.peer.tokens_per_s)).toFixed(3),
      ),
      tokens_per_s: [of((f) => f.tokens_per_s, "ours"), of((f) => f.tokens_per_s, "peer")],
      gflops_per_s: [of((f) => f.gflops_per_s, "ours"), of((f) => f.gflops_per_s, "peer")],
      first_step_s: [of((f) => f.first_step_s, "ours"), of((f) => f.first_step_s, "peer")],
      peak_rss_mib: [of((f) => f.peak_rss_mib, "ours"), of((f) => f.peak_rss_mib, "peer")],
      memory_ratio: Number(
        median(rounds.map((r) => r.ours.peak_rss_mib / r.peer.peak_rss_mib)).toFixed(3),
      ),
    }),
  );
}

console.log(`# ${cpus()[0]?.model ?? "unknown CPU"}, ${cpus().length} logical CPUs; [ours, peer]`);
for (const size of values.sizes.split(",")) {
  for (const dtype of values.dtypes.split(",")) await compare(size, dtype);
}
