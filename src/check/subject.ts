// What can be cross-checked: a computation that every witness (a backend) carries out on the same point with the same steps.

import type { Backend } from "../backend/backend.ts";
import type { Tableau } from "../ode/tableau.ts";
import type { Point } from "./point.ts";

/** [sample][accepted step]. */
export type StepSizes = readonly (readonly number[])[];

export interface Evaluation {
  /** States at the evaluation times. */
  readonly trajectory: Float64Array;
  readonly loss: number;
  /** Whatever else the subject computes, by name: outputs, penalties, metrics. Given along with gradients; absent: nothing. */
  readonly measures?: Point;
  /** By name of the point's arrays, for those with a gradient; empty unless asked for. */
  readonly gradients: Point;
  /** The steps taken; null where the device does not report them. */
  readonly steps: StepSizes | null;
}

/** How often numbers are rounded on their way through one evaluation: what bounds of rounding errors are counted from. */
export interface Roundings {
  /** In one evaluation of the right-hand side or its reverse, along the longest path: the longest sum and the pointwise chain. */
  readonly perEvaluation: number;
  /** The method: its stages round the state, its interpolant what is read between steps. null: steps in discrete time. */
  readonly tableau: Tableau | null;
  /** Samples whose gradients are added. */
  readonly samples: number;
  /** Longest sum of a penalty or metric; default: there are none. */
  readonly terms?: number;
}

/** A subject made ready on a backend, with steps to replay, or (null) its own step-size control. */
export interface OpenSubject {
  evaluate(point: Point, want: { readonly gradients: boolean }): Promise<Evaluation>;
  dispose(): void;
}

export interface Subject {
  readonly name: string;
  /** For people: sizes. */
  readonly description: string;
  /** Where it is checked. */
  readonly point: Point;
  readonly roundings: Roundings;
  open(backend: Backend, steps: StepSizes | null): OpenSubject;
}

/** Arrays of a point with a meaning of their own. */
export const INITIAL_STATE = "initial state";
export const END_TIME = "end time";
export const INPUT = "input";
