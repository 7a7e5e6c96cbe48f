/** @file theseus tasks: the evaluation tasks that have a name. */
import { TASKS } from "../evaluate/builtin_tasks.ts";
import { command } from "./command.ts";
import { tableText } from "./format.ts";
import { loadArgs, loadUserCode } from "./user_code.ts";

export default command({
  name: "tasks",
  summary: "the evaluation tasks",
  examples: ["theseus tasks", "theseus eval first --tasks hellaswag,my_task.yaml"],
  args: {},
  repeated: loadArgs,
  async run({ args, repeated }) {
    await loadUserCode(repeated.load);
    const tasks = TASKS.all.map(({ name, version, output, source, split, shots, metrics }) => ({
      ...{ name, version, output, dataset: source.path, config: source.config, split, shots },
      metrics: metrics.map(({ metric }) => metric),
    }));
    if (args.json === true) {
      process.stdout.write(`${JSON.stringify({ schema_version: 1, tasks })}\n`);
      return 0;
    }
    const rows = tasks.map((task) => [
      task.name,
      task.output,
      `${task.dataset}${task.config === null ? "" : `, ${task.config}`}`,
      task.split,
      String(task.shots),
      task.metrics.join(" "),
    ]);
    process.stdout.write(
      tableText([["task", "kind", "dataset", "split", "shots", "metrics"], ...rows]),
    );
    return 0;
  },
});
