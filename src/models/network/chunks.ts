// Chunks: the parts of a batch that a device takes at once, their buffers, and their outcomes.

import type { DeviceBuffer } from "../../backend/backend.ts";
import type { Desk } from "../../backend/desk.ts";
import type { PanelLayout } from "../../backend/program.ts";
import type { SolveStats } from "../../ode/solveStats.ts";
import type { ChunkInput } from "./chunkInput.ts";
import type { NetworkParameters } from "./parameters.ts";

/** Interventions that the dynamics of a run has, and the rows that it binds for them. */
export interface ActiveInterventions {
  readonly held: boolean;
  readonly muted: boolean;
  readonly rows: Readonly<Record<string, DeviceBuffer>>;
}

/** A chunk of a batch: its states, and room for their cotangents. */
export interface ChunkStates {
  readonly first: number;
  readonly count: number;
  readonly layout: PanelLayout;
  /** Owns the buffers. Chunks of the same shape share it. Programs on them run on it; it lives as long as the network. */
  readonly desk: Desk;
  /** State at each output time; those that the run was not asked for (see Evaluated) are missing. */
  readonly hs: readonly DeviceBuffer[];
  /** Room for their cotangents, in runs for gradients only. */
  readonly ctHs: readonly DeviceBuffer[];
  /** Interventions in the dynamics of the run; null: none. */
  readonly active: ActiveInterventions | null;
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
  /** Of the solve, or of the steps in discrete time. */
  readonly stats: SolveStats;
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

/** Device buffers of a chunk. */
export interface ChunkBuffers {
  /** Of the last run; null: none in its dynamics. */
  active: ActiveInterventions | null;
  /** Whether the last run starts from zeros, and what is read of its states (see Evaluated). */
  startsAtZero: boolean;
  reads: "states" | "outputs";
  readonly desk: Desk;
  readonly input: ChunkInput;
  readonly y0: DeviceBuffer;
  readonly hs: readonly DeviceBuffer[];
  readonly ctHs: readonly DeviceBuffer[];
  readonly ctY0: DeviceBuffer;
}

/** The variant of the dynamics that a chunk's run has, as a key. */
export function variantOf({ input, active }: ChunkBuffers): string {
  return `${input.depth}${suffixOf(active)}`;
}

/** Tells programs apart that read other interventions. */
export function suffixOf(active: ActiveInterventions | null): string {
  return `${active?.held ? " held" : ""}${active?.muted ? " muted" : ""}`;
}

/**
 * The buffers of a chunk with `times` outputs; made at the first use of its desk.
 * @param at  output times whose states are wanted
 * @param back  whether their cotangents are, too
 */
export function chunkBuffers(
  { options: { numNeurons: n } }: NetworkParameters,
  input: ChunkInput,
  times: number,
  at: readonly number[],
  back: boolean,
): ChunkBuffers {
  const { desk } = input;
  const states = (name: string, which: readonly number[]): DeviceBuffer[] => {
    const buffers = new Array<DeviceBuffer>(times);
    for (const j of which) buffers[j] = desk.state(`${name} ${j}`, n);
    return buffers;
  };
  const [hs, ctHs] = [states("h", at), states("ct h", back ? at : [])];
  const [y0, ctY0] = [desk.state("y0", n), desk.state("ct y0", n)];
  return { active: null, startsAtZero: false, reads: "states", desk, input, y0, hs, ctHs, ctY0 };
}

/** Waits until the states of a chunk are complete. */
export async function settled(chunk: StartedChunk): Promise<SettledChunk> {
  for (;;) {
    const known = await chunk.poll([]);
    if (known) return known;
  }
}
