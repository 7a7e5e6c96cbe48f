/**
 * @file Logits of a model for fixed tokens, for scripts/parity/check_folder.py to compare:
 * `bun scripts/parity/folder_logits.ts MODEL OUT.json [ROOT]`, MODEL as on the command line.
 */
import { modelFiles } from "../../src/jobs/model_place.ts";
import { trainedRun } from "../../src/jobs/trained_run.ts";
import { axis } from "../../src/nn/axis.ts";
import { Trace } from "../../src/nn/trace.ts";
import { Builder } from "../../src/ops/builder.ts";
import { compile } from "../../src/passes/index.ts";
import { openDevice } from "../../src/runtime/index.ts";
import { Engine } from "../../src/train/engine.ts";
import { targetOf } from "../../src/train/target.ts";
import { loadWeights } from "../../src/train/weights.ts";

const [name = "", out = "", root = "theseus-out"] = process.argv.slice(2);
const { model, weights } = trainedRun(await modelFiles(name, root));
const length = Math.min(model.blockSize, 48);
const tokens = Int32Array.from({ length }, (_, i) => (i * 7 + 3) % Math.min(model.vocabSize, 61));
const b = new Builder("logits");
const trace = new Trace(b, "f32");
const ids = trace.input("tokens", [axis("batch", 1), axis("seq", length)], "i32");
b.output("logits", model.logits(model.forward(ids)).id);
const device = openDevice();
const engine = new Engine(device, new Map([["logits", compile(b.finish(), targetOf(device))]]));
loadWeights(engine, model, weights);
const run = await engine.start("logits", { tokens });
const logits = (await run.output("logits")) as Float32Array;
await Bun.write(
  out,
  JSON.stringify({ tokens: [...tokens], vocab: model.vocabSize, logits: [...logits] }),
);
engine.free();
device.close();
