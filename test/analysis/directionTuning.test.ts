// Direction tuning: moving edges, the formulas, and the probe with a motion detector whose direction is known.

import * as assert from "uvu/assert";
import { angleBetween, directionTuning, probeEdges } from "../../src/analysis/directionTuning.ts";
import { movingEdges } from "../../src/analysis/movingEdges.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { csrFromCoo } from "../../src/core/csr.ts";
import { ArgumentError, ShapeError, SolverError } from "../../src/core/errors.ts";
import { HexagonalEye } from "../../src/data/hexagon.ts";
import { nearestToCentre } from "../../src/data/neuronGroups.ts";
import { ConnectomeRNN } from "../../src/models/connectomeRnn.ts";
import { forEachBackend } from "../support/backends.ts";
import { suite } from "../support/suite.ts";
import { definePlantedDetector, NOT_SELECTIVE } from "./plantedDetector.ts";

const test = suite("direction tuning");
const DIRECTIONS = Array.from({ length: 12 }, (_, k) => 30 * k);
const cosine = (angle: number): number => Math.cos((angle * Math.PI) / 180);
/** Sums of twelve terms of size 1, relative to their sum, and a quotient. */
const TOLERANCE = 1e-15 + NOT_SELECTIVE;

/** One group, one speed. */
function tuningOf(on: (angle: number) => number, off: (angle: number) => number = () => 0) {
  const values = [...DIRECTIONS.map(on), ...DIRECTIONS.map(off)];
  return directionTuning({ directions: DIRECTIONS, speeds: [1], values })[0]!;
}

test("a cosine 1 + a·cos(θ − θ0) has DSI a/2 and direction θ0", () => {
  for (const [a, at] of [
    [1, 0],
    [0.5, 77],
    [0.25, 300],
  ] as const) {
    const { on, polarity } = tuningOf((angle) => 1 + a * cosine(angle - at));
    assert.ok(Math.abs(on.dsi - a / 2) < TOLERANCE);
    assert.ok(angleBetween(on.direction, at) < 1e-12);
    assert.is(polarity, 1);
  }
});

test("a single direction has DSI 1, equal responses 0 and no direction", () => {
  const single = tuningOf((angle) => (angle === 210 ? 3 : 0)).on;
  assert.ok(Math.abs(single.dsi - 1) < TOLERANCE);
  assert.ok(angleBetween(single.direction, 210) < 1e-12);
  const equal = tuningOf(() => 2).on;
  assert.ok(equal.dsi < NOT_SELECTIVE);
  assert.ok(Number.isNaN(equal.direction));
});

test("without any response DSI is 0, without direction or polarity", () => {
  const { on, off, polarity } = tuningOf(() => 0);
  assert.equal([on.dsi, off.dsi], [0, 0]);
  assert.equal([on.direction, polarity], [Number.NaN, Number.NaN]);
});

test("edges of both kinds share the denominator", () => {
  // Σ r is 6 for on, 2 for off, whose one direction counts 2/6.
  const { on, off, polarity } = tuningOf(
    () => 0.5,
    (angle) => (angle === 90 ? 2 : 0),
  );
  assert.ok(on.dsi < NOT_SELECTIVE);
  assert.ok(Math.abs(off.dsi - 1 / 3) < TOLERANCE);
  assert.ok(Math.abs(polarity - 0.5) < TOLERANCE);
});

test("over speeds DSI is the mean, the direction that of the sum", () => {
  const at = (angle: number, size: number) => DIRECTIONS.map((it) => (it === angle ? size : 0));
  const values = [...at(0, 1), ...at(90, 3), ...at(0, 0), ...at(0, 0)];
  const { on } = directionTuning({ directions: DIRECTIONS, speeds: [1, 2], values })[0]!;
  assert.ok(Math.abs(on.dsi - 1) < TOLERANCE);
  assert.ok(angleBetween(on.direction, (Math.atan2(3, 1) * 180) / Math.PI) < 1e-12);
  assert.ok(angleBetween(on.directionBySpeed[0]!, 0) < 1e-12 && angleBetween(on.directionBySpeed[1]!, 90) < 1e-12);
  assert.equal([on.curve[0], on.curve[3]], [0.5, 1.5]);
});

test("responses that are negative, not finite or of another number are refused", () => {
  const refused = (values: number[], kind: typeof ArgumentError | typeof ShapeError, message: string): void =>
    assert.throws(
      () => directionTuning({ directions: [0, 180], speeds: [1], values }),
      (error: unknown) => error instanceof kind && error.message.includes(message),
    );
  refused([1, 1, -1, 1], ArgumentError, "-1 at 2");
  refused([1, Number.NaN, 1, 1], ArgumentError, "NaN at 1");
  refused([1, 1, 1], ShapeError, "3 numbers");
});

test("angles between directions", () => {
  assert.equal(
    [angleBetween(350, 10), angleBetween(10, 350), angleBetween(0, 180), angleBetween(-90, 270)],
    [20, 20, 180, 0],
  );
});

test("an edge at the middle of a column covers half of it, and moves by its speed", () => {
  const eye = new HexagonalEye(2);
  // R = 2: the edge stands at −2.5 + (k + 1 − 3)/2, so at 0 in frame 7, and behind the last column, at 2.5, in frame 12.
  const { input, directions, luminances } = movingEdges(eye, { speed: 0.5, directions: [0, 90], before: 3, after: 2 });
  assert.equal([input.batch, input.steps], [4, 15]);
  assert.equal(
    [[...directions], [...luminances]],
    [
      [0, 90, 0, 90],
      [1, 1, 0, 0],
    ],
  );
  const at = (sample: number, frame: number, u: number, v: number): number =>
    input.data[(sample * 15 + frame) * eye.count + eye.indexOf(u, v)]!;
  for (const sample of [0, 1]) {
    assert.is(at(sample, 2, 0, 0), 0.5);
    assert.is(at(sample, 6, 0, 0), 0.5);
    assert.is(at(sample, 7, 0, 0), 0.75);
    assert.is(at(sample, 8, 0, 0), 1);
  }
  assert.is(at(2, 7, 0, 0), 0.25);
  assert.is(at(2, 14, 0, 0), 0);
  // A column below is at y = 1: u − 1. Two frames later for motion downwards, at the same time for motion to the right.
  assert.equal([at(1, 7, -1, 0), at(1, 9, -1, 0), at(0, 7, -1, 0)], [0.5, 0.75, 0.75]);
  // A quarter of a column further: ½ + (asin ½ + ½·√¾)/π = 0.8045 of a disc.
  const { input: fine } = movingEdges(eye, { speed: 0.25, directions: [0], before: 1, after: 0, luminances: [1] });
  const share = 0.5 + (Math.PI / 6 + 0.25 * Math.sqrt(3)) / Math.PI;
  assert.ok(Math.abs(fine.data[11 * eye.count + eye.indexOf(0, 0)]! - (0.5 + 0.5 * share)) < 2 ** -24);
});

test("opposite directions show mirrored films, to the bit of a luminance", () => {
  const eye = new HexagonalEye(2);
  const { input } = movingEdges(eye, { speed: 0.3, directions: [30, 210], before: 1, after: 1 });
  const frames = input.steps;
  for (let k = 0; k < frames; k++) {
    for (let c = 0; c < eye.count; c++) {
      const mirrored = eye.indexOf(-eye.u[c]!, -eye.v[c]!);
      const [a, b] = [input.data[k * eye.count + c]!, input.data[(frames + k) * eye.count + mirrored]!];
      // cos 30° and cos 210° differ by their own rounding; A is at most 4/π steep, its tails are square roots of it.
      assert.ok(Math.abs(a - b) < 1e-6, `${a}, ${b}`);
    }
  }
});

test("edges out of range are refused", () => {
  const eye = new HexagonalEye(1);
  const given = { speed: 1, directions: [0], before: 1, after: 0 };
  for (const [wrong, name] of [
    [{ speed: 0 }, "speed"],
    [{ directions: [] }, "directions"],
    [{ directions: [Number.NaN] }, "directions"],
    [{ luminances: [Infinity] }, "luminances"],
    [{ before: 0 }, "before"],
    [{ after: 0.5 }, "after"],
  ] as const) {
    assert.throws(
      () => movingEdges(eye, { ...given, ...wrong }),
      (error: unknown) => error instanceof ArgumentError && error.message.includes(`(${name})`),
    );
  }
});

test("edges too slow for the memory, and activity without bounds, are refused", async () => {
  const eye = new HexagonalEye(1);
  using model = new ConnectomeRNN(await createWasmBackend({ threads: 1 }), {
    inputSize: 7,
    numNeurons: 7,
    connectome: csrFromCoo({ nRows: 7, nCols: 7, rows: [0], cols: [0], values: Float64Array.of(1e30) }, "explosive"),
    neuronNonlinearity: "ReLU",
  });
  const groups = [{ name: "all", neurons: Uint32Array.from(eye.u.keys()) }];
  const probe = (speeds: number[], neurons = groups) =>
    probeEdges(model, { places: eye, groups: neurons, evaluation: () => ({}), speeds, directions: [0] });
  const refused = (run: () => Promise<unknown>, kind: typeof ArgumentError | typeof SolverError, message: RegExp) =>
    run().then(
      () => assert.unreachable(),
      (error: unknown) => assert.ok(error instanceof kind && message.test(error.message), String(error)),
    );
  await refused(() => probe([2.4, 1e-6]), ArgumentError, /0\.000001 columns\/s, which takes .*GiB \(speeds\)/);
  await refused(() => probe([2.4]), SolverError, /neuron 0 is not finite \(on edge at 0°, 2.4 columns\/s\)/);
  const others = [{ name: "others", neurons: Uint32Array.of(1, 2) }];
  assert.ok(Array.from((await probe([2.4], others)).values).every((r) => r >= 0));
});

test("the central cells of a type are all those nearest to the middle; without places all cells", () => {
  const x = [0.5, 0.4, 0.6, 0.9, Number.NaN];
  const groups = [
    { name: "one", neurons: Uint32Array.of(0, 3) },
    { name: "two", neurons: Uint32Array.of(1, 2, 3) },
    { name: "none", neurons: Uint32Array.of(4) },
  ];
  const found = nearestToCentre(groups, { x, y: [0.5, 0.5, 0.5, 0.5, Number.NaN] });
  assert.equal(
    found.map(({ name, neurons }) => [name, ...neurons]),
    [
      ["one", 0],
      ["two", 1, 2],
      ["none", 4],
    ],
  );
  assert.equal(nearestToCentre(groups, { x: null, y: null }), groups);
});

test.run();

forEachBackend("planted detector", ["f32", "f64"], definePlantedDetector);
