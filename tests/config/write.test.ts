/** @file Written YAML is complete, documented, and reads back to the same values. */
import { expect, test } from "bun:test";
import { collect } from "../../src/config/collect.ts";
import { field } from "../../src/config/field.ts";
import { loadConfig } from "../../src/config/load.ts";
import { int, string } from "../../src/config/schema.ts";
import { writeYaml } from "../../src/config/write.ts";
import { testSchema } from "./schema_for_tests.ts";

test("the defaults", () => {
  expect(`\n${writeYaml(testSchema, undefined, "job gpt/pretrain")}`).toMatchInlineSnapshot(`
    "
    # job gpt/pretrain

    architecture:
      n_layer: 6  # transformer blocks (integer >= 1; default 6)
      n_head: 6  # attention heads (integer >= 1; default 6)
      bias: true  # biases in linear layers and norms (true or false; default true)

    training:
      steps: ???  # optimizer steps (integer >= 1; required)
      per_device_batch_size: 8  # samples a device (integer >= 1; default 8)
      learning_rate: 0.0003  # peak learning rate (number > 0; default 0.0003)
      # decay rates of AdamW's averages of the gradient and of its square, in this order (list of 2
      # (number >= 0 and < 1); default [ 0.9, 0.95 ])
      betas: [ 0.9, 0.95 ]
      schedule: wsd  # learning-rate schedule (wsd | cosine; default wsd)
      clip: 1  # global norm bound (number > 0 or null; default 1)

    data:
      text: sotu  # what to train on (non-empty string; default sotu)
    "
  `);
});

test("reads back to the same configuration", () => {
  const overrides = ["training.steps=3", "training.learning_rate=1.1e-7", "data.text='a: b'"];
  const config = loadConfig({ schema: testSchema, overrides });
  const text = writeYaml(testSchema, config);
  const again = loadConfig({ schema: testSchema, source: { name: "x.yaml", text } });
  expect(again.toTree()).toEqual(config.toTree());
  expect(writeYaml(testSchema, again)).toBe(text);
});

test("one path, two declarations", () => {
  const a = { x: field("a/x", int({ min: 1 }), 1, "first") };
  const b = { x: field("a/x", int({ min: 1 }), 2, "second") };
  const c = { x: field("a/x", int({ min: 1 }), 1, "the same again") };
  expect(() => collect([{ config: a }, { config: b }])).toThrowErrorMatchingInlineSnapshot(
    `"internal: two declarations of a/x: (integer >= 1, default 1) and (integer >= 1, default 2)"`,
  );
  expect(collect([{ config: a }, { config: c }]).fields.size).toBe(1);
  const inside = { y: field("a/x/y", int(), 1, "inside a value") };
  expect(() => collect([{ config: a, uses: [{ config: inside }] }])).toThrow("inside the other");
});

test("texts of several lines and with quotes stay one line, and are read back", () => {
  const schema = collect([
    { config: { text: field("a/text", string(), "x", "any text") } },
    { config: { more: field("a/more", string(), "y", "another text") } },
  ]);
  for (const value of [
    '{\n  "a": [\n    1,\n    "b"\n  ]\n}\n',
    '{"a":"b # c"}',
    "\n",
    "a\n\n b: c",
  ]) {
    const config = loadConfig({ schema, values: { a: { text: value } } });
    const text = writeYaml(schema, config);
    expect(text.split("\n").filter((line) => line.includes("text:")).length).toBe(1);
    const again = loadConfig({ schema, source: { name: "x.yaml", text } });
    expect(again.at("a/text")).toBe(value);
    expect(again.at("a/more")).toBe("y");
  }
});
