/** @file The version of this program; package.json is its only source. */
import pack from "../../package.json" with { type: "json" };

export const VERSION: string = pack.version;
