// A Slurm cluster inside this machine, for tests: a controller and some nodes that share its CPUs. Each daemon has its own namespace of process ids
// and its own host name, so that nodes differ as machines do, and a node dies at once with all that runs on it. The kernel ends all of them with
// the process that started them, however that ends.
// Needs root on Linux, and Debian's packages slurmctld, slurmd, slurm-client and munge; libpmix-dev for MPI.

import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const DAEMONS = ["munged", "slurmctld", "slurmd"] as const;
const CLIENTS = ["sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun"] as const;
/** `setpriv --pdeathsig` and `unshare --kill-child` tie a process's life to another's. */
const TOOLS = ["setpriv", "unshare", "hostname"] as const;

/** Daemons lie where ordinary users do not search. */
const PATH = `${process.env.PATH}:/usr/local/sbin:/usr/sbin:/sbin`;

/** Why no cluster can be started here; null: it can. */
export function clusterLack(): string | null {
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    return "a Slurm cluster inside the machine takes root on Linux";
  const absent = [...DAEMONS, ...CLIENTS, ...TOOLS].filter((name) => !isThere(name));
  if (absent.length > 0) return `no ${absent.join(", ")}: apt-get install slurmctld slurmd slurm-client munge`;
  try {
    execFileSync("unshare", ["--pid", "--fork", "--kill-child", "--mount-proc", "--uts", "hostname", "n1"], {
      stdio: "ignore",
    });
    return null;
  } catch {
    return "no namespaces of processes and host names";
  }
}

function isThere(program: string): boolean {
  try {
    execFileSync("sh", ["-c", 'command -v "$0"', program], { stdio: "ignore", env: { ...process.env, PATH } });
    return true;
  } catch {
    return false;
  }
}

/** Why `srun --mpi=pmix` cannot start ranks; null: it can. */
export function pmixLack(): string | null {
  const name = "pmix2/lib/libpmix.so";
  const isThere = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"].some((folder) =>
    existsSync(join(folder, name)),
  );
  // Slurm of Debian loads PMIx by a name that the development package has.
  return isThere ? null : `no ${name}: apt-get install libpmix-dev`;
}

export interface ClusterOptions {
  readonly nodes?: number;
  /** Of each node, whatever the machine has. */
  readonly cpus?: number;
  /** GPUs of each node; the null device stands in for them. */
  readonly gpus?: number;
  /** One above the highest index of a job array. */
  readonly maxArraySize?: number;
  /** More lines of slurm.conf. */
  readonly conf?: readonly string[];
}

/** Output of a program that ended well. */
export interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

export class SlurmCluster {
  readonly folder: string;
  /** What a process needs besides its environment to reach the cluster. */
  readonly env: Readonly<Record<string, string>>;
  readonly nodes: readonly string[];
  readonly #daemons = new Map<string, ChildProcess>();

  private constructor(folder: string, nodes: readonly string[]) {
    this.folder = folder;
    this.nodes = nodes;
    this.env = { SLURM_CONF: join(folder, "slurm.conf"), PATH };
  }

  /** Starts a cluster; resolves once its nodes are idle. Its partition is `main`, its nodes `n1`, `n2`, … */
  static async start(options: ClusterOptions = {}): Promise<SlurmCluster> {
    const nodes = Array.from({ length: options.nodes ?? 2 }, (_, k) => `n${k + 1}`);
    const cluster = new SlurmCluster(await mkdtemp(join(tmpdir(), "axograd-slurm-")), nodes);
    try {
      const { folder } = cluster;
      const [controller, ...ports] = (await freePorts(nodes.length + 1)) as [number, ...number[]];
      await writeFile(join(folder, "slurm.conf"), configuration(folder, controller, ports, options));
      await writeFile(join(folder, "munge.key"), randomBytes(1024), { mode: 0o400 });
      for (const node of nodes) await mkdir(join(folder, `tmp-${node}`));
      const { gpus = 0 } = options;
      if (gpus > 0) {
        for (let k = 0; k < gpus; k++) execFileSync("mknod", [join(folder, `gpu${k}`), "c", "1", "3"]);
        await writeFile(
          join(folder, "gres.conf"),
          `Name=gpu Flags=nvidia_gpu_env File=${join(folder, `gpu[0-${gpus - 1}]`)}\n`,
        );
      }
      cluster.#launch("munged", mungeCommand(folder));
      cluster.#launch("controller", ["slurmctld", "-D"]);
      for (const node of nodes) cluster.#launch(node, ["slurmd", "-D", "-N", node]);
      for (const node of nodes) await cluster.#becomes(node, "idle");
      return cluster;
    } catch (cause) {
      const log = await readFile(join(cluster.folder, "controller.log"), "utf8").catch(() => "");
      await cluster.stop();
      throw new Error(`no Slurm cluster: ${log.split("\n").slice(-8).join("\n")}`, { cause });
    }
  }

  /** Runs a program of Slurm, or any other, as a user of the cluster. @throws {Error} it failed */
  async run(program: string, ...args: readonly string[]): Promise<Output> {
    return new Promise((resolve, reject) => {
      execFile(program, args, { env: { ...process.env, ...this.env }, timeout: 60_000 }, (error, stdout, stderr) =>
        error
          ? reject(new Error(`${program} ${args.join(" ")}: ${error.message}${stderr}`))
          : resolve({ stdout, stderr }),
      );
    });
  }

  /** A power failure: all processes of a node end at once, without a word. The controller notices after some seconds. */
  async powerOff(node: string): Promise<void> {
    await this.#end(node);
  }

  /** Starts a node anew; resolves once it is idle. */
  async powerOn(node: string): Promise<void> {
    this.#launch(node, ["slurmd", "-D", "-N", node]);
    await this.#becomes(node, "idle");
  }

  /** Ends everything that runs on the cluster, and removes its folder. */
  async stop(): Promise<void> {
    await Promise.all([...this.#daemons.keys()].map((name) => this.#end(name)));
    // A daemon may have been writing as it was killed.
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  /** A shell is the first process of the namespace: it takes care of orphans, as a daemon would not. */
  #launch(name: string, command: readonly string[]): void {
    const script = 'hostname "$0"; "$@" & wait $!';
    const namespace = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts", "--ipc"];
    const args = ["--pdeathsig", "KILL", ...namespace, "bash", "-c", script, name, ...command];
    // Daemons must not take the test's settings of an outer cluster for theirs.
    const env = { ...this.env, TZ: process.env.TZ };
    this.#daemons.set(name, spawn("setpriv", args, { stdio: "ignore", env, cwd: this.folder }));
  }

  async #end(name: string): Promise<void> {
    const daemon = this.#daemons.get(name);
    this.#daemons.delete(name);
    if (!daemon || daemon.exitCode !== null || daemon.signalCode !== null) return;
    const ended = once(daemon, "exit");
    daemon.kill("SIGKILL");
    await ended;
  }

  async #becomes(node: string, state: string): Promise<void> {
    const deadline = performance.now() + START_MS;
    let seen = "";
    while (seen !== state) {
      if (performance.now() > deadline) throw new Error(`expected ${node} to be ${state}, got ${seen || "no answer"}`);
      await pause(100);
      seen = (await this.run("sinfo", "-h", "-n", node, "-o", "%T").catch(() => ({ stdout: "" }))).stdout.trim();
    }
  }
}

/** Longest start of a daemon on a busy machine. */
const START_MS = 60_000;

/** Short waits, as tests want them: a dead node is noticed after 6 s, a requeued job may start 6 s later, a job ends 3 s after SIGTERM. */
function configuration(
  folder: string,
  controller: number,
  ports: readonly number[],
  { cpus = 2, gpus = 0, maxArraySize = 1001, conf = [] }: ClusterOptions,
): string {
  const node = (port: number, k: number): string =>
    `NodeName=n${k + 1} NodeAddr=127.0.0.1 Port=${port} CPUs=${cpus} RealMemory=8000${gpus > 0 ? ` Gres=gpu:${gpus}` : ""} State=UNKNOWN`;
  return `ClusterName=here
SlurmctldHost=controller(127.0.0.1)
SlurmctldPort=${controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=${join(folder, "munge.socket")},cred_expire=5
CredType=cred/munge
StateSaveLocation=${join(folder, "state")}
SlurmdSpoolDir=${join(folder, "spool-%n")}
SlurmctldPidFile=${join(folder, "controller.pid")}
SlurmdPidFile=${join(folder, "%n.pid")}
SlurmctldLogFile=${join(folder, "controller.log")}
SlurmdLogFile=${join(folder, "%n.log")}
TmpFS=${join(folder, "tmp-%n")}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SlurmdTimeout=6
KillWait=3
MaxArraySize=${maxArraySize}
${gpus > 0 ? "GresTypes=gpu\n" : ""}${conf.map((line) => `${line}\n`).join("")}${ports.map((port, k) => `${node(port, k)}\n`).join("")}PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
`;
}

/** Everything of munge in the folder, apart from the machine's own. `--force`: the folder lies below /tmp, where all may write. */
function mungeCommand(folder: string): readonly string[] {
  const files = {
    "key-file": "munge.key",
    socket: "munge.socket",
    "pid-file": "munge.pid",
    "log-file": "munge.log",
    "seed-file": "munge.seed",
  };
  const options = Object.entries(files).map(([option, name]) => `--${option}=${join(folder, name)}`);
  return ["munged", "--foreground", "--force", ...options];
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { readonly port: number }).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}
