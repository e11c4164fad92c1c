// Between the host's samples and the states of a chunk: inputs go through the input projection to the drive, states through the output
// projection to outputs, and cotangents the other way.

import type { DeviceBuffer } from "../../backend/backend.ts";
import type { Part } from "../../backend/desk.ts";
import { addProgram } from "../../ode/programs.ts";
import type { ModelInput } from "../options.ts";
import { partOf, type SampleRows } from "../samples.ts";
import type { ChunkBuffers, ChunkGradients, ChunkStates } from "./chunks.ts";
import type { NetworkParameters } from "./parameters.ts";
import { outputProgram, outputReverseProgram, projectProgram, unprojectProgram } from "./projectionPrograms.ts";

type Samples = Pick<ChunkStates, "first" | "count">;

/** Uploads the input of some samples, projected to the drive, and their initial state (null: zeros). */
export function uploadInput(
  model: NetworkParameters,
  chunk: ChunkBuffers,
  samples: Samples,
  { data }: ModelInput,
  rows: SampleRows,
  h0: ArrayLike<number> | null,
): void {
  const { backend, input } = model;
  const { desk, steps, drive, x, y0 } = chunk;
  if (input && steps > 1) backend.fill(drive, 0);
  for (let k = 0; k < steps; k++) {
    const part = partOf(rows, samples, k);
    if (input) {
      desk.put(x[k]!, data, part);
      project(model, chunk, k);
    } else desk.put(drive, data, { ...part, frame: { index: k, rows: rows.width } });
  }
  if (h0) desk.put(y0, h0, samples);
  else backend.fill(y0, 0);
}

/** drive_k = U·x_k. */
function project(model: NetworkParameters, { desk, steps, x, stepIndex, drive }: ChunkBuffers, k: number): void {
  const U = model.options.inputProjection!;
  const program = desk.program("project", () => projectProgram(U, steps));
  desk.run(program, { ih: model.input!.bindable, x: x[k], index: stepIndex[k], drive });
}

/** The reverse of `uploadInput`, from the cotangent of the drive: adds the gradient of the projection. */
export function pullInput(model: NetworkParameters, chunk: ChunkBuffers): ChunkGradients["ctX"] {
  const { desk, steps, ctDrive, ctX } = chunk;
  const { inputProjection: U, inputGradient = false } = model.options;
  if (U && ctDrive) {
    const { bindable, gradTarget, trainable } = model.input!;
    const program = desk.program("unproject", () => unprojectProgram(U, steps, trainable, inputGradient));
    for (let k = 0; k < steps; k++) {
      desk.run(program, {
        ih: bindable,
        x: chunk.x[k],
        index: chunk.stepIndex[k],
        "ct.drive": ctDrive,
        "grad.ih": gradTarget,
        "ct.x": ctX?.[k],
      });
    }
  }
  if (!inputGradient) return [];
  return Array.from({ length: steps }, (_, k) =>
    ctX ? { buffer: ctX[k]!, index: 0 } : { buffer: ctDrive!, index: k },
  );
}

/** outs = H·h + b for each output time, or the states themselves. */
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
