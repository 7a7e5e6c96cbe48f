/** @file A conversation that goes on: its turns so far, and the next answer. Turns of old are forgotten where the context is full. */
import type { ChatTemplate } from "../data/chat/chat_template.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { type ChatTurn, chatPrompt, type TurnEnd, turnEnd } from "./chat_prompt.ts";
import type { SamplingOptions } from "./choose_token.ts";
import { type Generator, PromptTooLong } from "./generator.ts";
import { type GeneratedText, generateText } from "./text_generation.ts";

export interface ChatModel {
  readonly tokenizer: Tokenizer;
  readonly generator: Generator;
  readonly stopIds: ReadonlySet<number>;
  readonly template: ChatTemplate;
}

export interface SayOptions {
  readonly maxTokens: number | null;
  readonly sampling: SamplingOptions;
  readonly signal?: AbortSignal;
  readonly onText?: (text: string) => void;
}

export interface Answer extends GeneratedText {
  /** Exchanges that had to be forgotten for it. */
  readonly forgotten: number;
}

export class ChatSession {
  private readonly model: ChatModel;
  private readonly end: TurnEnd;
  private turns: ChatTurn[] = [];
  private instruction: string;

  constructor(model: ChatModel, system = "") {
    this.model = model;
    this.end = turnEnd(model.template, model.tokenizer);
    this.instruction = system;
  }

  get system(): string {
    return this.instruction;
  }

  /** Begins anew, with these instructions. */
  reset(system = this.instruction): void {
    this.turns = [];
    this.instruction = system;
  }

  /**
   * The answer to `text`. One that was cancelled stays in the conversation as far as it came; where none was possible, `text`
   * is not part of it either.
   */
  async say(text: string, options: SayOptions): Promise<Answer> {
    const { tokenizer, generator, stopIds } = this.model;
    const asked: ChatTurn = { role: "user", content: text };
    let kept = [...this.turns, asked];
    for (let forgotten = 0; ; forgotten++) {
      const prompt = this.promptOf(kept);
      const request = {
        ...{ ...options, prompt, stop: this.end.texts },
        stopIds: new Set([...stopIds, ...this.end.ids]),
      };
      try {
        const answer = await generateText(generator, tokenizer, request);
        const said = { role: "assistant", content: answer.text.trim() };
        this.turns = said.content === "" ? kept.slice(0, -1) : [...kept, said];
        return { ...answer, forgotten };
      } catch (error) {
        if (!(error instanceof PromptTooLong) || kept.length < 3) throw error;
        kept = kept.slice(2);
      }
    }
  }

  private promptOf(turns: readonly ChatTurn[]): readonly number[] {
    const system = { role: "system", content: this.instruction };
    const all = this.instruction === "" ? turns : [system, ...turns];
    return chatPrompt(all, this.model.template, this.model.tokenizer).ids;
  }
}
