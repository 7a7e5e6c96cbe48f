/**
 * @file Whether this machine can have the real hosts: root, sshd and SLURM. Continuous integration must have them; elsewhere the tests
 * that need them say loudly that they do not run.
 */
const NEEDED = ["sshd", "ssh", "slurmctld", "slurmd", "sbatch", "shellcheck", "unshare", "setpriv"];

const PATH = `${process.env.PATH ?? ""}:/usr/sbin:/sbin`;

function missing(): string[] {
  const tools = NEEDED.filter((tool) => Bun.which(tool, { PATH }) === null);
  return process.getuid?.() === 0 ? tools : ["root", ...tools];
}

export const lacking = missing();

export const hasCluster = lacking.length === 0;

if (!hasCluster)
  process.stderr.write(
    `\n!!! tests against a real sshd and SLURM DO NOT RUN: ${lacking.join(", ")} missing (scripts/setup --cluster, as root)\n\n`,
  );
