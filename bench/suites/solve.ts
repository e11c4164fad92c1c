// One solve of the rate model: Dopri5 at the tutorial's tolerances, from t = 0 to 1, without recording for a reverse pass.

import type { Backend } from "../../src/backend/backend.ts";
import { unpackState } from "../../src/backend/layout.ts";
import { deriveKey, keyOfSeed } from "../../src/core/random.ts";
import { createSparseProjection, randomIndices } from "../../src/data/connectomes.ts";
import { ConnectomeODERNN } from "../../src/models/connectomeOdeRnn.ts";
import { addCosts } from "../../src/profile/cost.ts";
import { uniformArray } from "../arrays.ts";
import { asyncContender, interleave } from "../measure.ts";
import type { Network } from "../networks.ts";
import type { BenchSession } from "../session.ts";
import { checkResults, openReference, WrongResultError } from "../verify.ts";

const INPUTS = 784;
const ATOL = 1e-6;
const RTOL = 1e-3;
/** Products per connection and sample: evaluations of the right-hand side. */
const PRODUCTS_PER_SOLVE = 45;

class Solving {
  readonly #model: ConnectomeODERNN;
  readonly #backend: Backend;
  readonly #neurons: number;
  readonly #input: { readonly data: Float32Array; readonly batch: number };
  rhsEvaluations = 0;

  constructor(backend: Backend, { csr }: Network, batch: number) {
    this.#backend = backend;
    this.#neurons = csr.nRows;
    const indices = randomIndices(INPUTS, csr.nRows, deriveKey(keyOfSeed(1), "bench input"));
    this.#model = new ConnectomeODERNN(backend, {
      inputSize: INPUTS,
      numNeurons: csr.nRows,
      connectome: csr,
      inputProjection: createSparseProjection({ size: INPUTS, numNeurons: csr.nRows, indices, mode: "ih" }),
      trainConnectome: false,
      trainInputProjection: false,
      trainTau: false,
      solve: { atol: ATOL, rtol: RTOL },
    });
    this.#input = { data: uniformArray(INPUTS * batch, "images", -0.42, 2.82), batch };
  }

  async run(): Promise<void> {
    this.rhsEvaluations = 0;
    for await (const { stats } of this.#model.network.chunks({ input: this.#input, evaluation: {} }, "states")) {
      this.rhsEvaluations = Math.max(this.rhsEvaluations, stats?.nFEvals ?? 0);
    }
    await this.#backend.finish();
  }

  /** The state at t = 1, [neurons][batch]. */
  async endState(): Promise<Float64Array> {
    const { batch } = this.#input;
    const end = new Float64Array(this.#neurons * batch);
    for await (const { first, count, layout, hs } of this.#model.network.chunks(
      { input: this.#input, evaluation: {} },
      "states",
    )) {
      const state = await this.#backend.download(hs.at(-1)!);
      unpackState(state, end, (sample, row) => row * batch + first + sample, count, this.#neurons, layout);
    }
    return end;
  }

  dispose(): void {
    this.#model.dispose();
  }
}

export async function solveSuite(session: BenchSession): Promise<void> {
  for (const batch of session.job.batches) {
    const solving = new Solving(session.backend, session.network, batch);
    try {
      await timeSolve(session, solving, batch);
    } finally {
      solving.dispose();
    }
  }
}

async function timeSolve(session: BenchSession, solving: Solving, batch: number): Promise<void> {
  const { meter } = session;
  const end = await expectedEnd(session, batch);
  // Both solves keep the local error of each step below the tolerance, so they may differ by that much.
  const bounds = { end: end.map((y) => ATOL + RTOL * Math.abs(y)) };
  meter.recording = true;
  meter.take();
  try {
    checkResults("solve", { end: await solving.endState() }, { end }, bounds);
  } catch (error) {
    if (!(error instanceof WrongResultError)) throw error;
    session.refuse(`batch ${batch}: ${error.message}`);
    return;
  }
  const cost = addCosts([...meter.take().values()].map((account) => account.cost));
  meter.recording = false;
  const [timing] = await interleave([asyncContender("solve", () => solving.run())], session.effort);
  session.row({ op: "solve", batch, cost, rhsEvaluations: solving.rhsEvaluations }, timing!);
}

async function expectedEnd({ network }: BenchSession, batch: number): Promise<Float64Array> {
  const reference = await openReference(network.csr.nnz * batch * PRODUCTS_PER_SOLVE);
  try {
    const solving = new Solving(reference, network, batch);
    const end = await solving.endState();
    solving.dispose();
    return end;
  } finally {
    await reference.dispose();
  }
}
