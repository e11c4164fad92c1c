// The kernels of a training step, one by one, and one right-hand side.

import type { Backend } from "../../src/backend/backend.ts";
import { addCosts } from "../../src/profile/cost.ts";
import type { BenchCase } from "../cases/case.ts";
import {
  gemmCase,
  gemmTransposedCase,
  operandG,
  operandX,
  spmmCase,
  spmmTransposedCase,
} from "../cases/contractions.ts";
import { adamCase, refreshCase } from "../cases/optimizer.ts";
import { epilogueCase, reduceLanesCase, reduceRowsCase, stageCase } from "../cases/pointwise.ts";
import { rhsCase } from "../cases/rhs.ts";
import { asyncContender, type Contender, contender, interleave } from "../measure.ts";
import type { Network } from "../networks.ts";
import { openPeers, type Peer, storeOperands } from "../peers/peers.ts";
import type { BenchSession } from "../session.ts";
import { openReference, type Verified, verify, WrongResultError } from "../verify.ts";

/** Runs enqueued on a GPU per wait, as in a solve: the wait alone takes longer than most kernels. */
const GPU_RUNS = 16;

type CaseFamily = (network: Network, batch: number) => BenchCase;

const PER_BATCH: readonly CaseFamily[] = [
  spmmCase,
  spmmTransposedCase,
  epilogueCase,
  stageCase,
  gemmCase,
  gemmTransposedCase,
  reduceRowsCase,
  reduceLanesCase,
];
const PER_NETWORK: readonly ((network: Network) => BenchCase)[] = [adamCase, refreshCase];

export async function kernelSuite(session: BenchSession): Promise<void> {
  await runCases(session, 1, PER_NETWORK, []);
  for (const batch of session.job.batches) {
    storeOperands(session.job.folder, {
      x: operandX(session.network.csr.nRows, batch),
      g: operandG(session.network.csr.nRows, batch),
    });
    const peers = await openPeers(session, batch, "products");
    try {
      await runCases(session, batch, PER_BATCH, peers);
    } finally {
      for (const peer of peers) peer.close();
    }
  }
}

export async function rhsSuite(session: BenchSession): Promise<void> {
  for (const batch of session.job.batches) await runCases(session, batch, [rhsCase], []);
}

async function runCases(
  session: BenchSession,
  batch: number,
  families: readonly CaseFamily[],
  peers: readonly Peer[],
): Promise<void> {
  const reference = await openReference(session.network.csr.nnz * batch);
  try {
    for (const family of families) await timeCase(session, family(session.network, batch), reference, peers);
  } finally {
    await reference.dispose();
  }
}

/** What timing a case needs of a session. */
export type CaseSession = Pick<BenchSession, "meter" | "effort" | "row" | "peerRow" | "note" | "refuse">;

/** Checks a case, then times it in turns with the peers that support it. Reports a wrong result instead of a time. */
export async function timeCase(
  session: CaseSession,
  benchCase: BenchCase,
  reference: Backend,
  peers: readonly Peer[],
): Promise<void> {
  const { meter } = session;
  const { op, batch } = benchCase;
  meter.recording = true;
  meter.take();
  let verified: Verified;
  try {
    verified = await verify(benchCase, meter.backend, reference);
  } catch (error) {
    if (!(error instanceof WrongResultError)) throw error;
    session.refuse(`${op}, batch ${batch}: ${error.message}`);
    return;
  }
  const facts = { op, batch, cost: addCosts([...meter.take().values()].map((account) => account.cost)) };
  meter.recording = false;
  try {
    const able = await checkedPeers(session, benchCase, verified, peers);
    const [ours, ...theirs] = await interleave(
      [ownContender(session, op, verified), ...able.map((peer) => peer.contender(op))],
      session.effort,
    );
    session.row(facts, ours!);
    for (const [i, peer] of able.entries()) session.peerRow(facts, peer, theirs[i]!, ours!);
  } finally {
    verified.prepared.release();
  }
}

function ownContender({ meter: { backend } }: CaseSession, op: string, { prepared }: Verified): Contender {
  if (backend.name === "wasm") return contender(op, () => prepared.run());
  const runs = async (): Promise<void> => {
    for (let i = 0; i < GPU_RUNS; i++) prepared.run();
    await backend.finish();
  };
  return asyncContender(op, runs, GPU_RUNS);
}

/** The peers that support the operation and compute it correctly. */
async function checkedPeers(
  session: CaseSession,
  { op, batch }: BenchCase,
  { expected, bounds }: Verified,
  peers: readonly Peer[],
): Promise<Peer[]> {
  const able: Peer[] = [];
  for (const peer of peers.filter((p) => p.operations.includes(op))) {
    try {
      await peer.check(op, expected, bounds);
      able.push(peer);
    } catch (error) {
      session.note(`${peer.name}, ${op}, batch ${batch}: left out, ${error instanceof Error ? error.message : error}`);
    }
  }
  return able;
}
