/** @file Where a run's metrics go: metrics.jsonl, which is the truth, and the trackers that the configuration names. */
import { join } from "node:path";
import type { RunState } from "./checkpointer.ts";
import { loggingFields } from "./fields.ts";
import { MetricsWriter, type StepMetrics } from "./metrics.ts";
import type { RunFolder } from "./run_folder.ts";
import { Trackers } from "./trackers.ts";

export class RunMetrics {
  private readonly file: MetricsWriter;
  private readonly trackers: Trackers;

  constructor(run: RunFolder, from: RunState | null) {
    const { directory, runId, attempt, config, status } = run;
    this.file = new MetricsWriter(join(directory, "metrics.jsonl"));
    const tracked = { directory, runId, attempt, firstStep: (from?.step ?? 0) + 1 };
    this.trackers = new Trackers(config.get(loggingFields.trackers), tracked, (event) =>
      status.event(event),
    );
  }

  write(metrics: StepMetrics): void {
    this.file.write(metrics);
    this.trackers.log(metrics);
  }

  close(): void {
    this.file.close();
    this.trackers.finish();
  }
}
