/** @file theseus data: look after folders of tokens. */
import { command } from "./command.ts";
import { dataVerify } from "./data_verify.ts";

export default command({
  name: "data",
  summary: "check a folder of tokens",
  examples: ["theseus data verify theseus-out/data/stories"],
  args: {},
  commands: { verify: dataVerify },
});
