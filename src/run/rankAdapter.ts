// One GPU per rank: each rank says which adapters it may use, and all deal them out alike.

import {
  type AdapterInfo,
  adapterOfEnvironment,
  adaptersAmong,
  adapterText,
  assignedAdapters,
  listAdapters,
  ONE_GPU_EACH,
} from "../backend/webgpu/backend.ts";
import { ArgumentError, BackendError } from "../core/errors.ts";
import { plural } from "../core/text.ts";
import { asShared } from "../distributed/agree.ts";
import type { Communicator } from "../distributed/communicator.ts";

/** What a rank computes on. */
export interface RankAdapter {
  /** null: not all ranks have a GPU, and the CPU will do. */
  readonly adapter: AdapterInfo | null;
  /** For the user, the same on all ranks: GPUs that several ranks share, GPUs that differ, ranks without. */
  readonly warnings: readonly string[];
}

/** An adapter that a rank may use, as the others see it. */
export interface OfferedAdapter {
  /** The same for the same adapter on all ranks of a host. */
  readonly id: string;
  readonly name: string;
  readonly isSoftware: boolean;
  /** As in `AdapterInfo`. */
  readonly obstacle: string | null;
}

/** What one rank says to all. */
interface Offer {
  readonly adapters: readonly OfferedAdapter[];
  /** Why there are none; null: there are some, or none are needed. */
  readonly error: string | null;
}

const NONE = "expected a graphics adapter for this process, got none; npx axograd doctor says why";

/**
 * The adapter of this rank: one that AXOGRAD_ADAPTER names, or else one of the GPUs that a launcher gave to it (`assignedAdapters`), or else
 * one of all GPUs of the host; of these the one that the fewest ranks before it on the host have taken. Ranks that see the same GPUs take them
 * in turn, by local rank; a rank that was given its own takes that. Collective.
 *
 * @param options.orNone  none for all where a rank has no GPU, instead of a software adapter or an error
 * @throws {BackendError} "rank-adapter", on all ranks: one of them has no adapter
 */
export async function adapterOfRank(
  communicator: Communicator,
  { orNone = false }: { readonly orNone?: boolean } = {},
): Promise<RankAdapter> {
  const { rank, hosts } = communicator;
  const isAlone = hosts.filter((host) => host === hosts[rank]).length === 1;
  const { adapters, error } = await usableAdapters(!isAlone, orNone);
  const offer: Offer = { adapters: adapters.map(offered), error };
  const offers = await communicator.exchange(offer);
  refuse(hosts, (other) => offers[other]!.error);
  const without = [...offers.keys()].filter((other) => offers[other]!.adapters.length === 0);
  if (without.length > 0) {
    const some = `${without.length === 1 ? `rank ${without[0]} has` : `ranks ${without.join(", ")} have`} no GPU, so all compute on the CPU`;
    return { adapter: null, warnings: without.length < offers.length ? [some] : [] };
  }
  const lists = offers.map((one) => one.adapters);
  const taken = dealAdapters(hosts, lists);
  refuse(hosts, (other) => {
    const { id, name, obstacle } = lists[other]![taken[other]!]!;
    return obstacle && `expected ${id}, ${name}, which cannot be told from its equals: ${obstacle}. ${ONE_GPU_EACH}`;
  });
  return { adapter: adapters[taken[rank]!]!, warnings: dealWarnings(hosts, lists, taken) };
}

/** @param errorOf  of a rank; null: none */
function refuse(hosts: readonly string[], errorOf: (rank: number) => string | null): void {
  for (const [rank, host] of hosts.entries()) {
    const error = errorOf(rank);
    if (error === null) continue;
    throw asShared(new BackendError("rank-adapter", `rank ${rank} on ${host}: ${error}`, { rank, host }));
  }
}

/** The adapters that this process may use. Never throws, as others wait for the answer. */
async function usableAdapters(
  hasNeighbours: boolean,
  orNone: boolean,
): Promise<{ readonly adapters: readonly AdapterInfo[]; readonly error: string | null }> {
  const named = adapterOfEnvironment();
  try {
    const all = await listAdapters({ identify: hasNeighbours || "several" });
    if (named !== undefined) {
      const adapters = adaptersAmong(all, named);
      const known = all.map(adapterText).join("; ") || "none";
      return { adapters, error: adapters.length > 0 ? null : `expected one of the adapters ${known}, got ${named}` };
    }
    const adapters = assignedAdapters(all).filter(({ isSoftware }) => !(orNone && isSoftware));
    return { adapters, error: orNone || adapters.length > 0 ? null : NONE };
  } catch (error) {
    // As in one process, "auto" does without a driver, but not with what the user got wrong.
    const isFine = orNone && named === undefined && !(error instanceof ArgumentError);
    return { adapters: [], error: isFine ? null : error instanceof Error ? error.message : String(error) };
  }
}

function offered({ index, name, pci, isSoftware, obstacle }: AdapterInfo): OfferedAdapter {
  return { id: pci ?? `adapter ${index}`, name, isSoftware, obstacle };
}

/**
 * For each rank the position in its list of the adapter that it takes: in the order of ranks, the first of those that the fewest ranks of its
 * host have.
 *
 * @param hosts  of each rank
 * @param lists  of each rank, at least one adapter in each
 */
export function dealAdapters(
  hosts: readonly string[],
  lists: readonly (readonly OfferedAdapter[])[],
): readonly number[] {
  const users = new Map<string, number>();
  return lists.map((list, rank) => {
    const counts = list.map(({ id }) => users.get(`${hosts[rank]} ${id}`) ?? 0);
    const position = counts.indexOf(Math.min(...counts));
    users.set(`${hosts[rank]} ${list[position]!.id}`, counts[position]! + 1);
    return position;
  });
}

/** What is not as fast as it could be: hosts whose ranks share GPUs, and ranks whose GPUs differ. */
export function dealWarnings(
  hosts: readonly string[],
  lists: readonly (readonly OfferedAdapter[])[],
  taken: readonly number[],
): readonly string[] {
  const ofHosts = [...new Set(hosts)].flatMap((host) => {
    const ranks = [...hosts.keys()].filter((rank) => hosts[rank] === host);
    const users = new Map<string, number[]>();
    for (const rank of ranks) {
      const { id, name, isSoftware } = lists[rank]![taken[rank]!]!;
      if (!isSoftware) users.set(`${name} (${id})`, [...(users.get(`${name} (${id})`) ?? []), rank]);
    }
    const shared = [...users].filter(([, sharing]) => sharing.length > 1);
    if (shared.length === 0) return [];
    const who = shared.map(([gpu, sharing]) => `ranks ${sharing.join(", ")} share ${gpu}`);
    return [`host ${host} gives ${plural(users.size, "GPU")} to ${ranks.length} ranks: ${who.join("; ")}`];
  });
  const names = new Set(lists.map((list, rank) => list[taken[rank]!]!.name));
  const others = names.size > 1 ? [`ranks wait for the slowest of different adapters: ${[...names].join(", ")}`] : [];
  return [...ofHosts, ...others];
}
