// Options of sbatch as a user gives them, and those that a sweep sets itself (https://slurm.schedmd.com/sbatch.html).

import { ArgumentError } from "../../core/errors.ts";
import { quoteText, shellWord } from "../../core/text.ts";

/** How a sweep runs on a cluster. */
export interface SlurmOptions {
  /** `key=value` for sbatch, or `key` alone. */
  readonly options: readonly string[];
  /** Tasks at a time; null: as many as Slurm starts. */
  readonly parallel: number | null;
  /** Runs that are stated to take more memory than there is are refused. */
  readonly memoryCheck: boolean;
  /** Processes of each run, which share its batches; null: as many as GPUs, or one. */
  readonly ranks: number | null;
  /** GPUs of each run, one per process; null: as the options say. */
  readonly gpus: number | null;
  /** How srun starts MPI programs (`srun --mpi=list`); null: not decided yet. */
  readonly mpi: string | null;
}

/** Options that a sweep sets, or that would defeat it, with what to give in their place. */
const OWN: Readonly<Record<string, string>> = {
  array: "--parallel",
  chdir: "paths relative to the folder of the command",
  clusters: "the command on a machine of that cluster",
  help: "sbatch --help",
  "job-name": "--out, whose name the jobs have",
  ntasks: "--ranks",
  output: "none: logs are in the folder of the sweep",
  parsable: "--json",
  "test-only": "--dry-run",
  version: "sbatch --version",
  wait: "none: the command ends once the jobs are submitted",
  wrap: "the file of the sweep",
};

/** Options of one letter; those of `FLAGS` take no value. */
const LETTERS = lettersOf(`A account, a array, B extra-node-info, b begin, C constraint, c cpus-per-task, D chdir,
  d dependency, e error, F nodefile, G gpus, i input, J job-name, L licenses, M clusters, m distribution, N nodes,
  n ntasks, o output, p partition, q qos, S core-spec, t time, w nodelist, x exclude`);
const FLAGS = lettersOf(
  "H hold, h help, k no-kill, O overcommit, Q quiet, s oversubscribe, V version, v verbose, W wait",
);

function lettersOf(list: string): Readonly<Record<string, string>> {
  return Object.fromEntries(list.split(/,\s+/).map((pair) => pair.split(" ") as [string, string]));
}

/** An option of sbatch by its long name; null: a flag. */
export interface SlurmOption {
  readonly name: string;
  readonly value: string | null;
}

/** @throws {ArgumentError} no option of sbatch, or one that the sweep sets */
export function parseSlurmOption(text: string): SlurmOption {
  const [, key, value = null] = /^-{0,2}([a-z][a-z0-9-]+|[A-Za-z])(?:=(\P{Cc}+))?$/u.exec(text) ?? [];
  const wrong = (expected: string, got: string): never => {
    throw new ArgumentError("command line", "--slurm-option", expected, got);
  };
  if (key === undefined) return wrong("key=value of sbatch, like time=02:00:00", quoteText(text));
  const name = key.length > 1 ? key : (value === null ? FLAGS : LETTERS)[key];
  if (name === undefined) {
    if (key in LETTERS) wrong(`a value, like ${LETTERS[key]}=… or ${key}=…`, `${key} alone`);
    if (key in FLAGS) wrong(`${FLAGS[key]} without a value`, quoteText(text));
    return wrong("an option of sbatch, by its long name", quoteText(text));
  }
  if (Object.hasOwn(OWN, name))
    wrong(`none that sweep sets itself; in place of ${name}: ${OWN[name]}`, quoteText(text));
  if (name === "signal" && !/^B:(SIG)?USR[12]@\d+$/.test(value ?? "")) {
    wrong("signal=B:USR1@seconds: the script waits for it, and passes it on", quoteText(text));
  }
  return { name, value };
}

/** Seconds before the time limit at which Slurm sends SIGUSR1; it may come up to a minute earlier. */
const NOTICE_S = 120;

/** What the script asks of Slurm, besides array and name. */
interface Requested {
  readonly lines: readonly string[];
  /** Processes of each run. */
  readonly ranks: number;
  /** Jobs may start again. */
  readonly requeues: boolean;
}

/** @throws {ArgumentError} options that contradict each other */
export function requestedOf({ options, ranks: given, gpus }: SlurmOptions): Requested {
  const parsed = options.map(parseSlurmOption);
  const named = (name: string): boolean => parsed.some((option) => option.name === name);
  if (given !== null && gpus !== null && given !== gpus) {
    throw new ArgumentError("sweep", "--gpus", `as many as --ranks ${given}: each rank takes one`, `${gpus}`);
  }
  const twice = gpus === null ? undefined : parsed.find(({ name }) => /^gpus(-per-\w+)?$/.test(name));
  if (twice) throw new ArgumentError("sweep", "--slurm-option", `no ${twice.name} with --gpus`, twice.name);
  const ranks = given ?? gpus ?? 1;
  const requeues = !named("no-requeue");
  const own: SlurmOption[] = [
    { name: "open-mode", value: "append" },
    ...(requeues ? [{ name: "requeue", value: null }] : []),
    { name: "signal", value: `B:USR1@${NOTICE_S}` },
    ...(ranks > 1 || gpus !== null ? [{ name: "ntasks", value: `${ranks}` }] : []),
    ...(gpus === null ? [] : [{ name: "gpus-per-task", value: "1" }]),
  ];
  const all = [...own.filter(({ name }) => !named(name)), ...parsed];
  return { lines: all.map(directive), ranks, requeues };
}

/** sbatch splits the lines of a script at spaces, and removes quotes, as a shell does. */
function directive({ name, value }: SlurmOption): string {
  if (value === null) return `#SBATCH --${name}`;
  return `#SBATCH --${name}=${/^[\w.,:=/@%+*&|()[\]-]+$/.test(value) ? value : shellWord(value)}`;
}
