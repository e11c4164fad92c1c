// Run as several ranks: one ends in some way, while the others wait for it in a collective call or compute.
//   dying.js <rank> <way> <others>

import { openCommunicator } from "../../../src/distributed/open.ts";
import { outOfBounds } from "./outOfBounds.ts";

const [which, way, others] = process.argv.slice(2);
const communicator = await openCommunicator();
const pids = await communicator.exchange(process.pid);
if (communicator.rank === 0) console.log(`${pids[Number(which)]}`);

const WAYS: Readonly<Record<string, () => void>> = {
  exception: () => {
    throw new Error("boom");
  },
  exit: () => process.exit(3),
  SIGKILL: () => process.kill(process.pid, "SIGKILL"),
  trap: outOfBounds,
  // The end of the program without close().
  end: () => {},
};

if (communicator.rank === Number(which)) {
  // The others are where they will be.
  await new Promise((resolve) => setTimeout(resolve, 200));
  WAYS[way!]!();
} else if (others === "compute") {
  for (const end = Date.now() + 60_000; Date.now() < end; );
} else {
  await communicator.exchange(null);
}
