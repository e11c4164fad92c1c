// Batches of samples for training: in a reproducible order, read ahead where reading takes time, and resumable at any batch.

import type { FloatArray } from "../core/dtype.ts";
import { ArgumentError, EngineError, ShapeError } from "../core/errors.ts";
import { deriveKey, type Key, RandomStream } from "../core/random.ts";
import { imageSamples } from "./imageSamples.ts";
import type { ImageSet } from "./imageSet.ts";
import type { SampleSet, SampleShape, SampleStream, Samples } from "./sampleSet.ts";

/** Some samples of a set; owned by the receiver. */
export interface Batch extends Samples {
  /** Position in the epoch, from 0. */
  readonly index: number;
  /** [size], which samples of the set these are. */
  readonly indices: Uint32Array;
  /** Samples of the whole batch, where these are a share of it; else `size`. */
  readonly of: number;
}

/** A batch of a stream; owned by the receiver. */
export interface StreamBatch extends Samples {
  /** Position in the stream, from 0. */
  readonly index: number;
}

/** How an epoch is cut into batches. */
export interface BatchOptions {
  /** Samples per batch, ≥ 1; the last batch of an epoch may be smaller. */
  readonly batchSize: number;
  /** Default false: the order of the set. */
  readonly shuffle?: boolean;
  /**
   * Needed to shuffle: the order is a function of this key and the epoch. So are random changes of the samples (shifted pictures, noise), which
   * there are none of without it.
   */
  readonly key?: Key;
  /** Default 0. */
  readonly epoch?: number;
  /** Leave out a last batch that is not full. Default false. */
  readonly dropLast?: boolean;
  /** Begin at this batch of the epoch, to resume. Default 0. */
  readonly firstBatch?: number;
  /** From there on take every batch of this many. Default 1: all. */
  readonly stride?: number;
  /** Read these samples of a batch of `size` only, where other processes read the others; their changes are the same. Default: all. */
  readonly share?: (size: number) => { readonly first: number; readonly count: number };
  /** Iteration throws the signal's reason at the first batch after the abort. */
  readonly signal?: AbortSignal;
}

/** How many batches an epoch has. */
export function batchCount(count: number, batchSize: number, dropLast = false): number {
  return dropLast ? Math.floor(count / batchSize) : Math.ceil(count / batchSize);
}

/** Of a pass that trains nothing: most samples, and bytes of their arrays in single precision; whole panels of the CPU where there is room. */
const PASS = { samples: 256, bytes: 64 * 2 ** 20, panel: 16 } as const;

/**
 * Samples to read at a time in a pass that trains nothing: as many as arrays of bounded size hold, at least one. Which samples are read
 * together changes no output, only the order in which sums are added.
 *
 * @param outputs  numbers that the pass computes per sample
 */
export function samplesPerPass({ inputSize, steps, target, weighted }: SampleShape, outputs = 0): number {
  const targets = (target.times ?? 1) * target.width * (weighted ? 2 : 1);
  const room = Math.floor(PASS.bytes / (4 * ((steps ?? 1) * inputSize + targets + outputs)));
  const whole = room < PASS.panel ? room : room - (room % PASS.panel);
  return Math.max(1, Math.min(PASS.samples, whole));
}

/**
 * The order in which an epoch visits `count` samples: a permutation that depends on (key, epoch) only, so that any epoch can be
 * repeated or resumed alone.
 */
export function epochOrder(count: number, key: Key, epoch: number): Uint32Array {
  return new RandomStream(deriveKey(deriveKey(key, "epoch"), epoch)).permutation(count);
}

/** The key of an epoch's random changes. Its label is that of the first such change: runs that began earlier keep their bits. */
function variationOf(key: Key, epoch: number): Key {
  return deriveKey(deriveKey(key, "shift"), epoch);
}

/** The batches of an epoch, once: with `for await`, or with `for` if the set reads without a promise. */
export interface Batches extends AsyncGenerator<Batch, void, undefined>, Iterable<Batch> {}

/**
 * Iterates over the batches of one epoch, of samples or of images as they are. Options are checked at once, before the first batch is asked for. A set that takes time to read
 * reads the next batch while its caller works on this one; an error of reading is thrown when its batch is due. Ending the iteration waits
 * for a reading in progress, so that the set can be released then.
 *
 * @throws {ArgumentError} a batch size below 1, shuffling without a key; `for` without `await` over a set that reads with a promise
 * @throws {ShapeError} the set returns arrays of another length than it says
 */
export function batches(source: SampleSet | ImageSet, options: BatchOptions): Batches {
  const set = "read" in source ? source : imageSamples(source);
  const { batchSize, shuffle = false, key, epoch = 0, dropLast = false, firstBatch = 0, stride = 1, signal } = options;
  const { share = (size) => ({ first: 0, count: size }) } = options;
  checkWhole("batchSize", batchSize, 1);
  checkWhole("epoch", epoch, 0);
  checkWhole("firstBatch", firstBatch, 0);
  checkWhole("stride", stride, 1);
  if (shuffle && !key) throw new ArgumentError("batches", "key", "a key, to shuffle", "none");
  const order = shuffle && key ? epochOrder(set.count, key, epoch) : null;
  const variation = key ? variationOf(key, epoch) : null;
  const end = batchCount(set.count, batchSize, dropLast);
  const read = (index: number): Batch | Promise<Batch> | null => {
    if (index >= end) return null;
    const of = Math.min(batchSize, set.count - index * batchSize);
    const own = share(of);
    if (!(own.first >= 0 && own.count >= 0 && own.first + own.count <= of))
      throw new ArgumentError("batches", "share", `some of ${of} samples`, `${own.count} from ${own.first} on`);
    const first = index * batchSize + own.first;
    const indices =
      order?.slice(first, first + own.count) ?? Uint32Array.from({ length: own.count }, (_, k) => first + k);
    if (own.count === 0) return { ...noSamples(set), index, indices, of };
    const samples = set.read(indices, variation);
    const batch = (read: Samples): Batch => ({ ...checked(set, read, own.count), index, indices, of });
    return isPromise(samples) ? samples.then(batch) : batch(samples);
  };
  const counting = { first: firstBatch, stride };
  return Object.assign(inTurn(read, counting, signal), {
    [Symbol.iterator]: () => atOnce(read, counting, signal),
  });
}

/** A share of a batch without samples. */
function noSamples({ weighted }: SampleShape): Samples {
  const none = new Float32Array(0);
  return { size: 0, inputs: none, targets: none, weights: weighted ? none : null };
}

/** Some samples of a batch that come one after another; the arrays are views. */
export function sliceOfSamples(
  { inputs, targets, weights }: Samples,
  { inputSize, steps, target }: SampleShape,
  first: number,
  count: number,
): Samples {
  const slice = <A extends FloatArray>(array: A, width: number): A =>
    array.subarray(first * width, (first + count) * width) as A;
  const row = (target.times ?? 1) * target.width;
  return {
    size: count,
    inputs: slice(inputs, (steps ?? 1) * inputSize),
    targets: slice(targets, row),
    weights: weights && slice(weights, row),
  };
}

/** Which numbers are asked for: `first`, and every one of `stride` behind it. */
interface Counting {
  readonly first: number;
  readonly stride: number;
}

/** What `read` gives for one index after the other, until it gives null. @throws {ArgumentError} it gives a promise */
function* atOnce<B>(
  read: (index: number) => B | Promise<B> | null,
  { first, stride }: Counting,
  signal: AbortSignal | undefined,
): Generator<B, void, undefined> {
  for (let index = first; ; index += stride) {
    signal?.throwIfAborted();
    const batch = read(index);
    if (batch === null) return;
    if (isPromise(batch)) {
      batch.catch(() => {});
      throw new ArgumentError("batches", "set", "for await, as this set reads with promises", "for");
    }
    yield batch;
  }
}

/**
 * The first samples of a set or stream, unchanged; fewer if there are fewer.
 *
 * @throws {ShapeError} arrays of another length than the set says
 */
export async function firstSamples(source: SampleSet | SampleStream, count: number): Promise<Samples> {
  if (!isStream(source)) {
    const size = Math.min(count, source.count);
    return checked(
      source,
      await source.read(
        Uint32Array.from({ length: size }, (_, k) => k),
        null,
      ),
      size,
    );
  }
  const parts: Samples[] = [];
  let size = 0;
  for await (const batch of streamBatches(source)) {
    parts.push(batch);
    size += batch.size;
    if (size >= count) break;
  }
  return joined(parts, source, Math.min(size, count));
}

/**
 * Iterates over the batches of a stream, from number `firstBatch` on. Reads ahead as `batches` does.
 *
 * @throws {EngineError} "stream-ended"
 * @throws {ShapeError} a batch with arrays of another length than the stream says
 */
export async function* streamBatches(
  stream: SampleStream,
  { firstBatch = 0, signal }: Pick<BatchOptions, "firstBatch" | "signal"> = {},
): AsyncGenerator<StreamBatch, void, undefined> {
  checkWhole("firstBatch", firstBatch, 0);
  const source = stream.batches(firstBatch);
  const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  const take = (index: number, { done, value }: IteratorResult<Samples, unknown>): StreamBatch => {
    if (done) {
      const expected = `batch ${index} of ${stream.source}, a stream without an end`;
      throw new EngineError("stream-ended", `batches: expected ${expected}, got its end`, { batch: index });
    }
    const own = value as Samples;
    return { ...checked(stream, own, own.size), index };
  };
  const read = (index: number): StreamBatch | Promise<StreamBatch> => {
    const result = iterator.next();
    return isPromise(result) ? result.then((own) => take(index, own)) : take(index, result);
  };
  try {
    yield* inTurn(read, { first: firstBatch, stride: 1 }, signal);
  } finally {
    await iterator.return?.();
  }
}

/**
 * Iterates over a stream, `count` batches at a time as one, from group number `firstBatch` on: batches firstBatch·count … of the stream.
 *
 * @throws as `streamBatches`
 */
export async function* joinedBatches(
  stream: SampleStream,
  count: number,
  { firstBatch = 0, signal }: Pick<BatchOptions, "firstBatch" | "signal"> = {},
): AsyncGenerator<StreamBatch, void, undefined> {
  checkWhole("count", count, 1);
  checkWhole("firstBatch", firstBatch, 0);
  let parts: Samples[] = [];
  let index = firstBatch;
  for await (const batch of streamBatches(stream, { firstBatch: firstBatch * count, ...(signal && { signal }) })) {
    parts.push(batch);
    if (parts.length < count) continue;
    const size = parts.reduce((sum, part) => sum + part.size, 0);
    yield { ...(count === 1 ? batch : joined(parts, stream, size)), index: index++ };
    parts = [];
  }
}

/** Whether samples come without random access and without an end. */
export function isStream(source: SampleSet | SampleStream): source is SampleStream {
  return "batches" in source;
}

/** What `read` gives for one index after the other, until it gives null. Where that takes time, the next one is asked for ahead. */
async function* inTurn<B>(
  read: (index: number) => B | Promise<B> | null,
  { first, stride }: Counting,
  signal: AbortSignal | undefined,
): AsyncGenerator<B, void, undefined> {
  let ahead: Promise<B | null> | null = null;
  try {
    for (let index = first; ; index += stride) {
      signal?.throwIfAborted();
      const reading: B | Promise<B | null> | null = ahead ?? read(index);
      ahead = null;
      const batch = await reading;
      if (batch === null) return;
      // What is in memory would only be copied earlier.
      if (isPromise(reading)) ahead = readAhead(read, index + stride);
      yield batch;
    }
  } finally {
    await ahead?.catch(() => {});
  }
}

/** The next batch; an error waits until it is due. */
function readAhead<B>(read: (index: number) => B | Promise<B> | null, index: number): Promise<B | null> {
  const next = (async () => read(index))();
  next.catch(() => {});
  return next;
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as Partial<Promise<T>> | null)?.then === "function";
}

/** @throws {ShapeError} arrays of other lengths than the shape asks for */
function checked(shape: SampleShape & { readonly source: string }, samples: Samples, size: number): Samples {
  const { inputSize, steps, target, weighted, source } = shape;
  const targets = [size, target.times ?? 1, target.width];
  const expected: Readonly<Record<string, readonly number[]>> = {
    inputs: [size, steps ?? 1, inputSize],
    targets,
    ...(weighted ? { weights: targets } : {}),
  };
  if (!Number.isSafeInteger(samples.size) || samples.size < 1 || samples.size !== size)
    throw new ShapeError(source, "size", `${size >= 1 ? size : "at least 1"} samples`, `${samples.size}`);
  for (const [name, shapeOf] of Object.entries(expected)) {
    const array = samples[name as "inputs" | "targets" | "weights"];
    const length = shapeOf.reduce((product, extent) => product * extent, 1);
    if (array?.length === length) continue;
    throw new ShapeError(source, name, `[${shapeOf.join(", ")}], ${length} numbers`, `${array?.length ?? "none"}`);
  }
  if (!weighted && samples.weights !== null)
    throw new ShapeError(source, "weights", "null, as targets have no weights", `${samples.weights.length} numbers`);
  return samples;
}

/** The first `size` samples of several batches. */
function joined(parts: readonly Samples[], { inputSize, steps, target, weighted }: SampleShape, size: number): Samples {
  const [first] = parts;
  const row = (target.times ?? 1) * target.width;
  const join = (name: "inputs" | "targets" | "weights", width: number) => {
    const whole = new (first!.inputs instanceof Float64Array ? Float64Array : Float32Array)(size * width);
    let at = 0;
    for (const part of parts) {
      const room = whole.length - at;
      whole.set(part[name]!.subarray(0, room), at);
      at += Math.min(room, part[name]!.length);
    }
    return whole;
  };
  return {
    size,
    inputs: join("inputs", (steps ?? 1) * inputSize),
    targets: join("targets", row),
    weights: weighted ? join("weights", row) : null,
  };
}

function checkWhole(name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least) {
    throw new ArgumentError("batches", name, `a whole number ≥ ${least}`, `${value}`);
  }
}
