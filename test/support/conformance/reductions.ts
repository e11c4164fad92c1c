// Conformance cases of reductions over rows and over lanes.

import { ProgramBuilder } from "../programBuilder.ts";
import type { ConformanceCase, Input, Tolerance } from "./case.ts";
import { countLanes, cycle, EXACT, normal } from "./case.ts";

const HOW = ["sum", "max", "min"] as const;
/** One row; an odd number below a tile; many tiles, the last one in part. */
const EXTENTS = [1, 37, 5003] as const;

export function reductionCases(lanes: readonly number[]): readonly ConformanceCase[] {
  return [
    ...lanes.flatMap((n) => [
      ...EXTENTS.map((rows) => overRows(rows, n)),
      ...EXTENTS.map((rows) => overLanes(rows, n)),
    ]),
    ...lanes.map(samplesToScalar),
    ...EXTENTS.map(plainNorm),
    ...lanes.map(notFiniteRows),
  ];
}

function overRows(rows: number, lanes: number): ConformanceCase {
  const b = new ProgramBuilder("reduceRows");
  const x = b.input("x", "state", { rows });
  const fresh = HOW.map((how) => b.output(how, "sample"));
  const onto = HOW.map((how) => b.inout(`${how} onto`, "sample"));
  const copy = b.output("copy", "state", { rows });
  b.phase(rows, (p) => {
    const value = p.load(x);
    HOW.forEach((how, k) => {
      p.push({ op: "reduceRows", binding: fresh[k]!, value, how, accumulate: false });
      p.push({ op: "reduceRows", binding: onto[k]!, value, how, accumulate: true });
    });
    p.store(copy, value);
  });
  const bound = (how: (typeof HOW)[number]): Tolerance => (how === "sum" ? { kind: "sum", terms: rows } : EXACT);
  const outputs: Record<string, Tolerance> = { copy: EXACT };
  const inputs: Record<string, Input> = { x: normal };
  for (const how of HOW) {
    outputs[how] = bound(how);
    outputs[`${how} onto`] = bound(how);
    inputs[`${how} onto`] = normal;
  }
  return {
    name: `reduceRows takes sum, maximum and minimum of ${rows} rows per lane, alone or onto what is there (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs,
    outputs,
  };
}

/** Rows × 16 numbers, over and over, so that a lane finds the same ones in a panel of any width. */
const SPOILT = Array.from({ length: 37 * 16 }, (_, at) => {
  if (at === 5 * 16 + 2 || at === 20 * 16 + 7) return Number.NaN;
  return at === 8 * 16 + 1 ? Number.POSITIVE_INFINITY : (at % 11) - 5;
});

/** What became of NaN and Infinity among the rows is seen through isFinite, as no comparison lets them pass. */
function notFiniteRows(lanes: number): ConformanceCase {
  const rows = 300;
  const b = new ProgramBuilder("reduceRows of NaN");
  const x = b.input("x", "state", { rows });
  const v = b.input("v", "row", { rows });
  const perLane = HOW.map((how) => b.output(`${how} per lane`, "sample"));
  const ofVector = HOW.map((how) => b.output(`${how} of the vector`, "scalar"));
  const finite = HOW.map((how) => b.output(`${how} per lane is finite`, "sample"));
  const finiteVector = HOW.map((how) => b.output(`${how} of the vector is finite`, "scalar"));
  b.phase(rows, (p) => {
    const value = p.load(x);
    HOW.forEach((how, k) => {
      p.push({ op: "reduceRows", binding: perLane[k]!, value, how, accumulate: false });
    });
  }).plainPhase(rows, (p) => {
    const value = p.load(v);
    HOW.forEach((how, k) => {
      p.push({ op: "reduceRows", binding: ofVector[k]!, value, how, accumulate: false });
    });
  });
  b.phase(1, (p) => {
    HOW.forEach((_, k) => {
      p.store(finite[k]!, p.op("isFinite", p.load(perLane[k]!)));
    });
  }).plainPhase(1, (p) => {
    HOW.forEach((_, k) => {
      p.store(finiteVector[k]!, p.op("isFinite", p.load(ofVector[k]!)));
    });
  });
  const compared = HOW.flatMap((how) => [`${how} per lane is finite`, `${how} of the vector is finite`]);
  return {
    name: `NaN in a row reaches the sum, maximum and minimum of its lane, and no other (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { x: cycle(SPOILT), v: cycle(SPOILT) },
    outputs: Object.fromEntries(compared.map((name) => [name, EXACT])),
  };
}

function overLanes(rows: number, lanes: number): ConformanceCase {
  const b = new ProgramBuilder("reduceLanes");
  const x = b.input("x", "state", { rows });
  const weight = b.input("weight", "sample");
  const fresh = b.output("fresh", "row", { rows });
  const onto = b.inout("onto", "row", { rows });
  b.phase(rows, (p) => {
    const value = p.op("mul", p.load(x), p.load(weight));
    p.push({ op: "reduceLanes", binding: fresh, value, accumulate: false });
    p.push({ op: "reduceLanes", binding: onto, value, accumulate: true });
  });
  return {
    name: `reduceLanes sums the lanes of ${rows} rows, alone or onto what is there (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { x: normal, weight: normal, onto: normal },
    // Lanes of the padding count; 48 is the most that 40 lanes are padded to.
    outputs: { fresh: { kind: "sum", terms: 49 }, onto: { kind: "sum", terms: 50 } },
  };
}

function samplesToScalar(lanes: number): ConformanceCase {
  const b = new ProgramBuilder("reduceLanes of samples");
  const loss = b.input("loss", "sample");
  const fresh = b.output("fresh", "scalar");
  const onto = b.inout("onto", "scalar");
  b.phase(1, (p) => {
    const value = p.load(loss);
    p.push({ op: "reduceLanes", binding: fresh, value, accumulate: false });
    p.push({ op: "reduceLanes", binding: onto, value, accumulate: true });
  });
  return {
    name: `reduceLanes sums samples to a scalar (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { loss: normal, onto: normal },
    outputs: { fresh: { kind: "sum", terms: 48 }, onto: { kind: "sum", terms: 49 } },
  };
}

function plainNorm(rows: number): ConformanceCase {
  const b = new ProgramBuilder("norm of a gradient");
  const g = b.input("g", "row", { rows });
  const stored = b.input("stored", "nnz", { rows });
  const squares = b.inout("squares", "scalar");
  const largest = b.output("largest", "scalar");
  b.plainPhase(rows, (p) => {
    const value = p.load(g);
    p.push({ op: "reduceRows", binding: squares, value: p.op("mul", value, value), how: "sum", accumulate: true });
    p.push({ op: "reduceRows", binding: largest, value: p.op("abs", p.load(stored)), how: "max", accumulate: false });
  });
  return {
    name: `reduceRows of ${rows} plain rows gives a scalar`,
    lanes: 1,
    program: b.build(),
    inputs: { g: normal, stored: normal, squares: normal },
    outputs: { squares: { kind: "sum", terms: rows + 1 }, largest: EXACT },
  };
}
