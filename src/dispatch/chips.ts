/** @file Names of accelerators: whole words decide, never a longest common part ("NVIDIA H100 80GB HBM3" is an h100, and no a100). */

const words = (text: string): string[] =>
  text
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter(Boolean);

/** Whether a device of that name, as nvidia-smi or SLURM calls it, is the chip: every word of the chip's name is one of its words. */
export function isChip(chip: string, device: string): boolean {
  const has = new Set(words(device));
  const wanted = words(chip);
  return wanted.length > 0 && wanted.every((word) => has.has(word));
}
