// Interventions on the device: masks that the dynamics reads, held initial states, currents that are added to the drive.

import { Graph } from "../../autodiff/graph.ts";
import { lower } from "../../autodiff/lower.ts";
import type { DeviceBuffer } from "../../backend/backend.ts";
import type { Desk } from "../../backend/desk.ts";
import type { Program } from "../../backend/program.ts";
import type { ResolvedInterventions } from "../interventions.ts";
import type { AdjustDrive } from "./chunkInput.ts";
import type { ActiveInterventions, ChunkBuffers } from "./chunks.ts";

/** Adds the currents of interventions to the drive of some samples. null: there are none. */
export function addedCurrents(
  { desk, input, y0 }: ChunkBuffers,
  { first, count }: { readonly first: number; readonly count: number },
  { drives }: ResolvedInterventions,
): AdjustDrive | null {
  if (drives.length === 0) return null;
  const n = y0.length / desk.lanes;
  return (k, drive, index) => {
    for (const [d, { isDriven, hasFrames, current }] of drives.entries()) {
      const driven = rowOf(desk, `driven ${d}`, isDriven);
      const amount = desk.sample(hasFrames ? `current ${d} ${k}` : `current ${d}`);
      desk.setSamples(amount, count, (s) => current(first + s, k));
      desk.run(
        desk.program("add current", () => currentProgram(n, input.depth)),
        { driven, current: amount, index, drive },
      );
    }
  };
}

/** Applies interventions to the initial state of a chunk, which is there. null: the dynamics is that without interventions. */
export function intervene(chunk: ChunkBuffers, { held, isMuted }: ResolvedInterventions): ActiveInterventions | null {
  const { desk } = chunk;
  const row = (name: string, values: ArrayLike<number>) => rowOf(desk, name, values);
  const rows: Record<string, DeviceBuffer> = {};
  if (held) {
    rows.held = row("held", held.isHeld);
    select(chunk, rows.held, row("held states", held.values), chunk.y0);
  }
  if (isMuted) rows.muted = row("muted", isMuted);
  return held || isMuted ? { held: held !== null, muted: isMuted !== null, rows } : null;
}

/** One number per neuron. */
function rowOf(desk: Desk, name: string, values: ArrayLike<number>): DeviceBuffer {
  const buffer = desk.vector(name, values.length);
  desk.set(buffer, (i) => values[i]!);
  return buffer;
}

/** Held states do not depend on the initial state: their cotangent of it becomes 0. */
export function pullHeld(chunk: ChunkBuffers): void {
  const { desk, active, y0 } = chunk;
  if (!active?.held) return;
  select(chunk, active.rows.held!, desk.vector("held cotangents", y0.length / desk.lanes), chunk.ctY0);
}

/** state ← values where held. */
function select({ desk }: ChunkBuffers, held: DeviceBuffer, values: DeviceBuffer, state: DeviceBuffer): void {
  const n = held.length;
  const before = desk.state("before holding", n);
  desk.backend.copy(before, state);
  desk.run(
    desk.program("hold", () => holdProgram(n)),
    { held, values, before, state },
  );
}

function holdProgram(n: number): Program {
  const g = new Graph();
  g.store("state", g.ops.select(g.row("held", n), g.row("values", n), g.state("before", n)));
  return lower(g, "hold", "forward");
}

/** drive += current in the neurons that are driven; of a sequence in frame `index`. */
function currentProgram(n: number, steps: number): Program {
  const g = new Graph();
  const added = g.ops.mul(g.row("driven", n), g.sample("current"));
  if (steps === 1) g.store("drive", added, { accumulate: true });
  else g.scatter("drive", g.table("drive", n, steps), g.sample("index"), added);
  return lower(g, "add current", "forward");
}
