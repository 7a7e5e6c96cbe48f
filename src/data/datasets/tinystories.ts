/** @file tinystories: short stories in the words of a small child, for small models. */
import type { DatasetDefinition } from "./dataset.ts";

export const tinystories: DatasetDefinition = {
  name: "tinystories",
  doc: "two million short stories in simple words, about 2 GB; models of a few million parameters learn to write them (CDLA-Sharing-1.0)",
  hub: "roneneldan/TinyStories",
  kind: "text",
  textField: "text",
};
