/** @file Where the Hugging Face hub and its cache are: the environment variables that users of Python's huggingface_hub set. */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

export interface HubSettings {
  /** Without a slash at its end. */
  readonly endpoint: string;
  /** The folder of `models--org--name` and `datasets--org--name`. */
  readonly cache: string;
  readonly token: string | undefined;
  /** Only what the cache holds. */
  readonly offline: boolean;
  /** How often a request is made before it is given up. */
  readonly attempts: number;
}

const ATTEMPTS = 5;

type Environment = Readonly<Record<string, string | undefined>>;

const isTrue = (value: string | undefined): boolean =>
  value !== undefined && ["1", "ON", "YES", "TRUE"].includes(value.toUpperCase());

function expand(path: string): string {
  return path === "~" || path.startsWith("~/") ? join(homedir(), path.slice(1)) : path;
}

function tokenOf(env: Environment, home: string): string | undefined {
  const named = env.HF_TOKEN ?? env.HUGGING_FACE_HUB_TOKEN;
  if (named !== undefined && named.trim() !== "") return named.trim();
  if (isTrue(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined;
  const file = expand(env.HF_TOKEN_PATH || join(home, "token"));
  if (!existsSync(file)) return undefined;
  return readFileSync(file, "utf8").trim() || undefined;
}

export function hubSettings(env: Environment = process.env): HubSettings {
  const home = expand(
    env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface"),
  );
  return {
    endpoint: (env.HF_ENDPOINT || "https://huggingface.co").replace(/\/+$/, ""),
    cache: expand(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, "hub")),
    token: tokenOf(env, home),
    offline: isTrue(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE),
    attempts: ATTEMPTS,
  };
}
