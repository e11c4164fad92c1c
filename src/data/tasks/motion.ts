// Motion: the optic flow of every column, from moving textures before a hexagonal eye.

import { ArgumentError } from "../../core/errors.ts";
import { HexagonalEye } from "../hexagon.ts";
import { drawScene, type SceneOptions, viewScene } from "./movingScene.ts";
import { generatedSet, type KnownAnswer, type TaskSet, taskSet } from "./taskSet.ts";

/**
 * Samples of moving textures: inputs are luminances [frames, columns], 0.5 ± 0.5 plus noise; targets are the flow in columns per frame
 * (x of all columns, then y of all columns) [frames, 2·columns], of the texture that the column sees; the first frames do not count.
 * Velocities are constant within a sample, speeds uniform between the slowest and the fastest, or logarithmically so, directions uniform.
 * Columns have the order and the axes of `HexagonalEye`. With frames of 20 ms, 0.5 columns per frame are 25 columns/s.
 */
export const motion: TaskSet = taskSet("motion", {
  summary: "tell the optic flow of every column from moving textures before a hexagonal eye",
  options: {
    extent: {
      kind: "whole",
      help: "distance of the eye's border from its centre, in columns: 5 is 91 columns, 15 is 721 (in training that of the network's eye, where it has one)",
      default: 5,
      ofNetwork: ({ eyeExtent }) => eyeExtent?.() ?? null,
      least: 0,
      most: 64,
    },
    frames: { kind: "whole", help: "frames of a sample", default: 20, least: 1, most: 4096 },
    settle: { kind: "whole", help: "first frames, which do not count", default: 6, least: 0, most: 4095 },
    slowest: { kind: "number", help: "least speed, in columns per frame", default: 0.01, least: 0, most: 10 },
    fastest: { kind: "number", help: "largest speed, in columns per frame", default: 0.5, least: 0.001, most: 10 },
    speeds: {
      kind: "choice",
      help: "uniform: speeds are; logarithmic: their logarithms are, so that slow and fast ones are equally frequent",
      default: "uniform",
      values: ["uniform", "logarithmic"],
    },
    texture: {
      kind: "choice",
      help: "noise: band-limited; natural: amplitude 1/frequency; edges; all: each equally often",
      default: "all",
      values: ["all", "noise", "natural", "edges"],
    },
    twoDepths: {
      kind: "number",
      help: "share of the samples in which a nearer texture covers a part of the other one and moves otherwise",
      default: 0.25,
      least: 0,
      most: 1,
    },
    noise: {
      kind: "number",
      help: "standard deviation of the noise on each luminance",
      default: 0.05,
      least: 0,
      most: 10,
    },
  },
  make: ({ options, parts }) => {
    const { extent, frames, settle, slowest, fastest, speeds, texture, twoDepths, noise } = options;
    if (slowest > fastest) throw new ArgumentError("motion", "slowest", `at most fastest = ${fastest}`, `${slowest}`);
    if (speeds === "logarithmic" && slowest === 0)
      throw new ArgumentError("motion", "slowest", "a speed above 0 with speeds=logarithmic", "0");
    if (settle >= frames) throw new ArgumentError("motion", "settle", `less than frames = ${frames}`, `${settle}`);
    const eye = new HexagonalEye(extent);
    const textures = texture === "all" ? (["noise", "natural", "edges"] as const) : [texture];
    const scenes = { slowest, fastest, speeds, textures, twoDepths };
    const times = Float64Array.from({ length: frames }, (_, k) => k);
    const width = 2 * eye.count;
    const sets = parts((count, key) =>
      generatedSet(
        {
          inputSize: eye.count,
          steps: frames,
          target: { kind: "numbers", width, classes: null, times: frames },
          weighted: true,
          source: `motion: moving textures before ${eye.count} hexagonal columns`,
        },
        count,
        key,
        (stream, { inputs, targets, weights }) => {
          viewScene(drawScene(scenes, stream), eye, times, { luminance: inputs, flow: targets });
          if (noise > 0) for (let i = 0; i < inputs.length; i++) inputs[i]! += noise * stream.normal();
          weights.fill(1, settle * width);
        },
      ),
    );
    return { ...sets, known: knownOf(slowest, fastest, speeds) };
  },
});

/** With uniform directions, a component has mean 0, mean square E s²/2 and mean absolute value 2/π·E s. */
function knownOf(a: number, b: number, speeds: SceneOptions["speeds"]): Record<string, KnownAnswer> {
  const reason = "directions are uniform, so the best constant prediction is 0";
  const chance = (value: number): KnownAnswer => ({ best: null, memoryless: null, chance: value, reason });
  const { mean, square } = momentsOf(a, b, speeds);
  return {
    loss: chance(square / 2),
    mse: chance(square / 2),
    mae: chance((2 / Math.PI) * mean),
    "endpoint-error": chance(mean),
    r2: chance(0),
  };
}

/** E s and E s² of speeds in [a, b]: density 1/(b − a), or 1/(s·ln(b/a)). */
function momentsOf(
  a: number,
  b: number,
  speeds: SceneOptions["speeds"],
): { readonly mean: number; readonly square: number } {
  if (speeds === "uniform" || a === b) return { mean: (a + b) / 2, square: (a * a + a * b + b * b) / 3 };
  const range = Math.log(b / a);
  return { mean: (b - a) / range, square: (b * b - a * a) / (2 * range) };
}
