/** @file Entry of the executable: as main.ts, plus the native library that is embedded in it. */
import library from "../zig-out/lib/libtheseus.so" with { type: "file" };
import { start } from "./main.ts";
import { setEmbeddedLibrary } from "./runtime/library.ts";

setEmbeddedLibrary(library);
await start(process.argv.slice(2));
