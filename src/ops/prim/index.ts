/** @file The primitives: the closed set that every backend runs. */
import type { AnyOp } from "../define.ts";
import { absOp } from "./abs.ts";
import { addOp } from "./add.ts";
import { andOp } from "./and.ts";
import { argmaxOp } from "./argmax.ts";
import { bitcastOp } from "./bitcast.ts";
import { broadcastOp } from "./broadcast.ts";
import { castOp } from "./cast.ts";
import { compareOp } from "./compare.ts";
import { concatOp } from "./concat.ts";
import { constOp } from "./const.ts";
import { cosOp } from "./cos.ts";
import { cumsumOp } from "./cumsum.ts";
import { divOp } from "./div.ts";
import { dotOp } from "./dot.ts";
import { dynamicSliceOp } from "./dynamic_slice.ts";
import { dynamicUpdateOp } from "./dynamic_update.ts";
import { erfOp } from "./erf.ts";
import { expOp } from "./exp.ts";
import { floorOp } from "./floor.ts";
import { gatherOp } from "./gather.ts";
import { getOp } from "./get.ts";
import { inputOp } from "./input.ts";
import { iotaOp } from "./iota.ts";
import { logOp } from "./log.ts";
import { maxOp } from "./max.ts";
import { minOp } from "./min.ts";
import { mulOp } from "./mul.ts";
import { negOp } from "./neg.ts";
import { orOp } from "./or.ts";
import { padOp } from "./pad.ts";
import { powOp } from "./pow.ts";
import { randomBitsOp } from "./random_bits.ts";
import { reduceOp } from "./reduce.ts";
import { reshapeOp } from "./reshape.ts";
import { rsqrtOp } from "./rsqrt.ts";
import { scatterAddOp } from "./scatter_add.ts";
import { selectOp } from "./select.ts";
import { sinOp } from "./sin.ts";
import { sliceOp } from "./slice.ts";
import { sqrtOp } from "./sqrt.ts";
import { stopGradientOp } from "./stop_gradient.ts";
import { subOp } from "./sub.ts";
import { tanhOp } from "./tanh.ts";
import { transposeOp } from "./transpose.ts";

export const primOps: readonly AnyOp[] = [
  inputOp,
  constOp,
  iotaOp,
  randomBitsOp,
  negOp,
  expOp,
  logOp,
  sqrtOp,
  rsqrtOp,
  sinOp,
  cosOp,
  tanhOp,
  erfOp,
  absOp,
  floorOp,
  castOp,
  bitcastOp,
  addOp,
  subOp,
  mulOp,
  divOp,
  maxOp,
  minOp,
  powOp,
  compareOp,
  andOp,
  orOp,
  selectOp,
  reshapeOp,
  transposeOp,
  broadcastOp,
  sliceOp,
  padOp,
  concatOp,
  dotOp,
  reduceOp,
  cumsumOp,
  argmaxOp,
  gatherOp,
  scatterAddOp,
  dynamicSliceOp,
  dynamicUpdateOp,
  stopGradientOp,
  getOp,
];
