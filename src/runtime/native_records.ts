/**
 * @file Records to tokens, many in one native call (zig/tokenizer/lines.zig): the text of each, on which side of a split it falls, its
 * tokens. What the native reader does not do exactly as JSON.parse would is left to the caller, record by record.
 */
import { openLibrary } from "./library.ts";
import { checked } from "./native_error.ts";

/** Most bytes of a record that is read natively; larger ones are worth several threads. */
const ROOM_BYTES = 1 << 20;
const RECORDS = 1 << 13;
/** Words of a `Note`: side, tokens, bytes of text, where the record starts, where it ends. */
const NOTE_WORDS = 5;

const SIDES = ["train", "validation"] as const;

/** Numbers of `Form` in zig/tokenizer/lines.zig. */
const FORMS = { json: 0, lines: 1, paragraphs: 2 } as const;

/** Lines of JSON, lines that are texts, or texts between blank lines. */
export type RecordForm = keyof typeof FORMS;

export interface RecordOptions {
  /** That holds the text of a line of JSON. */
  readonly field: string;
  readonly seed: bigint;
  /** Documents whose hash is less are held out; 64 bits. */
  readonly below: bigint;
  /** Tokens around each document. */
  readonly before: number | undefined;
  readonly after: number | undefined;
}

/** What is made of records, in their order. */
export interface RecordSink {
  /** Tokens that stand one after another; valid during the call. `lengths` are those of the documents. */
  documents(
    side: (typeof SIDES)[number],
    ids: Uint16Array | Uint32Array,
    lengths: readonly number[],
    textBytes: number,
  ): void;
  /** A record that was not read: from and to where it is in the block. */
  record(from: number, to: number): void | Promise<void>;
}

export class NativeRecords {
  private readonly library = openLibrary();
  private readonly handle: number;
  private readonly options: Uint8Array;
  /** Last word of the header in them. */
  private readonly form: Uint8Array;
  private readonly out: Uint16Array | Uint32Array;
  private readonly room = new Uint8Array(ROOM_BYTES);
  private readonly notes = new Uint32Array(1 + NOTE_WORDS * RECORDS);

  constructor(handle: number, wide: boolean, options: RecordOptions) {
    this.handle = handle;
    this.out = wide ? new Uint32Array(ROOM_BYTES) : new Uint16Array(ROOM_BYTES);
    const header = new BigInt64Array(5);
    header.set([options.seed, options.below].map((each) => BigInt.asIntN(64, each)));
    header.set(
      [options.before, options.after].map((each) => BigInt(each ?? -1)),
      2,
    );
    this.options = Buffer.concat([Buffer.from(header.buffer), Buffer.from(options.field)]);
    this.form = this.options.subarray(header.byteLength - 8, header.byteLength);
  }

  /** Takes whole records. */
  async encode(block: Uint8Array, form: RecordForm, sink: RecordSink): Promise<void> {
    this.form[0] = FORMS[form];
    for (let at = 0; at < block.length; ) {
      const rest = block.subarray(at);
      const taken = this.call(rest);
      await this.tell(at, sink);
      at += taken;
    }
  }

  private call(block: Uint8Array): number {
    const { options, out, room, notes } = this;
    return checked(
      this.library,
      this.library.symbols.theseus_tokenizer_lines(
        this.handle,
        ...([block, block.length] as const),
        ...([options, options.length] as const),
        out.BYTES_PER_ELEMENT,
        ...([out, out.byteLength] as const),
        ...([room, room.length] as const),
        ...([notes, notes.byteLength] as const),
      ),
    );
  }

  /** Documents of one side that follow one another are told together. */
  private async tell(offset: number, sink: RecordSink): Promise<void> {
    const { notes, out } = this;
    const [count = 0] = notes;
    let [from, to, textBytes] = [0, 0, 0];
    let side: number | undefined;
    let lengths: number[] = [];
    const flush = (): void => {
      const name = side === undefined ? undefined : SIDES[side];
      if (name !== undefined) sink.documents(name, out.subarray(from, to), lengths, textBytes);
      [from, textBytes, lengths, side] = [to, 0, [], undefined];
    };
    for (let at = 1; at < 1 + NOTE_WORDS * count; at += NOTE_WORDS) {
      const of = notes[at] ?? 0;
      if (of !== side) flush();
      if (of >= SIDES.length) {
        await sink.record(offset + (notes[at + 3] ?? 0), offset + (notes[at + 4] ?? 0));
        continue;
      }
      side = of;
      const tokens = notes[at + 1] ?? 0;
      lengths.push(tokens);
      to += tokens;
      textBytes += notes[at + 2] ?? 0;
    }
    flush();
  }
}
