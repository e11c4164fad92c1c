// Chunks: the parts of a batch that a device takes at once, their buffers, and their outcomes.

import type { DeviceBuffer } from "../../backend/backend.ts";
import type { Desk } from "../../backend/desk.ts";
import type { PanelLayout } from "../../backend/program.ts";
import type { SolveStats } from "../../ode/solveStats.ts";
import type { NetworkParameters } from "./parameters.ts";

/** A chunk of a batch: its states, and room for their cotangents. */
export interface ChunkStates {
  readonly first: number;
  readonly count: number;
  readonly layout: PanelLayout;
  /** Owns the buffers. Chunks of the same shape share it. Programs on them run on it; it lives as long as the network. */
  readonly desk: Desk;
  /** State at each output time. */
  readonly hs: readonly DeviceBuffer[];
  /** Room for their cotangents. */
  readonly ctHs: readonly DeviceBuffer[];
}

/** A chunk whose run has been enqueued. */
export interface StartedChunk extends ChunkStates {
  /** Scalar on the device: 1 once the states are complete. Guards what is enqueued on them before `poll` (see Guard). */
  readonly complete: DeviceBuffer;
  /**
   * Waits for the states, and reads small buffers (`more`) in the same round trip. null: the states were not complete but will be;
   * enqueue again what depends on them, and poll again.
   */
  poll(more: readonly DeviceBuffer[]): Promise<SettledChunk | null>;
}

/** The outcome of a chunk. */
export interface SettledChunk {
  /** Solver statistics; null for a discrete model. */
  readonly stats: SolveStats | null;
  /** Samples of the chunk, from 0, that did not reach their end: with them there is no reverse. */
  readonly failed: readonly number[];
  /** Numbers of the buffers that were read along. */
  readonly values: readonly ArrayLike<number>[];
}

/** A chunk of a batch on the device after its run. */
export type NetworkChunk = ChunkStates & Omit<SettledChunk, "values">;

/** Cotangents that leave the dynamics, on the device. */
export interface ChunkGradients {
  readonly ctY0: DeviceBuffer;
  /** Cotangent of the input, step by step; only with `inputGradient`. */
  readonly ctX: readonly InputCotangent[];
}

/** One step of a cotangent of the input. */
export interface InputCotangent {
  readonly buffer: DeviceBuffer;
  /** Which one of those that the buffer holds one after another. */
  readonly index: number;
}

/** Interventions that the dynamics of a run has, and the rows that it binds for them. */
export interface ActiveInterventions {
  readonly held: boolean;
  readonly muted: boolean;
  readonly rows: Readonly<Record<string, DeviceBuffer>>;
}

/** Device buffers for chunks of one shape. */
export interface ChunkBuffers {
  /** Of the last run; null: none in its dynamics. */
  active: ActiveInterventions | null;
  readonly desk: Desk;
  readonly steps: number;
  readonly x: readonly DeviceBuffer[];
  readonly drive: DeviceBuffer;
  /** Constant per-sample vectors k = 0 … steps − 1; none for an input that is constant in time. */
  readonly stepIndex: readonly DeviceBuffer[];
  readonly y0: DeviceBuffer;
  readonly hs: readonly DeviceBuffer[];
  readonly ctHs: readonly DeviceBuffer[];
  readonly ctY0: DeviceBuffer;
  readonly ctDrive: DeviceBuffer | null;
  /** null: the cotangent of the drive is that of the input, or none is wanted. */
  readonly ctX: readonly DeviceBuffer[] | null;
}

/** The variant of the dynamics that a chunk's run has, as a key. */
export function variantOf({ steps, active }: ChunkBuffers): string {
  return `${steps}${active?.held ? " held" : ""}${active?.muted ? " muted" : ""}`;
}

/** The buffers of a chunk with `steps` inputs and `times` outputs; made at the first use of its desk. */
export function chunkBuffers(
  { options, needsDrive }: NetworkParameters,
  desk: Desk,
  steps: number,
  times: number,
): ChunkBuffers {
  const { numNeurons: n, inputSize, inputProjection, inputGradient = false } = options;
  const each = <T>(count: number, f: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => f(i));
  const buffers: ChunkBuffers = {
    active: null,
    desk,
    steps,
    x: inputProjection ? each(steps, (k) => desk.state(`x ${k}`, inputSize)) : [],
    drive: desk.state("drive", steps * n),
    stepIndex: steps > 1 ? each(steps, (k) => desk.sample(`step ${k}`)) : [],
    y0: desk.state("y0", n),
    hs: each(times, (j) => desk.state(`h ${j}`, n)),
    ctHs: each(times, (j) => desk.state(`ct h ${j}`, n)),
    ctY0: desk.state("ct y0", n),
    ctDrive: needsDrive ? desk.state("ct drive", steps * n) : null,
    ctX: inputGradient && inputProjection ? each(steps, (k) => desk.state(`ct x ${k}`, inputSize)) : null,
  };
  buffers.stepIndex.forEach((b, k) => {
    desk.set(b, () => k);
  });
  return buffers;
}

/** Waits until the states of a chunk are complete. */
export async function settled(chunk: StartedChunk): Promise<SettledChunk> {
  for (;;) {
    const known = await chunk.poll([]);
    if (known) return known;
  }
}
