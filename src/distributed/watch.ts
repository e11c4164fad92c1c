// The watch: a thread of each rank that is connected to those of the others (star.ts). When a process ends in any way, the others end within two
// seconds, even while their main threads wait for it inside MPI, and one of them says who it was.

import { randomBytes } from "node:crypto";
import { readFile, readlink } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { Worker } from "node:worker_threads";
import type { Communicator } from "./communicator.ts";

/** Cells of the memory that both threads share: flags and one count. */
export const CELLS = {
  /** Another rank has ended: this process will be killed. */
  doomed: 0,
  /** The others know that this process ends. */
  said: 1,
  /** Collective calls that this rank has begun. */
  calls: 2,
} as const;

/** A rank as messages name it. */
export interface RankProcess {
  readonly host: string;
  readonly pid: number;
}

export function nameOf(rank: number, { host, pid }: RankProcess): string {
  return `rank ${rank} (host ${host}, process ${pid})`;
}

/** Where rank 0 listens. */
interface Place {
  readonly addresses: readonly string[];
  /** 0 before it does. */
  readonly port: number;
}

export interface ThreadStart {
  readonly processes: readonly RankProcess[];
  readonly rank: number;
  /** On rank 0: the only address to listen at; null: all. */
  readonly place: Place | null;
  readonly token: string;
  readonly cells: Int32Array;
}

/** From the main thread. */
export type Request = { readonly kind: "end" | "leave" };

/** To the main thread. */
export type Answer =
  | { readonly kind: "open"; readonly port: number }
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "left" };

const SAY_MS = 2000;
const DOOM_MS = 3000;
const LOOPBACK = "127.0.0.1";

export class Watch {
  readonly #worker: Worker;
  readonly #cells: Int32Array;

  /**
   * Connects all ranks; a collective call. Ranks that cannot be reached are not watched, which `warn` says on rank 0.
   *
   * @returns null: this rank is not watched
   */
  static async start(
    communicator: Pick<Communicator, "rank" | "hosts" | "exchange">,
    warn: (text: string) => void,
  ): Promise<Watch | null> {
    const { rank, hosts } = communicator;
    const own = { pid: process.pid, network: await networkOf(), addresses: addressesHere() };
    const all = await communicator.exchange(own);
    const isOneNetwork = all.every(({ network }) => network !== null && network === all[0]!.network);
    const processes = all.map(({ pid }, r) => ({ host: hosts[r]!, pid }));
    const start = { processes, rank, cells: new Int32Array(new SharedArrayBuffer(4 * Object.keys(CELLS).length)) };

    // Only rank 0's matters.
    const token = randomBytes(16).toString("hex");
    const listening = { ...start, token, place: isOneNetwork ? { addresses: [LOOPBACK], port: 0 } : null };
    const hub = rank === 0 ? await openThread(listening) : null;
    const [centre] = await communicator.exchange(hub && { answer: hub.answer, token });
    const { answer } = centre!;
    let thread = hub;
    if (rank > 0 && answer.kind === "open") {
      const { network, addresses } = all[0]!;
      const isNear = network !== null && network === own.network;
      const place = { addresses: isNear ? [LOOPBACK, ...addresses] : addresses, port: answer.port };
      thread = await openThread({ ...start, token: centre!.token, place });
    }
    const failed = [thread?.answer, answer].find((one) => one?.kind === "failed");
    const problems = await communicator.exchange(failed?.reason ?? null);
    if (rank === 0) warnOf(problems, hosts, warn);
    return thread && !failed ? new Watch(thread.worker, start.cells) : null;
  }

  constructor(worker: Worker, cells: Int32Array) {
    this.#worker = worker;
    this.#cells = cells;
    worker.unref();
  }

  /** A collective call begins. */
  count(): void {
    Atomics.add(this.#cells, CELLS.calls, 1);
  }

  /** Says that this process ends, from a handler of its exit: blocks until the others know, or for two seconds. */
  say(): void {
    this.#post({ kind: "end" });
    Atomics.wait(this.#cells, CELLS.said, 0, SAY_MS);
  }

  /** After a call of MPI has failed: if that is because another rank has ended, this process ends here, without an error of its own. */
  endIfDoomed(): void {
    Atomics.wait(this.#cells, CELLS.doomed, 0, DOOM_MS);
    // Until the thread kills the process.
    if (Atomics.load(this.#cells, CELLS.doomed) === 1) Atomics.wait(this.#cells, CELLS.doomed, 1, DOOM_MS);
  }

  /** Ends the watch in order, once all ranks do. */
  async leave(): Promise<void> {
    const hasEnded = this.#worker.threadId < 0;
    if (hasEnded) return;
    this.#worker.ref();
    const left = new Promise((resolve) => this.#worker.once("message", resolve).once("exit", resolve));
    this.#post({ kind: "leave" });
    await left;
    await this.#worker.terminate();
  }

  #post(request: Request): void {
    this.#worker.postMessage(request);
  }
}

/** Starts the thread and waits for its first answer. One that failed has ended. */
async function openThread(start: ThreadStart): Promise<{ readonly worker: Worker; readonly answer: Answer }> {
  // Modules given to Node with --import must not run a second time in the thread.
  const resourceLimits = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4, stackSizeMb: 1 };
  const options = { workerData: start, execArgv: [], resourceLimits };
  const worker = new Worker(new URL("./watchThread.js", import.meta.url), options);
  const answer = await new Promise<Answer>((resolve) => {
    worker.once("message", resolve).once("error", (error) => resolve({ kind: "failed", reason: error.message }));
  });
  worker.on("error", () => {});
  if (answer.kind === "failed") await worker.terminate();
  return { worker, answer };
}

function warnOf(problems: readonly (string | null)[], hosts: readonly string[], warn: (text: string) => void): void {
  const failed = problems.flatMap((problem, rank) => (problem === null ? [] : [{ rank, problem }]));
  const [first] = failed;
  if (!first) return;
  const who = failed.length === hosts.length ? "all ranks" : `ranks ${failed.map(({ rank }) => rank).join(", ")}`;
  warn(
    `${who} are not watched: if one of them is killed, only the launcher may end the others (srun -K): rank ${first.rank} (${hosts[first.rank]}): ${first.problem}`,
  );
}

/** The same on processes that reach each other by the loopback interface; null: unknown. */
async function networkOf(): Promise<string | null> {
  try {
    const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8");
    return `${boot.trim()} ${await readlink("/proc/self/ns/net")}`;
  } catch {
    return null;
  }
}

/** Addresses of this host at which others may reach it. Link-local ones (IPv6) need an interface's name and are left out. */
function addressesHere(): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.filter(({ internal, scopeid }) => !internal && !scopeid).map(({ address }) => address);
}
