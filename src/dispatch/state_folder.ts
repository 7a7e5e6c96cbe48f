/** @file Where this machine remembers what it submitted. A cache: the runs' folders on the hosts are the record. */
import { homedir } from "node:os";
import { join } from "node:path";

export const stateFolder = (): string =>
  join(process.env.XDG_STATE_HOME || join(homedir(), ".local/state"), "theseus");
