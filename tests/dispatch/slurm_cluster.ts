/**
 * @file A real SLURM of three nodes on this machine: each slurmd has its own host name and process numbers, so that nothing passes
 * because two nodes share them; their GPUs are device files that mknod made. Everything dies with the process that started it.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";

export const NODES = ["n1", "n2", "n3"] as const;
export type NodeName = (typeof NODES)[number];

/** A process that the kernel kills when this one ends, however it ends. */
export const tied = (words: readonly string[]): string[] => [
  "setpriv",
  "--pdeathsig",
  "KILL",
  ...words,
];

/** What this user's login shells do by themselves is no part of the tests: their files are empty in the namespace it is said in. */
export const QUIET_LOGIN = [
  "for f in .bashrc .profile .bash_profile; do",
  '[ -e "$HOME/$f" ] && mount --bind /dev/null "$HOME/$f"; done',
].join(" ");

const START_MS = 20_000;

/** Free at the moment; the cluster needs four in a row. */
function freePort(): number {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 9000) * 4;
    try {
      for (let i = 0; i < 4; i++)
        Bun.listen({ hostname: "127.0.0.1", port: port + i, socket: { data() {} } }).stop(true);
      return port;
    } catch {
      // Taken: another one.
    }
  }
}

function configuration(folder: string, port: number): string {
  const host = hostname().split(".")[0];
  const node = (name: string, i: number): string =>
    [
      `NodeName=${name} NodeHostname=${name} NodeAddr=127.0.0.1 Port=${port + 1 + i} CPUs=16`,
      `RealMemory=4000 Weight=${name === "n3" ? 1 : 10} Gres=gpu:h100:2 State=UNKNOWN`,
    ].join(" ");
  return `ClusterName=rig
SlurmctldHost=${host}(127.0.0.1)
SlurmctldPort=${port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/spool/%n
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/slurmd.%n.pid
SlurmctldLogFile=${folder}/slurmctld.log
SlurmdLogFile=${folder}/slurmd.%n.log
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MinJobAge=3600
MaxArraySize=5
KillWait=5
InactiveLimit=0
SlurmdTimeout=3
SlurmctldTimeout=5
MessageTimeout=4
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
JobRequeue=1
GresTypes=gpu
SlurmdParameters=config_overrides
${NODES.map(node).join("\n")}
PartitionName=low Nodes=n1,n2 Default=YES MaxTime=60 GraceTime=6 PriorityTier=1 State=UP
PartitionName=high Nodes=n2 MaxTime=60 PriorityTier=10 PreemptMode=OFF State=UP
PartitionName=far Nodes=n3,n1 MaxTime=60 PriorityTier=1 State=UP
`;
}

export class SlurmCluster {
  readonly folder = mkdtempSync(join(tmpdir(), "theseus-slurm-"));
  readonly conf = join(this.folder, "slurm.conf");
  private readonly processes = new Map<string, Bun.Subprocess>();

  static async start(): Promise<SlurmCluster> {
    const cluster = new SlurmCluster();
    try {
      await cluster.begin();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  private async begin(): Promise<void> {
    const { folder } = this;
    for (const name of ["state", "spool", "dev"]) mkdirSync(join(folder, name));
    writeFileSync(this.conf, configuration(folder, freePort()));
    writeFileSync(join(folder, "cgroup.conf"), "CgroupPlugin=cgroup/v1\nConstrainCores=no\n");
    const gres = NODES.map((node) => {
      for (const gpu of [0, 1])
        Bun.spawnSync(["mknod", join(folder, `dev/${node}-gpu${gpu}`), "c", "1", "3"]);
      return `NodeName=${node} Name=gpu Type=h100 File=${folder}/dev/${node}-gpu[0-1]\n`;
    });
    writeFileSync(join(folder, "gres.conf"), gres.join(""));
    this.startController();
    for (const node of NODES) this.startNode(node);
    await this.until(async () => {
      const idle = await this.command(["sinfo", "-h", "-N", "-t", "idle", "-o", "%N"]);
      return new Set(idle.trim().split("\n")).size === NODES.length;
    });
  }

  private spawn(name: string, words: readonly string[]): void {
    const log = Bun.file(join(this.folder, `${name}.out`));
    const env = { ...process.env, SLURM_CONF: this.conf };
    const cwd = this.folder;
    this.processes.set(
      name,
      Bun.spawn(tied(words), { env, cwd, stdin: "ignore", stdout: log, stderr: log }),
    );
  }

  startController(): void {
    this.spawn("slurmctld", ["slurmctld", "-D", "-f", this.conf, "-i"]);
  }

  /** It saves its state, as at a restart of the service. */
  async stopController(): Promise<void> {
    await this.kill("slurmctld", "SIGTERM");
  }

  startNode(node: NodeName): void {
    mkdirSync(join(this.folder, "spool", node), { recursive: true });
    const inside = `ulimit -c 0; ${QUIET_LOGIN}; hostname ${node}; slurmd -D -N ${node} -f ${this.conf} -c & wait`;
    this.spawn(node, [
      ...["unshare", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child"],
      "bash",
      "-c",
      inside,
    ]);
  }

  /** As if its power were cut: slurmd, its steps and all that they run are gone at once. */
  async killNode(node: NodeName): Promise<void> {
    await this.kill(node);
  }

  private async kill(name: string, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.processes.get(name);
    this.processes.delete(name);
    child?.kill(signal);
    await child?.exited;
  }

  /** What one of SLURM's commands prints. */
  async command(words: readonly string[]): Promise<string> {
    const child = Bun.spawn([...words], {
      env: { ...process.env, SLURM_CONF: this.conf },
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, err] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    await child.exited;
    return out + err;
  }

  async until(condition: () => Promise<boolean>, timeoutMs = START_MS): Promise<void> {
    const end = Date.now() + timeoutMs;
    while (!(await condition())) {
      if (Date.now() > end)
        throw new Error(`SLURM did not come so far: ${await this.command(["sinfo"])}`);
      await Bun.sleep(100);
    }
  }

  async stop(): Promise<void> {
    for (const name of [...NODES, "slurmctld"]) await this.kill(name);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
