/**
 * @file TensorBoard event files: TFRecord frames around protobuf Events, written by hand (three message types).
 * A resumed run starts with a SessionLog START at its step, which makes TensorBoard drop what a crash left after it.
 * https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto
 */
import { appendFileSync, existsSync, mkdirSync } from "node:fs";
import { hostname } from "node:os";
import { crc32c } from "../util/crc32c.ts";

class Message {
  private readonly bytes: number[] = [];

  private varint(value: number): void {
    let rest = value;
    while (rest >= 128) {
      this.bytes.push((rest % 128) | 128);
      rest = Math.floor(rest / 128);
    }
    this.bytes.push(rest);
  }

  integer(field: number, value: number): this {
    this.varint(field << 3);
    this.varint(value);
    return this;
  }

  private fixed(field: number, wire: 1 | 5, value: number): this {
    this.varint((field << 3) | wire);
    const view = new DataView(new ArrayBuffer(wire === 1 ? 8 : 4));
    if (wire === 1) view.setFloat64(0, value, true);
    else view.setFloat32(0, value, true);
    this.bytes.push(...new Uint8Array(view.buffer));
    return this;
  }

  double(field: number, value: number): this {
    return this.fixed(field, 1, value);
  }

  float(field: number, value: number): this {
    return this.fixed(field, 5, value);
  }

  nested(field: number, body: Uint8Array): this {
    this.varint((field << 3) | 2);
    this.varint(body.length);
    this.bytes.push(...body);
    return this;
  }

  text(field: number, value: string): this {
    return this.nested(field, new TextEncoder().encode(value));
  }

  finish(): Uint8Array {
    return Uint8Array.from(this.bytes);
  }
}

const masked = (bytes: Uint8Array): number => {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
};

/** length u64, masked crc of it, data, masked crc of the data. */
function frame(data: Uint8Array): Uint8Array {
  const out = new Uint8Array(16 + data.length);
  const view = new DataView(out.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, masked(out.subarray(0, 8)), true);
  out.set(data, 12);
  view.setUint32(12 + data.length, masked(data), true);
  return out;
}

const SESSION_START = 1;

export class TensorboardWriter {
  private readonly path: string;

  /** Opens a new event file in `folder`; `firstStep` > 0 hides steps of earlier attempts from there on. */
  constructor(folder: string, firstStep: number, now = Date.now() / 1e3) {
    mkdirSync(folder, { recursive: true });
    // TensorBoard reads a folder's files in the order of their names: seconds, then milliseconds.
    const millis = String(Math.floor((now % 1) * 1e3)).padStart(3, "0");
    const stem = `${folder}/events.out.tfevents.${Math.floor(now)}.${millis}.${hostname()}.${process.pid}`;
    let number = 0;
    while (existsSync(`${stem}.${number}`)) number++;
    this.path = `${stem}.${number}`;
    this.append(new Message().double(1, now).text(3, "brain.Event:2"));
    if (firstStep > 0) {
      const start = new Message().integer(1, SESSION_START).finish();
      this.append(new Message().double(1, now).integer(2, firstStep).nested(7, start));
    }
  }

  scalars(step: number, values: Readonly<Record<string, number>>, now = Date.now() / 1e3): void {
    const summary = new Message();
    for (const [tag, value] of Object.entries(values))
      summary.nested(1, new Message().text(1, tag).float(2, value).finish());
    this.append(new Message().double(1, now).integer(2, step).nested(5, summary.finish()));
  }

  private append(message: Message): void {
    appendFileSync(this.path, frame(message.finish()));
  }
}
