// From the states of a chunk through the output projection to its outputs, and their cotangents the other way.

import type { DeviceBuffer } from "../../backend/backend.ts";
import type { Part } from "../../backend/desk.ts";
import { addProgram } from "../../ode/programs.ts";
import type { ChunkStates } from "./chunks.ts";
import type { NetworkParameters } from "./parameters.ts";
import { outputProgram, outputReverseProgram } from "./projectionPrograms.ts";

/** outs = H·h + b for each output time that the chunk was asked for, or the states themselves. */
export function outputsOf(model: NetworkParameters, { desk, hs }: ChunkStates): readonly DeviceBuffer[] {
  if (!model.options.outputProjection) return hs;
  const program = desk.program("output", () => outputProgram((g) => model.outputGraph(g)));
  return hs.map((h, j) => {
    const out = desk.state(`out ${j}`, model.nOutputs);
    desk.run(program, { ...model.outputBindings(), h, out });
    return out;
  });
}

/** Host cotangents of the outputs at time j (null: zero) → cotangent of the state, and gradients of the output projection. */
export function pullOutput(
  model: NetworkParameters,
  { desk, hs, ctHs }: ChunkStates,
  j: number,
  ctOuts: ArrayLike<number> | null,
  part: Part,
): void {
  const ctH = ctHs[j]!;
  if (!ctOuts) model.backend.fill(ctH, 0);
  else if (!model.options.outputProjection) desk.put(ctH, ctOuts, part, "zero");
  else {
    const ct = desk.put(desk.state("ct out", model.nOutputs), ctOuts, part, "zero");
    const make = () => outputReverseProgram((g) => model.outputGraph(g), model.outputTrainedLeaves());
    desk.run(desk.program("output reverse", make), {
      ...model.outputBindings(),
      h: hs[j],
      "ct.out": ct,
      "ct.h": ctH,
    });
  }
}

/** Adds host cotangents of the states at time j. */
export function addStateCotangent(
  { options: { numNeurons } }: NetworkParameters,
  { desk, ctHs }: ChunkStates,
  j: number,
  ctOfHs: ArrayLike<number>,
  part: Part,
): void {
  const term = desk.put(desk.state("ct state", numNeurons), ctOfHs, part, "zero");
  desk.run(
    desk.program("add state", () => addProgram(numNeurons)),
    { sum: ctHs[j], term },
  );
}
