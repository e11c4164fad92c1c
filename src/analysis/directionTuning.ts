// How neurons answer to edges that move in different directions, and how selective for one of them they are.

import { bytesOf } from "../core/dtype.ts";
import { ArgumentError, ShapeError, SolverError } from "../core/errors.ts";
import { formatBytes } from "../core/format.ts";
import { standardise } from "../data/arraySet.ts";
import type { NamedNeurons } from "../data/neuronGroups.ts";
import type { Spread } from "../data/sampleChecks.ts";
import type { Places } from "../data/tasks/movingScene.ts";
import type { ConnectomeNetwork } from "../models/connectomeNetwork.ts";
import { recordActivity } from "../models/recordActivity.ts";
import { crossingFrames, movingEdges } from "./movingEdges.ts";

/** The two kinds of edges, in the order of arrays. */
export const EDGES = ["on", "off"] as const;
/** A kind of edges: behind those called on it is bright, behind off dark. */
export type EdgeName = (typeof EDGES)[number];

/** What is shown to a network: edges in all directions at all speeds, bright and dark ones. */
export interface EdgeProbe {
  /** Degrees: 0 moves along x, to the right, 90 along y, downwards as the eye is drawn. */
  readonly directions: readonly number[];
  /** Columns per second. */
  readonly speeds: readonly number[];
  /** Milliseconds that a frame lasts. */
  readonly frameMs: number;
  /** Seconds of grey before an edge. */
  readonly before: number;
  /** Seconds after an edge has crossed the eye. */
  readonly after: number;
}

/** The edges of Lappalainen et al., Nature 634, 1132 (2024), at 20 ms per frame. */
export const EDGE_PROBE: EdgeProbe = {
  directions: Array.from({ length: 12 }, (_, k) => 30 * k),
  speeds: [2.4, 4.8, 9.7, 13, 19, 25],
  frameMs: 20,
  before: 1,
  after: 1,
};

/** Peak responses of groups of neurons. */
export interface EdgeResponses {
  /** [directions] degrees */
  readonly directions: ArrayLike<number>;
  /** [speeds] columns per second */
  readonly speeds: ArrayLike<number>;
  /** [groups, on and off, speeds, directions], ≥ 0 */
  readonly values: ArrayLike<number>;
}

/** The tuning of one group to edges of one kind. */
export interface EdgeTuning {
  /** Direction selectivity, 0 … 1: the mean over speeds. */
  readonly dsi: number;
  /** Preferred direction in degrees, 0 … 360, of the responses of all speeds together. NaN: there is none. */
  readonly direction: number;
  /** [speeds] */
  readonly dsiBySpeed: Float64Array;
  /** [speeds] */
  readonly directionBySpeed: Float64Array;
  /** [directions] mean over speeds */
  readonly curve: Float64Array;
  /** [speeds, directions] */
  readonly responses: Float64Array;
}

/** The tuning of one group of neurons. */
export interface DirectionTuning extends Readonly<Record<EdgeName, EdgeTuning>> {
  /**
   * Polarity index (r_on − r_off)/(r_on + r_off), r being the mean response over directions and speeds: 1 answers to bright edges only, −1 to
   * dark ones; NaN without any response. It is to edges what the flash response index of Lappalainen et al. (2024) is to flashes.
   */
  readonly polarity: number;
}

/**
 * Direction selectivity and preferred directions. With the response r(θ) ≥ 0 to an edge in direction θ,
 *
 *     DSI = |Σ_θ r(θ)·e^{iθ}| / max over on and off of Σ_θ r(θ),
 *
 * for each speed, and then the mean over speeds; without any response it is 0. It is 1 if there is a response to one direction only, 0 if all are
 * equal, and a/2 for r = 1 + a·cos θ at evenly spaced directions. Both kinds of edges share the denominator: weak responses to the other kind are not
 * selective. The preferred direction is the angle of Σ_θ r(θ)·e^{iθ}; over speeds, that of the sum of all, where strong responses count more.
 *
 * Source: Lappalainen et al., Nature 634, 1132 (2024), Methods.
 *
 * @throws {ShapeError} other than groups × 2 × speeds × directions numbers
 * @throws {ArgumentError} a response that is negative or not finite
 */
export function directionTuning({ directions, speeds, values }: EdgeResponses): DirectionTuning[] {
  const where = "directionTuning";
  const perGroup = EDGES.length * speeds.length * directions.length;
  if (perGroup === 0 || values.length % perGroup !== 0) {
    const expected = `groups × ${EDGES.length} × ${speeds.length} speeds × ${directions.length} directions`;
    throw new ShapeError(where, "values", expected, `${values.length} numbers`);
  }
  for (let k = 0; k < values.length; k++) {
    if (!(values[k]! >= 0 && values[k]! < Infinity))
      throw new ArgumentError(where, "values", "finite responses of at least 0", `${values[k]} at ${k}`);
  }
  const radians = Float64Array.from(directions, (angle) => (angle * Math.PI) / 180);
  return Array.from({ length: values.length / perGroup }, (_, g) => {
    const own = Float64Array.from({ length: perGroup }, (__, k) => values[g * perGroup + k]!);
    return tuningOf(own, radians, speeds.length);
  });
}

interface Resultant {
  readonly re: number;
  readonly im: number;
  /** Σ r */
  readonly sum: number;
}

/** @param responses  [on and off, speeds, directions] */
function tuningOf(responses: Float64Array, radians: Float64Array, speeds: number): DirectionTuning {
  const perEdge = speeds * radians.length;
  const sumsOf = (e: number): EdgeSums => {
    const own = responses.slice(e * perEdge, (e + 1) * perEdge);
    const resultants = Array.from({ length: speeds }, (_, s) => resultantOf(own, s * radians.length, radians));
    return { own, resultants, total: resultants.reduce((sum, it) => sum + it.sum, 0) };
  };
  const [on, off] = [sumsOf(0), sumsOf(1)];
  const largest = on.resultants.map(({ sum }, s) => Math.max(sum, off.resultants[s]!.sum));
  const total = on.total + off.total;
  return {
    on: edgeTuning(on, largest, radians.length),
    off: edgeTuning(off, largest, radians.length),
    polarity: total === 0 ? Number.NaN : (on.total - off.total) / total,
  };
}

interface EdgeSums {
  readonly own: Float64Array;
  readonly resultants: readonly Resultant[];
  readonly total: number;
}

function edgeTuning({ own, resultants }: EdgeSums, largest: readonly number[], directions: number): EdgeTuning {
  const dsiBySpeed = Float64Array.from(resultants, ({ re, im }, s) =>
    largest[s] === 0 ? 0 : Math.min(1, Math.hypot(re, im) / largest[s]!),
  );
  const curve = Float64Array.from({ length: directions }, (_, d) => {
    let sum = 0;
    for (let s = 0; s < resultants.length; s++) sum += own[s * directions + d]!;
    return sum / resultants.length;
  });
  const all = resultants.reduce((sum, it) => ({ re: sum.re + it.re, im: sum.im + it.im, sum: sum.sum + it.sum }));
  return {
    dsi: dsiBySpeed.reduce((sum, value) => sum + value, 0) / resultants.length,
    direction: angleOf(all),
    dsiBySpeed,
    directionBySpeed: Float64Array.from(resultants, angleOf),
    curve,
    responses: own,
  };
}

function resultantOf(responses: Float64Array, from: number, radians: Float64Array): Resultant {
  let [re, im, sum] = [0, 0, 0];
  radians.forEach((angle, d) => {
    const r = responses[from + d]!;
    re += r * Math.cos(angle);
    im += r * Math.sin(angle);
    sum += r;
  });
  return { re, im, sum };
}

/** A sum shorter than this part of its terms is rounding: equal responses have no direction. */
const ROUNDING = 2 ** -40;

/** Degrees, 0 … 360. */
function angleOf({ re, im, sum }: Resultant): number {
  if (Math.hypot(re, im) <= ROUNDING * sum) return Number.NaN;
  const angle = (Math.atan2(im, re) * 180) / Math.PI;
  return angle < 0 ? angle + 360 : angle;
}

/** The angle between two directions in degrees, 0 … 180. */
export function angleBetween(a: number, b: number): number {
  const turn = (((a - b) % 360) + 360) % 360;
  return Math.min(turn, 360 - turn);
}

/** A network before moving edges. */
export interface EdgeProbeOptions<E> extends Partial<EdgeProbe> {
  /** Of the inputs: a HexagonalEye, or other points of the plane. */
  readonly places: Places;
  /** Neurons whose responses are averaged. */
  readonly groups: readonly NamedNeurons[];
  /** How the network is run with so many frames: with an output after each, and none before the first. */
  readonly evaluation: (frames: number) => E;
  /** By which the inputs of the network are standardised: (luminance − mean)/std, per input. Default: inputs are luminances. */
  readonly normalisation?: Spread;
  /** Called after each part of the work. */
  readonly onProgress?: (done: number, edges: number) => void;
}

/** Films and recorded activity of a batch take so many bytes, or are those of one direction. */
const BATCH_BYTES = 2 ** 28;
/** The films of one direction with what is recorded of them take so many bytes at most, and so do the states of all neurons in one of them. */
const EDGE_BYTES = 2 ** 31;

/**
 * Shows moving edges to a network and gives the responses of groups of neurons: for each neuron
 *
 *     r = max over the frames from the last grey one on of ρ − ρ of the last grey frame,
 *
 * ρ being what it sends (a rate, or φ(V) of a voltage), and then the mean over the neurons of the group. So r ≥ 0.
 *
 * Edges of a speed run as batches of at most 256 MiB of films and recorded activity, or of one direction; the device also holds the states of
 * all neurons, of one edge after the other if need be.
 *
 * @returns [groups, on and off, speeds, directions]
 * @throws {ArgumentError} a probe out of range, other inputs than the network has; edges so slow that one takes more than 2 GiB
 * @throws {SolverError} an edge that cannot be solved, activity that is not finite
 */
export async function probeEdges<E extends object>(
  model: ConnectomeNetwork<E>,
  { places, groups, evaluation, normalisation, ...options }: EdgeProbeOptions<E>,
): Promise<EdgeResponses> {
  const { onProgress = () => {}, ...given } = options;
  const probe = { ...EDGE_PROBE, ...given };
  const { directions, speeds, frameMs } = probe;
  checkProbe(probe, model.options.inputSize, places.count);
  const before = framesOf(probe.before, frameMs);
  const after = framesOf(probe.after, frameMs);
  const neurons = Uint32Array.from(new Set(groups.flatMap((group) => [...group.neurons]))).sort();
  const column = new Map(Array.from(neurons, (i, c) => [i, c]));
  const values = new Float64Array(groups.length * EDGES.length * speeds.length * directions.length);
  const edges = EDGES.length * directions.length * speeds.length;
  let done = 0;
  // Speeds that are too low are refused before any work.
  const batches = speeds.map((perSecond) => {
    const speed = (perSecond * frameMs) / 1000;
    const times = 1 + crossingFrames(places, speed) + after;
    const perDirection = bytesPerDirection(model, { times, before, neurons: neurons.length }, perSecond);
    return { perSecond, speed, times, atOnce: Math.max(1, Math.floor(BATCH_BYTES / perDirection)) };
  });
  for (const [s, { perSecond, speed, times, atOnce }] of batches.entries()) {
    for (let first = 0; first < directions.length; first += atOnce) {
      const own = directions.slice(first, first + atOnce);
      const { input } = movingEdges(places, { speed, directions: own, before, after });
      if (normalisation) standardise(input.data, normalisation);
      const { data, shape } = await recordActivity(model, input, {
        evaluation: evaluation(input.steps),
        neurons,
        rates: true,
        times: Array.from({ length: times }, (_, k) => before - 1 + k),
        onProgress: (samples) => onProgress(done + samples, edges),
      });
      done += input.batch;
      const peaks = peaksOf(data, shape);
      const kindOf = (sample: number): number => Math.floor(sample / own.length);
      const edgeOf = (sample: number): string =>
        `${EDGES[kindOf(sample)]} edge at ${own[sample % own.length]}°, ${perSecond} columns/s`;
      checkPeaks(peaks, neurons, edgeOf);
      groups.forEach((group, g) => {
        for (let sample = 0; sample < input.batch; sample++) {
          let sum = 0;
          for (const i of group.neurons) sum += peaks[sample * neurons.length + column.get(i)!]!;
          const [e, d] = [kindOf(sample), first + (sample % own.length)];
          values[((g * EDGES.length + e) * speeds.length + s) * directions.length + d] = sum / group.neurons.length;
        }
      });
    }
  }
  return { directions, speeds, values };
}

/** @throws {ArgumentError} more than one direction may take */
function bytesPerDirection(
  { options: { inputSize, numNeurons }, backend: { dtype } }: ConnectomeNetwork<object>,
  { times, before, neurons }: { readonly times: number; readonly before: number; readonly neurons: number },
  perSecond: number,
): number {
  const films = EDGES.length * (before - 1 + times) * inputSize * Float32Array.BYTES_PER_ELEMENT;
  const bytes = films + EDGES.length * times * neurons * bytesOf(dtype);
  const states = times * numNeurons * bytesOf(dtype);
  const most = Math.max(bytes, states);
  if (most <= EDGE_BYTES) return bytes;
  const expected = `edges that take at most ${formatBytes(EDGE_BYTES)} each: higher speeds, or longer frames`;
  throw new ArgumentError("probeEdges", "speeds", expected, `${perSecond} columns/s, which takes ${formatBytes(most)}`);
}

/** @throws {SolverError} a peak that is not finite, of a sample that failed or grew without bounds */
function checkPeaks(peaks: Float64Array, neurons: Uint32Array, edgeOf: (sample: number) => string): void {
  const bad = peaks.findIndex((peak) => !Number.isFinite(peak));
  if (bad < 0) return;
  const [sample, neuron] = [Math.floor(bad / neurons.length), neurons[bad % neurons.length]!];
  const message = `probeEdges: the activity of neuron ${neuron} is not finite (${edgeOf(sample)})`;
  throw new SolverError("non-finite", message, { neuron });
}

/** The largest value over time minus the first one. [samples, neurons] */
function peaksOf(
  data: ArrayLike<number>,
  [samples, times, neurons]: readonly [samples: number, times: number, neurons: number],
): Float64Array {
  const peaks = new Float64Array(samples * neurons);
  for (let s = 0; s < samples; s++) {
    for (let i = 0; i < neurons; i++) {
      const first = data[s * times * neurons + i]!;
      let most = first;
      // NaN stays: Math.max keeps it.
      for (let k = 1; k < times; k++) most = Math.max(most, data[(s * times + k) * neurons + i]!);
      peaks[s * neurons + i] = most - first;
    }
  }
  return peaks;
}

/** Frames of a time in seconds: those that begin within it. */
function framesOf(seconds: number, frameMs: number): number {
  return Math.round((1000 * seconds) / frameMs);
}

function checkProbe({ directions, speeds, frameMs, before, after }: EdgeProbe, inputs: number, places: number): void {
  const where = "probeEdges";
  if (inputs !== places) throw new ShapeError(where, "places", `${inputs}, one per input`, `${places}`);
  const check = (name: keyof EdgeProbe, expected: string, got: number, ok: boolean): void => {
    if (!ok) throw new ArgumentError(where, name, expected, `${got}`);
  };
  check("directions", "at least one direction", directions.length, directions.length > 0);
  for (const angle of directions) check("directions", "finite numbers", angle, Number.isFinite(angle));
  check("speeds", "at least one speed", speeds.length, speeds.length > 0);
  for (const speed of speeds)
    check("speeds", "columns per second, above 0", speed, speed > 0 && Number.isFinite(speed));
  check("frameMs", "milliseconds, above 0", frameMs, frameMs > 0 && Number.isFinite(frameMs));
  check("after", "seconds, at least 0", after, after >= 0 && Number.isFinite(after));
  const isFrame = before >= 0 && Number.isFinite(before) && framesOf(before, frameMs) >= 1;
  check("before", `seconds, at least a frame of ${frameMs} ms`, before, isFrame);
}
