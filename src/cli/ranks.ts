import { defaultThreads } from "../backend/wasm/threads.ts";
import { type Communicator, SOLO } from "../distributed/communicator.ts";
export function rankName({ hosts }: Pick<Communicator, "hosts">, rank: number): string {
  return `rank ${rank} on ${hosts[rank]}`;
}
export async function grantedThreads(_communicator: Communicator): Promise<number> {
  return defaultThreads();
}
export async function inRanks(
  _given: { json?: boolean },
  work: (communicator: Communicator) => Promise<number>,
): Promise<number> {
  return work(SOLO);
}
