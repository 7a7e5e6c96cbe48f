/** @file Finds the command, loads only its file, and turns every outcome into an exit code. */
import { isSystemError, UserError } from "../util/errors.ts";
import { log, setVerbosity } from "../util/log.ts";
import { redactedJson } from "../util/redact.ts";
import { didYouMean } from "../util/suggest.ts";
import { type AnyCommand, invoke, splitArgs, UsageError } from "./command.ts";
import { EXIT_BUG, EXIT_CODES } from "./exit_codes.ts";
import { commandHelp, firstDayHelp, rootHelp } from "./help.ts";
import { laterFault } from "./user_code.ts";

interface Entry {
  readonly summary: string;
  load(): Promise<{ default: AnyCommand }>;
}

/** In the order of the help text. A command's file is read only when it is called. */
export const COMMANDS: Readonly<Record<string, Entry>> = {
  jobs: { summary: "what can be configured", load: () => import("./jobs.ts") },
  configure: {
    summary: "write a job's complete configuration",
    load: () => import("./configure.ts"),
  },
  run: {
    summary: "run a job from its configuration: train, tokenize ...",
    load: () => import("./run.ts"),
  },
  plan: {
    summary: "parameters, FLOPs and exact memory, before running",
    load: () => import("./plan.ts"),
  },
  tokenize: {
    summary: "what a text, or conversations, become as tokens",
    load: () => import("./tokenize.ts"),
  },
  tokenizer: {
    summary: "learn a vocabulary, or look into a tokenizer",
    load: () => import("./tokenizer.ts"),
  },
  data: {
    summary: "check a folder of tokens",
    load: () => import("./data.ts"),
  },
  sample: { summary: "write text with a trained run", load: () => import("./sample.ts") },
  chat: { summary: "talk to a model at the terminal", load: () => import("./chat.ts") },
  serve: { summary: "answer OpenAI's clients over HTTP", load: () => import("./serve.ts") },
  script: { summary: "run a TypeScript script that trains", load: () => import("./script.ts") },
  checkpoint: {
    summary: "list, verify, save, export and prune the checkpoints of a run",
    load: () => import("./checkpoint.ts"),
  },
  restore: {
    summary: "go on from a checkpoint with its own configuration",
    load: () => import("./restore.ts"),
  },
  runs: { summary: "the runs under a root", load: () => import("./runs.ts") },
  show: { summary: "one run in detail, or how two differ", load: () => import("./show.ts") },
  plot: { summary: "loss curves of runs", load: () => import("./plot.ts") },
  clean: {
    summary: "delete what interrupted runs, restore and other versions left behind",
    load: () => import("./clean.ts"),
  },
  eval: { summary: "judge a model on evaluation tasks", load: () => import("./eval.ts") },
  score: {
    summary: "log-probabilities of the tokens of a text",
    load: () => import("./score.ts"),
  },
  tasks: { summary: "the evaluation tasks", load: () => import("./tasks.ts") },
  compare: {
    summary: "whether two evaluations differ by more than chance",
    load: () => import("./compare.ts"),
  },
  hosts: { summary: "what the hosts offer and lack", load: () => import("./hosts.ts") },
  submit: {
    summary: "run a job on another host or a SLURM cluster",
    load: () => import("./submit.ts"),
  },
  status: { summary: "how submitted runs stand", load: () => import("./status.ts") },
  logs: { summary: "what a submitted run prints", load: () => import("./logs.ts") },
  cancel: { summary: "end a submitted job", load: () => import("./cancel.ts") },
  shell: { summary: "a shell where a submitted run is", load: () => import("./shell.ts") },
  fetch: { summary: "bring a submitted run here", load: () => import("./fetch.ts") },
  sweep: { summary: "submit a run in many variants", load: () => import("./sweep.ts") },
  doctor: { summary: "what this machine offers and lacks", load: () => import("./doctor.ts") },
  completions: {
    summary: "completion of commands, options, presets and runs in your shell",
    load: () => import("./completions.ts"),
  },
};

/** The command that the first words name, and what follows them. */
async function find(
  words: readonly string[],
): Promise<{ definition: AnyCommand; raw: readonly string[] }> {
  const [name = "", ...raw] = words;
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (entry === undefined) {
    const guess = didYouMean(name, Object.keys(COMMANDS));
    throw new UsageError(`unknown command "${name}".${guess}`, "theseus --help lists the commands");
  }
  const definition = (await entry.load()).default;
  const { commands } = definition;
  const [below, ...rest] = raw;
  if (commands === undefined || below === undefined || below === "-h" || below === "--help")
    return { definition, raw };
  const found: AnyCommand | undefined = Object.hasOwn(commands, below)
    ? commands[below]
    : undefined;
  if (found === undefined)
    throw new UsageError(
      `unknown command "${name} ${below}".${didYouMean(below, Object.keys(commands))}`,
      `theseus ${name} --help lists the commands`,
    );
  return { definition: found, raw: rest };
}

async function dispatch(argv: readonly string[]): Promise<number> {
  const [name, ...topic] = argv;
  if (name === undefined) {
    process.stdout.write(firstDayHelp());
    return 0;
  }
  if (name === "-h" || name === "--help") {
    process.stdout.write(rootHelp(COMMANDS));
    return 0;
  }
  if (name === "help") {
    const page = async () => commandHelp((await find(topic)).definition);
    process.stdout.write(topic.length === 0 ? rootHelp(COMMANDS) : await page());
    return 0;
  }
  const { definition, raw } = await find(argv);
  if (definition.commands !== undefined && raw.length === 0)
    throw new UsageError(
      `${name} expects one of ${Object.keys(definition.commands).join(", ")}`,
      `theseus ${name} --help says what they do`,
    );
  const split = splitArgs(definition, raw);
  if (split.help) {
    process.stdout.write(commandHelp(definition));
    return 0;
  }
  return invoke(definition, split);
}

const printError = (error: Readonly<Record<string, unknown>>): void =>
  void process.stdout.write(`${redactedJson({ error })}\n`);

/** What the user may do about what the system refused, by the names of such refusals. */
const REFUSALS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full: free some space",
  EDQUOT: "your quota is used up: free some space",
  EROFS: "it is mounted read-only: name another folder",
  EACCES: "you may not do that there: name another folder, or have its rights changed",
  EPERM: "you may not do that there: name another folder, or have its rights changed",
  EMFILE: "too many files are open: raise the limit (ulimit -n)",
  ESTALE: "the file server has forgotten it: try again",
};

function refusal(error: unknown): UserError | undefined {
  if (!isSystemError(error)) return undefined;
  const hint = REFUSALS[error.code];
  const { path } = error as NodeJS.ErrnoException;
  const place = path === undefined ? {} : { path };
  return new UserError(error.message, { code: "runtime", place, ...(hint ? { hint } : {}) });
}

function report(thrown: unknown, json: boolean): number {
  const error =
    thrown instanceof UserError ? thrown : (laterFault(thrown) ?? refusal(thrown) ?? thrown);
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof UserError)) {
    if (json) printError({ code: "bug", message });
    log.error(`${message}\nThis is a fault in theseus, please report it.`);
    if (error instanceof Error && process.env.THESEUS_DEBUG === "1") log.info(error.stack ?? "");
    return EXIT_BUG;
  }
  const { path, line, column, key } = error.place;
  if (json) {
    printError({ code: error.code, message, hint: error.hint, path, line, key });
    return EXIT_CODES[error.code];
  }
  const place = [path, line, column].filter((part) => part !== undefined).join(":");
  log.error(place === "" ? message : `${place}  ${message}`);
  if (error.hint !== undefined) log.info(`hint: ${error.hint}`);
  return EXIT_CODES[error.code];
}

/** What is ours on a command line: not what follows `--`, nor a script's own arguments. */
function ownArgs(argv: readonly string[]): readonly string[] {
  const ours = argv.includes("--") ? argv.slice(0, argv.indexOf("--")) : argv;
  if (argv[0] === "completions" && argv[1] === "words") return [];
  if (argv[0] !== "script") return ours;
  const file = ours.findIndex(
    (arg, i) => i > 0 && !arg.startsWith("-") && ours[i - 1] !== "--load",
  );
  return file === -1 ? ours : ours.slice(0, file);
}

/** Runs one command line (without the program's own name) and returns its exit code; never throws. */
export async function main(argv: readonly string[]): Promise<number> {
  const flags = ownArgs(argv);
  const has = (flag: string): boolean => flags.includes(flag);
  const verbosity = has("--quiet") ? "quiet" : has("--verbose") ? "verbose" : "normal";
  setVerbosity(verbosity, has("--no-color"));
  // Who read our output has gone (`| head`): nobody misses the rest, and a training goes on.
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
    });
  try {
    return await dispatch(argv);
  } catch (error) {
    return report(error, has("--json"));
  }
}
