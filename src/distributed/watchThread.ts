// The program of the watch thread: keeps the connections of the star, and ends this process when another rank has ended. The main thread may be
// inside a call of MPI or a long step, so the thread writes to the standard error itself and kills.

import { writeSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { printable, shortened } from "../core/text.ts";
import { Hub, Leaf, type News, type Star } from "./star.ts";
import { type Answer, CELLS, type Request, type ThreadStart } from "./watch.ts";

/** Milliseconds for the launcher, which ends all ranks with the exit code of the one that failed. */
const GRACE_MS = 1000;
const REASON_LENGTH = 1000;

const { processes, rank, place, token, cells } = workerData as ThreadStart;

function set(cell: number): void {
  Atomics.store(cells, cell, 1);
  Atomics.notify(cells, cell);
}

function hear({ rank: ended, reason, isPrinter }: News): void {
  set(CELLS.doomed);
  if (isPrinter) {
    const { host, pid } = processes[ended]!;
    print(`rank ${ended} (host ${host}, process ${pid}) ended: ${printable(shortened(reason, REASON_LENGTH))}`);
  }
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

async function open(): Promise<{ readonly star: Star; readonly port: number }> {
  if (rank > 0) return { star: await Leaf.open(rank, { ...place!, token }, reports, hear), port: place!.port };
  const star = await Hub.open(place?.addresses[0] ?? null, token, hear);
  return { star, port: star.port };
}

function answer(message: Answer): void {
  parentPort!.postMessage(message);
}

try {
  const { star, port } = await open();
  parentPort!.on("message", async (request: Request) => {
    if (request.kind === "end") {
      // Should the main thread not come to its end.
      killSoon(5 * GRACE_MS);
      await star.end(request.reason);
      set(CELLS.said);
    } else {
      await star.leave();
      answer({ kind: "left" });
    }
  });
  // A fault of this thread is no reason to end the run.
  process.on("uncaughtException", () => void star.leave());
  answer({ kind: "open", port });
} catch (error) {
  answer({ kind: "failed", reason: error instanceof Error ? error.message : `${error}` });
}
