// The program of the watch thread: keeps the connections of the star, and ends this process when another rank has ended. The main thread may be
// inside a call of MPI or a long step, so the thread writes to the standard error itself and kills.

import { writeSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { Stall } from "./stall.ts";
import { Hub, Leaf, type News } from "./star.ts";
import { type Answer, CELLS, nameOf, type Request, type ThreadStart } from "./watch.ts";

/** Milliseconds for the launcher, which ends all ranks with the exit code of the one that failed. */
const GRACE_MS = 1000;
/** Milliseconds between reports of calls. */
const REPORT_MS = 5000;
/** Names in a message. */
const MOST_NAMES = 4;

const { processes, rank, place, token, cells } = workerData as ThreadStart;

function set(cell: number): void {
  Atomics.store(cells, cell, 1);
  Atomics.notify(cells, cell);
}

function hear({ rank: ended, reason, isPrinter }: News): void {
  set(CELLS.doomed);
  if (isPrinter) print(`${nameOf(ended, processes[ended]!)} ended: ${reason}`);
  killSoon(GRACE_MS);
}

function print(text: string): void {
  try {
    writeSync(2, `axograd: ${text}\n`);
  } catch {
    // The pipe is full or closed. The process ends all the same.
  }
}

function killSoon(ms: number): void {
  setTimeout(() => process.kill(process.pid, "SIGKILL"), ms);
}

/** Rank 0's end is seen by all at once. Rank 1 prints it; if the host was lost, the first rank of another host. */
function reports(isHostLost: boolean): boolean {
  const printer = isHostLost ? processes.findIndex(({ host }) => host !== processes[0]!.host) : 1;
  return rank === printer;
}

async function open(): Promise<Hub | Leaf> {
  if (rank > 0) return Leaf.open(rank, { ...place!, token }, reports, hear);
  return Hub.open(place?.addresses[0] ?? null, token, hear);
}

/** Every rank reports how many calls it has begun; rank 0 says for whom the others wait. */
function reportCalls(star: Hub | Leaf): void {
  const stall = new Stall();
  setInterval(() => {
    const calls = Atomics.load(cells, CELLS.calls);
    if (star instanceof Leaf) {
      star.report(calls);
      return;
    }
    const counts = processes.map((_, other) => (other === 0 ? calls : (star.calls.get(other) ?? null)));
    const late = stall.see(counts, performance.now());
    if (late.length === 0) return;
    const names = late
      .slice(0, MOST_NAMES)
      .map((one) => nameOf(one, processes[one]!))
      .join(", ");
    print(`the other ranks have waited a minute for ${names}${late.length > MOST_NAMES ? " and others" : ""}`);
  }, REPORT_MS).unref();
}

function answer(message: Answer): void {
  parentPort!.postMessage(message);
}

try {
  const star = await open();
  reportCalls(star);
  parentPort!.on("message", async (request: Request) => {
    if (request.kind === "end") {
      // Should the main thread not come to its end.
      killSoon(5 * GRACE_MS);
      await star.end();
      set(CELLS.said);
    } else {
      await star.leave();
      answer({ kind: "left" });
    }
  });
  // A fault of this thread is no reason to end the run.
  process.on("uncaughtException", () => void star.leave());
  answer({ kind: "open", port: star instanceof Hub ? star.port : 0 });
} catch (error) {
  answer({ kind: "failed", reason: error instanceof Error ? error.message : `${error}` });
}
