// One whole training step of the tutorial's classifier, and its parts: forward solve, backward pass, read-out, optimiser.

import type { Backend } from "../../src/backend/backend.ts";
import type { Purpose } from "../../src/backend/program.ts";
import { deriveKey, keyOfSeed } from "../../src/core/random.ts";
import { createSparseProjection, randomIndices } from "../../src/data/connectomes.ts";
import { ConnectomeODEClassifier } from "../../src/models/classifier.ts";
import { addCosts, type Cost } from "../../src/profile/cost.ts";
import { Adam } from "../../src/train/optimizer.ts";
import { uniformArray } from "../arrays.ts";
import { asyncContender, interleave } from "../measure.ts";
import type { Account } from "../meter.ts";
import type { Network } from "../networks.ts";
import { openPeers, type Peer, storeOperands } from "../peers/peers.ts";
import type { BenchSession } from "../session.ts";
import { summarise } from "../stats.ts";
import { openReference, WrongResultError } from "../verify.ts";
import { discreteTraining } from "./discrete.ts";
import { LEARNING_RATE, type Training } from "./training.ts";

/** The tutorial's sizes: images of 28 × 28, one input neuron per pixel, 256 hidden units, ten digits. */
const PIXELS = 784;
const HIDDEN = 256;
const CLASSES = 10;
const CONNECTOME = "rnn.hh.values";
/**
 * Two solves that differ in rounding take slightly different steps, each within the controller's tolerance of 1e-3; gradients lose about
 * one digit more.
 */
const LOSS_TOLERANCE = 1e-3;
const GRADIENT_TOLERANCE = 1e-2;

/** The tutorial's classifier. */
class TutorialTraining implements Training {
  readonly op = "step";
  readonly compared = CONNECTOME;
  readonly model: ConnectomeODEClassifier;
  readonly #adam: Adam;
  readonly #input: { readonly data: Float32Array; readonly batch: number };
  readonly #labels: Uint32Array;
  rhsEvaluations = 0;

  constructor(backend: Backend, { csr }: Network, batch: number) {
    const n = csr.nRows;
    this.model = new ConnectomeODEClassifier(backend, {
      rnn: {
        inputSize: PIXELS,
        numNeurons: n,
        connectome: csr,
        inputProjection: createSparseProjection({
          size: PIXELS,
          numNeurons: n,
          indices: inputNeurons(n),
          mode: "ih",
        }),
      },
      numClasses: CLASSES,
      fcDim: HIDDEN,
      // Dropout would give each implementation other numbers.
      dropout: 0,
    });
    this.#adam = new Adam(backend, this.model.parameters, { lr: LEARNING_RATE });
    this.#input = { data: images(batch), batch };
    this.#labels = labels(batch);
  }

  async step(): Promise<number> {
    const { loss, stats } = await this.model.gradients(this.#input, this.#labels, this.#adam.stepCount);
    this.#adam.step();
    this.rhsEvaluations = Math.max(...stats.map((s) => s.nFEvals));
    return loss;
  }

  dispose(): void {
    this.#adam.dispose();
    this.model.dispose();
  }
}

function inputNeurons(n: number): Uint32Array {
  return randomIndices(PIXELS, n, deriveKey(keyOfSeed(1), "bench input"));
}

/** Numbers in the range of normalised digits, [batch][pixels]. */
function images(batch: number): Float32Array {
  return uniformArray(PIXELS * batch, "images", -0.42, 2.82);
}

function labels(batch: number): Uint32Array {
  return Uint32Array.from(uniformArray(batch, "labels", 0, CLASSES), Math.floor);
}

/** The training that the session's suite times. */
function trainingOf({ suite, network, job }: BenchSession, backend: Backend, batch: number): Training {
  if (suite === "discrete") return discreteTraining(backend, network, batch, job);
  return new TutorialTraining(backend, network, batch);
}

/** Times a training step of each batch size, whole and in parts. */
export async function stepSuite(session: BenchSession): Promise<void> {
  for (const batch of session.job.batches) {
    const training = trainingOf(session, session.backend, batch);
    try {
      await timeStep(session, training, batch);
    } finally {
      training.dispose();
    }
  }
}

/** Does one step and nothing else: for its peak memory. */
export async function oneStep(session: BenchSession, batch: number): Promise<void> {
  const training = trainingOf(session, session.backend, batch);
  await training.step();
  await session.backend.finish();
  training.dispose();
}

async function timeStep(session: BenchSession, training: Training, batch: number): Promise<void> {
  const { meter, effort } = session;
  meter.recording = true;
  meter.take();
  const expected = await expectedOf(session, batch);
  const loss = await training.step();
  const accounts = meter.take();
  const cost = new Map(PARTS.map((part) => [part, costOf(accounts, part)]));
  try {
    checkStep(loss, await training.model.parameters.gradient(training.compared), expected, training.op);
  } catch (error) {
    if (!(error instanceof WrongResultError)) throw error;
    session.refuse(`${training.op}, batch ${batch}: ${error.message}`);
    return;
  }
  const peers = await stepPeers(session, training, batch, expected);
  const parts: Split[] = [];
  try {
    const [whole, , ...theirs] = await interleave(
      [
        asyncContender(training.op, async () => {
          meter.recording = false;
          await training.step();
          await session.backend.finish();
        }),
        asyncContender(`${training.op}, in parts`, async () => {
          meter.recording = true;
          parts.push(await split(session, training));
        }),
        ...peers.map((peer) => peer.contender("step")),
      ],
      effort,
    );
    const { op, rhsEvaluations } = training;
    const facts = { op, batch, cost: addCosts([...cost.values()]), rhsEvaluations };
    session.row(facts, whole!);
    for (const [i, peer] of peers.entries()) session.peerRow(facts, peer, theirs[i]!, whole!);
    reportParts(session, facts, cost, parts);
    await profileStep(session, training, batch);
  } finally {
    for (const peer of peers) peer.close();
  }
}

// ---- parts -------------------------------------------------------------------------------------------------------------

const PARTS = ["forward", "backward", "readout", "optimiser"] as const;
type Part = (typeof PARTS)[number];

/** Seconds of one step by part; `host` is what no program accounts for. */
type Split = Readonly<Record<Part | "host", number>>;

/** Attempts that the tape recomputes during the reverse pass count as forward. */
const PART_OF: Readonly<Record<Purpose, Part>> = {
  forward: "forward",
  reverse: "backward",
  readout: "readout",
  parameters: "optimiser",
  optimiser: "optimiser",
};

function costOf(accounts: ReadonlyMap<Purpose | undefined, Account>, part: Part): Cost {
  const ofPart = [...accounts].filter(([purpose]) => purpose && PART_OF[purpose] === part);
  return addCosts(ofPart.map(([, account]) => account.cost));
}

async function split({ meter, backend }: BenchSession, training: Training): Promise<Split> {
  meter.take();
  const start = performance.now();
  await training.step();
  await backend.finish();
  const total = (performance.now() - start) / 1000;
  const seconds = { forward: 0, backward: 0, readout: 0, optimiser: 0 };
  for (const [purpose, account] of meter.take()) if (purpose) seconds[PART_OF[purpose]] += account.seconds;
  return { ...seconds, host: total - PARTS.reduce((sum, part) => sum + seconds[part], 0) };
}

/** One more step, for the profile of it. */
async function profileStep(session: BenchSession, training: Training, batch: number): Promise<void> {
  const { profiler, meter } = session;
  if (!profiler) return;
  meter.recording = false;
  await profiler.discard();
  const start = performance.now();
  await training.step();
  session.profile(batch, await profiler.take(performance.now() - start));
}

function reportParts(
  session: BenchSession,
  { op, batch, rhsEvaluations }: { readonly op: string; readonly batch: number; readonly rhsEvaluations: number },
  costs: ReadonlyMap<Part, Cost>,
  parts: readonly Split[],
): void {
  // On a GPU `run` returns before the work is done, so programs have no times of their own.
  if (session.backend.name !== "wasm") return;
  for (const part of PARTS) {
    const timing = summarise(parts.map((p) => p[part]));
    session.row({ op: `${op}.${part}`, batch, cost: costs.get(part)!, rhsEvaluations }, timing);
  }
  session.row({ op: `${op}.host`, batch, cost: null, rhsEvaluations }, summarise(parts.map((p) => p.host)));
}

// ---- correctness -------------------------------------------------------------------------------------------------------

interface Expected {
  readonly loss: number;
  /** Of the connectome's weights, row-major. */
  readonly gradient: ArrayLike<number>;
}

/** Products of numbers in one training step, per connection and sample: forward and backward of about 45 right-hand sides. */
const PRODUCTS_PER_STEP = 45 * 3;

async function expectedOf(session: BenchSession, batch: number): Promise<Expected> {
  const { network, job } = session;
  const reference = await openReference(network.csr.nnz * batch * PRODUCTS_PER_STEP);
  try {
    const training = trainingOf(session, reference, batch);
    const loss = await training.step();
    const gradient = await training.model.parameters.gradient(training.compared);
    training.dispose();
    return { loss, gradient: job.dtype === "f32" ? Float32Array.from(gradient) : gradient };
  } finally {
    await reference.dispose();
  }
}

/** @throws {WrongResultError} */
function checkStep(loss: number, gradient: ArrayLike<number>, expected: Expected, label: string): void {
  const lossError = Math.abs(loss / expected.loss - 1);
  if (!(lossError <= LOSS_TOLERANCE)) {
    throw new WrongResultError(`${label}: expected a loss of ${expected.loss}, got ${loss}`);
  }
  const gradientError = relativeError(gradient, expected.gradient);
  if (!(gradientError <= GRADIENT_TOLERANCE)) {
    throw new WrongResultError(`${label}: expected the gradient within ${GRADIENT_TOLERANCE}, got ${gradientError}`);
  }
}

/** ‖a − b‖/‖b‖. */
function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    difference += (a[i]! - b[i]!) ** 2;
    norm += b[i]! ** 2;
  }
  return Math.sqrt(difference / norm);
}

/** Peers that do the whole step, with the same loss and gradient. */
async function stepPeers(
  session: BenchSession,
  training: Training,
  batch: number,
  expected: Expected,
): Promise<Peer[]> {
  if (session.job.peers.length === 0 || session.suite !== "step") return [];
  const { parameters } = training.model;
  const layer = async (name: string): Promise<Float32Array> => Float32Array.from(await parameters.values(name));
  storeOperands(session.job.folder, {
    input: images(batch),
    labels: Float32Array.from(labels(batch)),
    inputNeurons: Float32Array.from(inputNeurons(session.network.csr.nRows)),
    "fc1.weight": await layer("out_layer.1.weight"),
    "fc1.bias": await layer("out_layer.1.bias"),
    "fc2.weight": await layer("out_layer.4.weight"),
    "fc2.bias": await layer("out_layer.4.bias"),
  });
  const able: Peer[] = [];
  for (const peer of await openPeers(session, batch, "step")) {
    try {
      const { loss, grad } = await peer.results("step", ["loss", "grad"]);
      checkStep(loss![0]!, grad!, expected, peer.name);
      able.push(peer);
    } catch (error) {
      session.note(`${peer.name}, step, batch ${batch}: left out, ${error instanceof Error ? error.message : error}`);
      peer.close();
    }
  }
  return able;
}
