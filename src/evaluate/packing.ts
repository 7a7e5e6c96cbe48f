/**
 * @file Texts of many lengths side by side in rows of one length, so that next to no padding is computed. Attention sees only a text's own
 * tokens (`documents`), so a text's scores do not depend on its neighbours.
 */

/** Tokens that are given, and the last `scored` of those that follow: token i + 1 is predicted at position i. */
export interface ScoredText {
  /** All tokens but the last are inputs. */
  readonly tokens: readonly number[];
  /** How many tokens at the end are judged, at least 1. */
  readonly scored: number;
}

export interface Placed {
  readonly text: number;
  readonly row: number;
  readonly start: number;
}

/** First fit, longest first; ties by index, so that the plan is a function of the lengths. Every length is at most `length`. */
export function packTexts(lengths: readonly number[], length: number): Placed[] {
  const order = lengths.map((_, i) => i);
  order.sort((a, b) => (lengths[b] ?? 0) - (lengths[a] ?? 0) || a - b);
  const free: number[] = [];
  const placed: Placed[] = [];
  // Rows before this one have less room than the shortest text that is left needs.
  let firstOpen = 0;
  const shortest = Math.min(...lengths);
  for (const text of order) {
    const need = lengths[text] ?? 0;
    let row = firstOpen;
    while (row < free.length && (free[row] ?? 0) < need) row++;
    if (row === free.length) free.push(length);
    placed.push({ text, row, start: length - (free[row] ?? 0) });
    free[row] = (free[row] ?? 0) - need;
    while (firstOpen < free.length && (free[firstOpen] ?? 0) < shortest) firstOpen++;
  }
  return placed;
}
