/** @file Entry of the executable: as main.ts, plus the native library that is embedded in it. */
import library from "../zig-out/lib/libtheseus.so" with { type: "file" };
import { start } from "./main.ts";

process.env.THESEUS_EMBEDDED_LIBRARY = library;
await start(process.argv.slice(2));
