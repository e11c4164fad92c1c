// A command as one of several processes ("ranks") that a launcher started together: who talks, and whether all have been given the same.

import { setTimeout as pause } from "node:timers/promises";
import { ArgumentError } from "../core/errors.ts";
import { agreed, errorOfRank, isShared } from "../distributed/agree.ts";
import type { Communicator } from "../distributed/communicator.ts";
import { errorSaid } from "../distributed/exit.ts";
import { openCommunicator } from "../distributed/open.ts";
import type { HostPlan, MemoryPlan } from "../run/memoryPlan.ts";
import { reported } from "./failure.ts";

/** Processes of a run, as its record has them. */
export interface RunRanks {
  /** Library and launcher. */
  readonly library: string;
  /** Of each rank. */
  readonly hosts: readonly string[];
  /** CPU threads of each rank. */
  readonly threads: readonly number[];
  /** What each rank computes on. */
  readonly devices: readonly string[];
}

/** The processes of a run; null: one that no launcher has started. Collective. */
export async function ranksOf(
  communicator: Communicator,
  own: { readonly threads: number; readonly device: string },
): Promise<RunRanks | null> {
  const { hosts, description } = communicator;
  if (description === null) return null;
  const all = await communicator.exchange(own);
  return {
    library: description,
    hosts,
    threads: all.map(({ threads }) => threads),
    devices: all.map(({ device }) => device),
  };
}

/** "4 on n1 (2), n2 (2), Open MPI 4.1.4". */
export function describeRanks({ library, hosts }: RunRanks): string {
  const names = [...new Set(hosts)];
  const counts = names.map((name) => `${name} (${hosts.filter((host) => host === name).length})`);
  return `${hosts.length} on ${counts.join(", ")}, ${library}`;
}

/** "rank 2 on n1". */
export function rankName({ hosts }: Pick<Communicator, "hosts">, rank: number): string {
  return `rank ${rank} on ${hosts[rank]}`;
}

/**
 * Checks that all processes have the same of each fact. Collective.
 *
 * @param facts  by what users call them
 * @throws {ArgumentError} names a fact that differs, and the first rank that differs from rank 0
 */
export async function checkAlike(
  communicator: Communicator,
  where: string,
  facts: Readonly<Record<string, string>>,
): Promise<void> {
  const all = await communicator.exchange(facts);
  await agreed(communicator, async () => {
    const [first, ...others] = all;
    for (const name of new Set(all.flatMap((one) => Object.keys(one)))) {
      const other = others.findIndex((one) => one[name] !== first![name]);
      if (other < 0) continue;
      const expected = `the same on all ranks, ${first![name] ?? "none"} as ${rankName(communicator, 0)}`;
      throw new ArgumentError(
        where,
        name,
        expected,
        `${others[other]![name] ?? "none"} on ${rankName(communicator, other + 1)}`,
      );
    }
  });
}

/** What the processes on the machine of this one take together. Collective. */
export async function hostPlanOf(communicator: Communicator, { processBytes }: MemoryPlan): Promise<HostPlan> {
  const { rank, hosts } = communicator;
  const all = await communicator.exchange({ processBytes, resident: process.memoryUsage.rss() });
  const here = all.map((one, r) => ({ ...one, r })).filter(({ r }) => hosts[r] === hosts[rank]);
  const others = here.filter(({ r }) => r !== rank);
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return {
    processes: here.length,
    processBytes: sum(here.map((one) => one.processBytes)),
    othersResident: sum(others.map(({ resident }) => resident)),
  };
}

/** Seconds after which a process speaks for itself: until then another one may say the same. */
const PATIENCE = 1;

/**
 * Does the work of a command as one of the processes that a launcher has started, or alone. An error on which all agreed is printed by rank 0, and
 * all stop. Any other may be that of one process, which the others will wait for: it prints the error with its name, and ends all.
 *
 * @param open  gives the communicator; tests have their own
 * @returns the exit code, the same on all
 */
export async function inRanks(
  { json = false }: { readonly json?: boolean },
  work: (communicator: Communicator) => Promise<number>,
  open: () => Promise<Communicator> = openCommunicator,
): Promise<number> {
  const communicator = await open();
  if (communicator.size === 1) return work(communicator);
  const { rank } = communicator;
  try {
    const code = await work(communicator);
    await communicator.close();
    return code;
  } catch (error) {
    if (isShared(error)) {
      const code = reported(error, { json, silent: rank > 0 });
      await communicator.close();
      return code;
    }
    if (rank > 0) await pause(1000 * PATIENCE);
    const code = reported(errorOfRank(communicator, error), { json });
    errorSaid();
    // Before the communicator is closed: this ends all.
    process.exit(code);
  }
}
