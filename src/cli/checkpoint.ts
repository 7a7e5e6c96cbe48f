/** @file theseus checkpoint: what can be done with the checkpoints of a run. */
import { checkpointExport } from "./checkpoint_export.ts";
import { checkpointList } from "./checkpoint_list.ts";
import { checkpointPrune } from "./checkpoint_prune.ts";
import { checkpointSave } from "./checkpoint_save.ts";
import { checkpointVerify } from "./checkpoint_verify.ts";
import { command } from "./command.ts";

export default command({
  name: "checkpoint",
  summary: "list, verify, save, export and prune the checkpoints of a run",
  examples: [
    "theseus checkpoint list first",
    "theseus checkpoint verify first@step-000500",
    "theseus checkpoint export first@best weights",
  ],
  args: {},
  commands: {
    list: checkpointList,
    verify: checkpointVerify,
    save: checkpointSave,
    export: checkpointExport,
    prune: checkpointPrune,
  },
});
