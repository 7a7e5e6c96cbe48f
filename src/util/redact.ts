/**
 * @file Keeps secrets of the environment out of what we print and write: the values of variables whose names say that they are
 * secret. Messages may carry them from anywhere, an address with a token in it or an error of users' code.
 */

const SECRET_NAME = /(?:^|_)(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)(?:$|_)/i;
/** Shorter ones would strike out ordinary words. */
const SHORTEST = 8;

function secrets(): readonly string[] {
  return Object.entries(process.env)
    .filter(([name, value]) => SECRET_NAME.test(name) && (value ?? "").length >= SHORTEST)
    .map(([, value]) => value ?? "")
    .sort((a, b) => b.length - a.length);
}

/** The text with every secret replaced, also as it stands in JSON and in addresses. */
export function redacted(text: string): string {
  let out = text;
  for (const secret of secrets())
    for (const form of new Set([
      secret,
      JSON.stringify(secret).slice(1, -1),
      encodeURIComponent(secret),
    ]))
      out = out.replaceAll(form, "[secret]");
  return out;
}

/** As `JSON.stringify`, every text in it redacted: before it is escaped, for an escaped secret may look different. */
export const redactedJson = (value: unknown): string =>
  JSON.stringify(value, (_key, each: unknown) =>
    typeof each === "string" ? redacted(each) : each,
  );
