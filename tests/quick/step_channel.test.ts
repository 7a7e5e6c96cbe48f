/** @file The producer waits for the consumer, and nobody waits for a closed channel. */
import { expect, test } from "bun:test";
import { StepChannel } from "../../src/quick/step_channel.ts";

const settled = async (promise: Promise<unknown>): Promise<boolean> => {
  let done = false;
  promise.then(() => {
    done = true;
  });
  await Bun.sleep(0);
  return done;
};

test("the producer goes on when the next value is asked for, not before", async () => {
  const channel = new StepChannel<{ n: number }>();
  const put = channel.put({ n: 1 });
  expect(channel.paused).toBe(false);
  expect(await channel.take()).toEqual({ n: 1 });
  expect(channel.paused).toBe(true);
  expect(await settled(put)).toBe(false);
  const next = channel.take();
  expect(await settled(put)).toBe(true);
  expect(channel.paused).toBe(false);
  const second = channel.put({ n: 2 });
  expect(await next).toEqual({ n: 2 });
  expect(channel.paused).toBe(true);
  expect(await settled(second)).toBe(false);
});

test("closing frees both sides, whoever waits", async () => {
  const consumer = new StepChannel<{ n: number }>();
  const take = consumer.take();
  consumer.close();
  expect(await take).toBeUndefined();
  const producer = new StepChannel<{ n: number }>();
  const put = producer.put({ n: 1 });
  producer.close();
  expect(await settled(put)).toBe(true);
  expect(await producer.take()).toBeUndefined();
  expect(await settled(producer.put({ n: 2 }))).toBe(true);
});
