// A command as one of several processes ("ranks") that a launcher started together.

import type { Communicator } from "../distributed/communicator.ts";
import { openCommunicator } from "../distributed/open.ts";

/** "rank 2 on n1". */
export function rankName({ hosts }: Pick<Communicator, "hosts">, rank: number): string {
  return `rank ${rank} on ${hosts[rank]}`;
}

export async function inRanks(_given: { json?: boolean }, work: (communicator: Communicator) => Promise<number>): Promise<number> {
  const communicator = await openCommunicator();
  try {
    return await work(communicator);
  } finally {
    await communicator.close();
  }
}
