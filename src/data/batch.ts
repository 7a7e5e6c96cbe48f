/** @file Rows of tokens side by side, as the programs of training and validation take them. */

export interface Batch {
  /** [rows, length], as all of these. */
  readonly tokens: Int32Array;
  /** The token after each token; -1: nothing is predicted there. */
  readonly targets: Int32Array;
  /** The index of each token within its document; only written where documents are kept apart. */
  readonly positions: Int32Array;
  /** Where in the row each token's document begins; only written where documents are kept apart. */
  readonly documents: Uint32Array;
}

/** A target that the loss leaves out. */
export const MASKED = -1;

export const newBatch = (rows: number, length: number): Batch => ({
  tokens: new Int32Array(rows * length),
  targets: new Int32Array(rows * length),
  positions: new Int32Array(rows * length),
  documents: new Uint32Array(rows * length),
});

/** The tokens that are predicted in a batch. */
export const predicted = ({ targets }: Batch): Uint32Array =>
  Uint32Array.from(targets.filter((target) => target !== MASKED));

/** Rows of padding in which nothing is predicted. */
export function clearBatch(batch: Batch): void {
  batch.tokens.fill(0);
  batch.targets.fill(MASKED);
  batch.positions.fill(0);
  batch.documents.fill(0);
}
