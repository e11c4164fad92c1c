// Work of the solver over training: attempted and rejected steps per sample.

import { scaleLinear } from "d3-scale";
import { area, line } from "d3-shape";
import { formatNumber } from "../../core/format.ts";
import type { SolverMetrics, StepMetrics } from "../../train/trainer.ts";
import {
  AXIS_BOTTOM,
  AXIS_LEFT,
  AXIS_TOP,
  bottomAxis,
  leftAxis,
  legend,
  lineMark,
  patchMark,
  wholeTicks,
} from "../axes.ts";
import type { Drawing, Figure } from "../figure.ts";
import { type Point, thinned } from "../series.ts";
import { at, element } from "../svg.ts";

const PANEL_HEIGHT = 190;
const RIGHT = 16;
const TABLE_ROWS = 50;

type Solved = StepMetrics & { readonly solver: SolverMetrics };

/** @param batchSizeOf  how many samples a step had */
export function solverStepsFigure(steps: readonly StepMetrics[], batchSizeOf: (step: number) => number): Figure | null {
  const solved = steps.filter((m): m is Solved => m.solver !== null);
  if (solved.length === 0) return null;
  const rejected = (m: Solved) => m.solver.rejected / batchSizeOf(m.step);
  const stride = Math.ceil(solved.length / TABLE_ROWS);
  return {
    id: "solver-steps",
    title: "Solver steps",
    caption: `Steps that the ODE solver attempted per sample: mean and range within each batch; and how many of them its error control rejected.`,
    span: "third",
    draw: (width) => draw(solved, rejected, width),
    table: {
      columns: ["step", "attempted, mean", "least", "most", "rejected per sample", "RHS evaluations"],
      rows: solved
        .filter((_, k) => k % stride === 0)
        .map((m) => [
          m.step,
          formatNumber(m.solver.steps.mean),
          m.solver.steps.min,
          m.solver.steps.max,
          formatNumber(rejected(m)),
          m.solver.rhsEvaluations,
        ]),
    },
  };
}

function draw(solved: readonly Solved[], rejected: (m: Solved) => number, fullWidth: number): Drawing {
  const width = fullWidth - AXIS_LEFT - RIGHT;
  const series = (value: (m: Solved) => number) =>
    thinned(
      solved.map((m) => ({ x: m.step, y: value(m) })),
      width,
    );
  const least = series((m) => m.solver.steps.min);
  const most = series((m) => m.solver.steps.max);
  const x = scaleLinear([0, Math.max(1, solved.at(-1)!.step)], [0, width]);
  const y = scaleLinear([0, Math.max(...most.map((p) => p.y)) * 1.1], [PANEL_HEIGHT, 0]).nice(4);
  const path = line<Point>(
    (p) => x(p.x),
    (p) => y(p.y),
  ).digits(1);
  const band = area<readonly [Point, Point]>(
    (p) => x(p[0].x),
    (p) => y(p[0].y),
    (p) => y(p[1].y),
  ).digits(1);
  const body = [
    leftAxis(y, width, { label: "per sample", ticks: y.ticks(4) }),
    bottomAxis(x, width, PANEL_HEIGHT, { label: "training step", ticks: wholeTicks(x, Math.max(3, width / 80)) }),
    element("path", { class: "fill blue tint", d: band(least.map((p, k) => [p, most[k]!] as const)) ?? "" }),
    element("path", { class: "line blue", d: path(series((m) => m.solver.steps.mean)) ?? "" }),
    element("path", { class: "line orange", d: path(series(rejected)) ?? "" }),
    legend(width, -14, [
      [lineMark("blue"), "attempted"],
      [patchMark("blue tint"), "range"],
      [lineMark("orange"), "rejected"],
    ]),
  ];
  return { height: AXIS_TOP + PANEL_HEIGHT + AXIS_BOTTOM, body: at(AXIS_LEFT, AXIS_TOP, ...body) };
}
