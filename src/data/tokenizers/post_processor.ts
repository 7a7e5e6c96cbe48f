/** @file What a tokenizer.json's post-processor adds around one text: ids before and after it. */
import { DataError } from "../../util/errors.ts";
import { type Component, isComponent } from "./tokenizer_json.ts";

export interface Around {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

const NOTHING: Around = { before: [], after: [] };

const fail = (type: string): never => {
  throw new DataError(`tokenizer.json: a post_processor of type ${type} that cannot be read`);
};

type Ids = Readonly<Record<string, { readonly ids?: readonly number[] } | undefined>>;

/** `single` is a list of {Sequence: …} and {SpecialToken: {id}}, whose ids stand in `special_tokens`. */
function ofTemplate(component: Component): Around {
  const { single, special_tokens } = component;
  if (!Array.isArray(single)) return fail(component.type);
  const ids = (special_tokens ?? {}) as Ids;
  const before: number[] = [];
  const after: number[] = [];
  let side = before;
  for (const piece of single as { Sequence?: unknown; SpecialToken?: { id?: string } }[]) {
    if (piece.Sequence !== undefined) side = after;
    else side.push(...(ids[piece.SpecialToken?.id ?? ""]?.ids ?? fail(component.type)));
  }
  return { before, after };
}

/** BertProcessing and RobertaProcessing: `cls` and `sep` are [content, id]. */
function ofPair(component: Component): Around {
  const id = (value: unknown): number =>
    Array.isArray(value) && typeof value[1] === "number" ? value[1] : fail(component.type);
  return { before: [id(component.cls)], after: [id(component.sep)] };
}

export function aroundOf(component: Component | null): Around {
  if (component === null) return NOTHING;
  switch (component.type) {
    case "ByteLevel":
      return NOTHING;
    case "TemplateProcessing":
      return ofTemplate(component);
    case "BertProcessing":
    case "RobertaProcessing":
      return ofPair(component);
    case "Sequence": {
      // Each processor wraps what the ones before it made.
      const parts = Array.isArray(component.processors) ? component.processors : [];
      const all = parts.map((part) => aroundOf(isComponent(part) ? part : fail(component.type)));
      return {
        before: all.toReversed().flatMap((each) => each.before),
        after: all.flatMap((each) => each.after),
      };
    }
    default:
      return fail(component.type);
  }
}
