/** @file Which layers adapters are put on: by their names, by the ends of their names, or with * for any part between dots. */
import { ConfigError } from "../../util/errors.ts";
import { didYouMean } from "../../util/suggest.ts";

function patternOf(target: string): RegExp {
  const parts = target.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`(^|\\.)${parts.join("[^.]*")}$`);
}

/** The last parts of names, each once: what a user would write. */
const endsOf = (names: readonly string[]): string[] => [
  ...new Set(names.map((name) => name.split(".").at(-1) ?? name)),
];

/** The names that the targets mean, in their order; null means all. Throws where a target means none. */
export function targetedLayers(
  names: readonly string[],
  targets: readonly string[] | null,
): readonly string[] {
  if (targets === null) return names;
  const patterns = targets.map((target) => ({ target, pattern: patternOf(target) }));
  for (const { target, pattern } of patterns)
    if (!names.some((name) => pattern.test(name))) {
      const ends = endsOf(names);
      throw new ConfigError(
        `lora.targets: no linear layer is called "${target}".${didYouMean(target, ends)}`,
        { hint: `there are ${ends.join(", ")}`, place: { key: "lora.targets" } },
      );
    }
  return names.filter((name) => patterns.some(({ pattern }) => pattern.test(name)));
}

/** The shortest list that means just these of all names: their ends, or where those mean others too, the names themselves. */
export function targetsText(chosen: readonly string[], all: readonly string[]): string[] {
  const ends = endsOf(chosen).sort();
  return targetedLayers(all, ends).length === chosen.length ? ends : [...chosen].sort();
}
