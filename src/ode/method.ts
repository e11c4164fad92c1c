// The pieces of a one-step method as graphs: the initial step size, one attempt of a step, and dense output. Every quantity of
// the step-size control is per sample and part of the graph, so back-propagation through the control needs no special case.
//
// Names with the prefix `ode.` are the solver's own leaves; everything else belongs to the user's right-hand side.
//
// Times are device times, counted from an origin per sample (timeline.ts); only the right-hand side gets absolute ones.

import { Graph } from "../autodiff/graph.ts";
import { ArgumentError } from "../core/errors.ts";
import type { Value } from "../ops/value.ts";
import type { Operand, Ops } from "../ops/vocabulary.ts";
import { controlNumbers, STATUS, type StartValues, startOf } from "./control.ts";
import { Segments, type TimeAxis } from "./segments.ts";
import { exponentialStep, type Tableau, weightedSum } from "./tableau.ts";

/** More about the time of an evaluation than its `t`, per sample. */
export interface EvaluationTime {
  /** t − tStart, as precise as the device computes, however far from 0 the interval lies. */
  readonly elapsed: Value;
  /**
   * How many of the jump times inside the interval lie behind; 0 without jump times. All stages of a step see the same number, also
   * the last stage of a step that ends at a jump time.
   */
  readonly jumpsPassed: Value;
}

/**
 * dy/dt = rhs(t, y) for a state of `rows` numbers per sample. `t` is per sample. Inputs and parameters are leaves of `g`. A right-hand
 * side of another kind (row, sample, scalar) is broadcast.
 *
 * Single precision hardly distinguishes times far from 0. A right-hand side that depends on `t` is refused there; one that depends on
 * `time.elapsed` or on no time is solved as if its interval started at 0.
 */
export interface OdeSystem {
  readonly rows: number;
  readonly rhs: (g: Graph, t: Value, y: Value, time: EvaluationTime) => Value;
  /** λ > 0 where rhs = λ·(target(t, y) − y), one per row (or one for all): what exponential methods follow exactly. */
  readonly leak?: (g: Graph) => Value;
}

/**
 * What adaptive controllers share. A trial step whose stages, error or result are not finite is rejected, and the next one is
 * factorMin times as long.
 */
export interface AdaptiveController {
  readonly atol: number;
  readonly rtol: number;
  readonly safety: number;
  readonly factorMin: number;
  readonly factorMax: number;
  /** Norm of the scaled error over the neurons: root mean square (default) or maximum. */
  readonly norm?: "rms" | "max";
  /** Smallest |dt|; a sample that asks for less fails with status `dtMin`. Steps that are cut at a jump time or at the end may be shorter. */
  readonly dtMin?: number;
  readonly dtMax?: number;
}

/** dt ← dt·clamp(safety·r^(−1/order), factorMin, factorMax), r the scaled error norm. */
export interface IntegralController extends AdaptiveController {
  readonly type: "integral";
}

/**
 * dt ← dt·clamp(safety·r^−(kI+kP+kD)·r₁^(kP+2kD)·r₂^(−kD), factorMin, factorMax) with k = coefficient/order; r₁, r₂ are the ratios of the
 * last two accepted steps, 1 at the start and after a jump time. A rejected step is retried shorter: where the factor would be 1 or more,
 * it is `safety`. Source: Söderlind, ACM TOMS 29 (2003) 1–26; constants and updates as in torchode.
 */
export interface PidController extends AdaptiveController {
  readonly type: "pid";
  readonly pCoeff: number;
  readonly iCoeff: number;
  readonly dCoeff: number;
}

/** Every step accepted, the step size stays `dt0`. */
export interface FixedController {
  readonly type: "fixed";
}

/**
 * The steps that another run accepted (its `stats.steps`), one after another; the last one is cut at the end of the interval, or
 * carried on to it. For comparing devices and precisions: no decision is left in which they could differ.
 */
export interface ReplayController {
  readonly type: "replay";
  /** [sample][accepted step]: signed step sizes of the batch. */
  readonly steps: readonly (readonly number[])[];
}

/** What decides on the sizes of steps. */
export type Controller = IntegralController | PidController | FixedController | ReplayController;

/** How an equation is solved. */
export interface Method {
  readonly tableau: Tableau;
  readonly controller: Controller;
  /** Attempts per sample before it fails with status `maxSteps`. */
  readonly maxSteps: number;
}

/** Scaled error norms below this count as this: keeps r^(−1/order) finite. The smallest normal number of f32: devices may flush less. */
const SMALLEST_RATIO = 2 ** -126;
/** Fallback of the initial-step heuristic (Hairer, Nørsett, Wanner, II.4). */
const TINY_STEP = 1e-6;

/** Leaves and results of one attempt. */
export interface AttemptGraph {
  readonly graph: Graph;
  /** What the next attempt starts from. */
  readonly next: StartValues;
  readonly stages: StageValues;
  readonly errorRatio: Value | null;
  readonly accept: Value;
  /** 1 for samples whose trial step was void, or that had stopped; null unless they are to be tracked. */
  readonly isVoid: Value | null;
}

export interface StageValues {
  readonly y: Value;
  readonly t: Value;
  readonly dt: Value;
  readonly k: readonly Value[];
  readonly y1: Value;
}

/** Which kind of attempt (or start) a graph is. */
export interface GraphOptions {
  /** Most segments between jump times of a sample; 0: there are no jump times. */
  readonly segments?: number;
  /**
   * true: void trial steps, whose stages, error or result are not finite, are counted (`voids`), and the leaf `ode.void` says for which
   * samples the trial is known to be void, or of no interest. Their stages are then those of a step of length 0: numbers, so that a
   * cotangent of zero stays zero in the reverse. The result of the attempt is the same.
   */
  readonly tracksVoids?: boolean;
}

/** The right-hand side as a function of device time. */
function slopeIn(g: Graph, system: OdeSystem, segments: Segments | null): (t: Value, y: Value) => Value {
  const { ops } = g;
  const within = (which: TimeAxis, t: Value) => (segments ? segments.within(which, t) : t);
  return (t, y) =>
    slopeOf(g, system, within("t", ops.add(g.sample("ode.origin"), t)), y, {
      elapsed: within("elapsed", ops.sub(t, g.sample("ode.tStart"))),
      jumpsPassed: g.sample("ode.segment"),
    });
}

/** y₁ and the stages k₁ … k_s of a step of size dt from (t, y). */
function stagesOf(
  g: Graph,
  system: OdeSystem,
  tableau: Tableau,
  dt: Value,
  slope: (t: Value, y: Value) => Value,
): StageValues {
  const { ops } = g;
  const y = g.state("ode.y", system.rows);
  const t = g.sample("ode.t");
  const k: Value[] = [tableau.fsal ? g.state("ode.k1", system.rows) : slope(t, y)];
  let argument = y;
  tableau.a.forEach((row, i) => {
    argument = advance(ops, y, dt, weightedSum(ops, row, k));
    k.push(slope(ops.add(t, ops.mul(tableau.c[i + 1]!, dt)), argument));
  });
  if (tableau.exponential) return { y, t, dt, k, y1: exponentialStep(ops, y, k[0]!, leakOf(g, system, tableau), dt) };
  const y1 = tableau.ssal ? argument : advance(ops, y, dt, weightedSum(ops, tableau.b, k));
  return { y, t, dt, k, y1 };
}

/** The right-hand side as a state: what it returns for all rows or samples alike is the same in each. */
function slopeOf(g: Graph, { rows, rhs }: OdeSystem, t: Value, y: Value, time: EvaluationTime): Value {
  return g.ops.broadcast(rhs(g, t, y, time), { kind: "state", rows });
}

/** The right-hand side of the leaves `ode.t`, `ode.y`, `ode.elapsed` and `ode.segment`, for graphs that evaluate nothing else. */
export function slopeOfLeaves(g: Graph, system: OdeSystem): Value {
  return slopeOf(g, system, g.sample("ode.t"), g.state("ode.y", system.rows), {
    elapsed: g.sample("ode.elapsed"),
    jumpsPassed: g.sample("ode.segment"),
  });
}

function advance(ops: Ops, y: Value, dt: Value, slope: Value | null): Value {
  return slope === null ? y : ops.add(y, ops.mul(dt, slope));
}

function leakOf(g: Graph, { leak }: OdeSystem, { name }: Tableau): Value {
  if (leak) return leak(g);
  throw new ArgumentError("method", "tableau", "a system with a leak, or a method that needs none", name);
}

/**
 * One attempt of a step for every sample: stages, solution, error, acceptance, the next step size, and the state that the next
 * attempt starts from. A sample that no longer runs keeps its state.
 */
export function attemptGraph(system: OdeSystem, method: Method, options: GraphOptions = {}): AttemptGraph {
  const { tableau } = method;
  const g = new Graph();
  const { ops } = g;
  const segments = segmentsIn(g, options);
  const dt = g.sample("ode.dt");
  const running = g.sample("ode.running");
  const known = options.tracksVoids ? g.sample("ode.void") : null;
  const trial = known ? ops.select(known, 0, dt) : dt;
  const stages = stagesOf(g, system, tableau, trial, slopeIn(g, system, segments));
  const { y, t, k, y1 } = stages;
  const nSteps = ops.add(g.sample("ode.nSteps"), running);
  const control = controlStep(g, system, method, { stages, dt, nSteps, known, segments });
  const update = ops.mul(control.accept, running);
  const t1 = ops.select(update, segments ? segments.end(t, dt) : ops.add(t, dt), t);
  const dir = g.sample("ode.dir");
  const unfinished = ops.lt(ops.sub(ops.mul(dir, t1), ops.mul(dir, g.sample("ode.tEnd"))), 0);
  const exhausted = ops.mul(unfinished, ops.le(method.maxSteps, nSteps));
  // A shorter trial step must still move the sample.
  const still = ops.mul(ops.sub(1, control.accept), ops.eq(ops.add(t1, control.dtNext), t1));
  const stuck = ops.mul(unfinished, ops.max(control.tooSmall, still));
  const limit = ops.select(exhausted, STATUS.maxSteps, ops.select(stuck, STATUS.dtMin, STATUS.ok));
  const isLast = ops.max(control.hopeless, ops.mul(ops.sub(1, control.finite), ops.max(exhausted, stuck)));
  const failure = ops.select(isLast, STATUS.nonFinite, limit);
  const status = ops.select(running, failure, g.sample("ode.status"));
  const runs = ops.mul(running, ops.mul(unfinished, ops.eq(status, STATUS.ok)));
  const asked = ops.select(runs, control.dtNext, dt);
  const counts = ops.mul(running, control.finite);
  return {
    graph: g,
    stages,
    errorRatio: control.ratio,
    accept: control.accept,
    isVoid: known && ops.sub(1, counts),
    next: {
      y: ops.select(update, y1, y),
      k1: tableau.fsal ? ops.select(update, k[k.length - 1]!, k[0]!) : null,
      t: t1,
      ...(segments ? segments.next(asked, t1, { t, dt, update, unfinished }) : { dt: clampToInterval(g, asked, t1) }),
      ...control.memory(ops.mul(update, runs)),
      running: runs,
      nSteps,
      nAccepted: ops.add(g.sample("ode.nAccepted"), update),
      status,
      ...(known ? { voids: ops.add(g.sample("ode.voids"), ops.sub(running, counts)) } : {}),
    },
  };
}

/** Whether the right-hand side asks for absolute time. */
export function dependsOnTime(system: OdeSystem): boolean {
  const g = new Graph();
  const reached = new Set([slopeOfLeaves(g, system)]);
  for (const v of reached) for (const arg of v.args) reached.add(arg);
  return reached.has(g.sample("ode.t"));
}

function segmentsIn(g: Graph, { segments = 0 }: GraphOptions): Segments | null {
  return segments > 0 ? new Segments(g, segments) : null;
}

/** Limits a step to the interval of integration: dt ∈ [tMin − t, tMax − t]; outside, the gradient goes to the bound. */
function clampToInterval(g: Graph, dt: Value, t: Value): Value {
  const { ops } = g;
  const low = ops.sub(g.sample("ode.tMin"), t);
  const high = ops.sub(g.sample("ode.tMax"), t);
  return ops.select(ops.lt(dt, low), low, ops.select(ops.lt(high, dt), high, dt));
}

interface ControlledStep {
  readonly accept: Value;
  readonly finite: Value;
  /** No other step size can help. */
  readonly hopeless: Value;
  readonly tooSmall: Value;
  /** Step size that is asked for next, before it is cut at the end of the interval or at a jump time. */
  readonly dtNext: Value;
  readonly ratio: Value | null;
  /** What the controller remembers of the step for the next one, given whether it counts. */
  readonly memory: (counts: Value) => { ratio1?: Value; ratio2?: Value };
}

/** What the control of an attempt depends on besides the method. */
interface Trial {
  readonly stages: StageValues;
  /** The step size; that of the stages is 0 for samples whose trial is known to be void. */
  readonly dt: Value;
  readonly nSteps: Value;
  /** Samples whose trial is known to be void, where that is tracked. */
  readonly known: Value | null;
  readonly segments: Segments | null;
}

function controlStep(g: Graph, system: OdeSystem, method: Method, trial: Trial): ControlledStep {
  const { ops } = g;
  const { tableau, controller } = method;
  const { stages, dt, nSteps, known, segments } = trial;
  const { y, y1, k } = stages;
  const slope = tableau.bErr && weightedSum(ops, tableau.bErr, k);
  const isNumber = (v: Value) => (known ? ops.select(known, 0, ops.isFinite(v)) : ops.isFinite(v));
  if (controller.type === "fixed" || controller.type === "replay" || !slope) {
    const finite = isNumber(ops.reduceRows(ops.abs(y1), "max"));
    const same = segments ? segments.asked : dt;
    const dtNext = controller.type === "replay" ? replayedStep(g, controller, nSteps) : same;
    const hopeless = ops.sub(1, finite);
    return { accept: finite, finite, hopeless, tooSmall: ops.constant(0), dtNext, ratio: null, memory: () => ({}) };
  }
  const { atol, rtol, safety, factorMin, factorMax } = controller;
  const scale = ops.add(atol, ops.mul(rtol, ops.max(ops.abs(y), ops.abs(y1))));
  const scaled = ops.div(ops.mul(stages.dt, slope), scale);
  // An infinite result would divide its error to 0.
  const norm = normOf(ops, controller, ops.select(ops.isFinite(y1), scaled, Number.NaN), system.rows);
  const finite = isNumber(norm);
  const ratio = ops.select(ops.lt(norm, SMALLEST_RATIO), SMALLEST_RATIO, norm);
  const accept = ops.mul(finite, ops.lt(ratio, 1));
  const order = tableau.order;
  let factor: Value;
  let memory: ControlledStep["memory"] = () => ({});
  if (controller.type === "integral") factor = ops.mul(safety, ops.pow(ratio, -1 / order));
  else {
    const [kP, kI, kD] = [controller.pCoeff / order, controller.iCoeff / order, controller.dCoeff / order];
    const ratio1 = g.sample("ode.ratio1");
    const ratio2 = g.sample("ode.ratio2");
    const now = ops.mul(safety, ops.pow(ratio, -(kI + kP + kD)));
    const remembered = ops.mul(ops.mul(now, ops.pow(ratio1, kP + 2 * kD)), ops.pow(ratio2, -kD));
    // What it remembers may outweigh the error of a rejected step, which would then be repeated for ever.
    factor = ops.select(ops.max(accept, ops.lt(remembered, 1)), remembered, safety);
    // Ratios from before a jump say nothing about what comes after it.
    const fresh = (ratio: Value) => (segments ? ops.select(segments.reaches(stages.t, dt), 1, ratio) : ratio);
    memory = (counts) => ({
      ratio1: ops.select(counts, fresh(ratio), ratio1),
      ratio2: ops.select(counts, fresh(ratio1), ratio2),
    });
  }
  const controlled = ops.mul(dt, ops.select(finite, clamp(ops, factor, factorMin, factorMax), factorMin));
  const proposed = segments ? segments.resume(controlled, stages.t, dt, accept) : controlled;
  const { dtMin, dtMax } = controller;
  const tooSmall = dtMin === undefined ? ops.constant(0) : ops.lt(ops.abs(proposed), dtMin);
  return {
    accept,
    finite,
    hopeless: ops.constant(0),
    tooSmall,
    dtNext: limitSize(g, proposed, dtMin, dtMax),
    ratio,
    memory,
  };
}

/** Steps that the replay controller's table holds per sample: one more than any sample takes, should rounding ask for it. */
export function replayDepth({ steps }: ReplayController): number {
  return 1 + Math.max(...steps.map((ofSample) => ofSample.length));
}

/** Step number `n` of each sample, from the table `ode.steps`. */
function replayedStep(g: Graph, controller: ReplayController, n: Value): Value {
  const { ops } = g;
  const depth = replayDepth(controller);
  return ops.reduceRows(ops.lookup(g.table("ode.steps", 1, depth), ops.min(n, depth - 1)));
}

/** |dt| limited to [dtMin, dtMax], the sign kept. */
function limitSize(g: Graph, dt: Value, dtMin: number | undefined, dtMax: number | undefined): Value {
  if (dtMin === undefined && dtMax === undefined) return dt;
  const { ops } = g;
  return ops.mul(g.sample("ode.dir"), clamp(ops, ops.abs(dt), dtMin ?? 0, dtMax ?? Number.MAX_VALUE));
}

/** Norm over the rows: sqrt(Σ v²/n), derivative 0 at the zero vector; or max |v|, whose derivative ties share equally. */
function normOf(ops: Ops, controller: { readonly norm?: "rms" | "max" }, v: Value, n: number): Value {
  if (controller.norm !== "max") return ops.sqrt(ops.div(ops.reduceRows(ops.mul(v, v)), n));
  const size = ops.abs(v);
  const largest = ops.eq(size, ops.reduceRows(size, "max"));
  // Σ over the largest ones / their number is the maximum, written so that its derivative is shared.
  const total = ops.reduceRows(ops.select(largest, size, 0));
  const count = ops.reduceRows(largest);
  return ops.div(total, count);
}

/** x limited to [low, high]; derivative 1 inside and at the bounds, else 0. NaN stays NaN. */
function clamp(ops: Ops, x: Value, low: number, high: number): Value {
  return ops.select(ops.lt(x, low), low, ops.select(ops.lt(high, x), high, x));
}

/** The start of a solve. */
export interface StartGraph {
  readonly graph: Graph;
  /** What the first attempt starts from. `running` is 0 for samples that cannot even start: their state or slope is not finite. */
  readonly next: StartValues;
  /** See AttemptGraph. */
  readonly isVoid: Value | null;
}

/**
 * The first slope f(t₀, y₀) and the first step size.
 *
 * Without `dt0` the heuristic of Hairer, Nørsett, Wanner (Solving ODEs I, II.4, "starting step size"): an Euler step of trial
 * size h₀ = 0.01·‖y₀‖/‖f₀‖ estimates the second derivative. Samples at a point of rest take h₀ = 1e-6; the unused quotient is kept
 * finite, so its gradient is 0 and not NaN. Where the slope after the trial step is not finite, h₀ itself is the first step.
 */
export function initGraph(
  system: OdeSystem,
  { tableau, controller }: Method,
  dt0Given: boolean,
  options: GraphOptions = {},
): StartGraph {
  const g = new Graph();
  const { ops } = g;
  const segments = segmentsIn(g, options);
  const slope = slopeIn(g, system, segments);
  const t0 = g.sample("ode.t");
  const y0 = g.state("ode.y", system.rows);
  const known = options.tracksVoids ? g.sample("ode.void") : null;
  const start = (slope: Value | null, asked: Value, checked: Value, isVoid: Value | null): StartGraph => {
    const dt = segments ? segments.cut(asked, segments.first, t0) : clampToInterval(g, asked, t0);
    const running = ops.isFinite(ops.reduceRows(checked, "max"));
    const status = ops.select(running, STATUS.ok, STATUS.nonFinite);
    const computed = { dt, running, status, ...(segments ? { asked } : {}), ...(isVoid ? { voids: isVoid } : {}) };
    const numbers = controlNumbers(segments !== null, known !== null);
    return { graph: g, isVoid, next: { y: y0, k1: tableau.fsal ? slope : null, ...startOf(g, numbers, computed) } };
  };
  if (dt0Given || controller.type === "fixed" || controller.type === "replay") {
    const first =
      controller.type === "replay" ? replayedStep(g, controller, g.sample("ode.nSteps")) : g.sample("ode.dt0");
    const k1 = tableau.fsal ? slope(t0, y0) : null;
    return start(k1, first, k1 ? ops.max(ops.abs(y0), ops.abs(k1)) : ops.abs(y0), known && ops.constant(0));
  }
  const { atol, rtol } = controller;
  const dir = g.sample("ode.dir");
  const length = ops.abs(ops.sub(segments ? segments.first : g.sample("ode.tEnd"), t0));
  const scale = ops.add(atol, ops.mul(rtol, ops.abs(y0)));
  const norm = (v: Value) => normOf(ops, controller, ops.div(v, scale), system.rows);
  const f0 = slope(t0, y0);
  const d0 = norm(y0);
  const d1 = norm(f0);
  const overflows = ops.sub(1, ops.mul(ops.isFinite(d0), ops.isFinite(d1)));
  const atRest = ops.max(overflows, ops.max(ops.lt(d0, 1e-5), ops.lt(d1, 1e-5)));
  const trial = ops.select(atRest, TINY_STEP, ops.div(ops.mul(0.01, d0), ops.select(atRest, 1, d1)));
  const h0 = ops.min(trial, length);
  const signed = ops.mul(dir, known ? ops.select(known, 0, h0) : h0);
  const f1 = slope(ops.add(t0, signed), ops.add(y0, ops.mul(signed, f0)));
  const d2 = ops.div(norm(ops.sub(f1, f0)), h0);
  const outside = known ? ops.select(known, 1, ops.sub(1, ops.isFinite(d2))) : ops.sub(1, ops.isFinite(d2));
  const steepest = ops.max(d1, d2);
  const flat = ops.max(outside, ops.le(steepest, 1e-15));
  const h1 = ops.select(
    flat,
    ops.max(TINY_STEP, ops.mul(1e-3, h0)),
    ops.pow(ops.div(0.01, ops.select(flat, 1, steepest)), 1 / tableau.order),
  );
  const dt = ops.mul(dir, ops.select(outside, h0, ops.min(ops.mul(100, h0), h1)));
  return start(f0, dt, ops.max(ops.abs(y0), ops.abs(f0)), known && outside);
}

/** Dense output of one attempt as a graph of its own. The stages are leaves here: `stage.k2` …, `stage.y1`. */
export function denseGraph(
  system: OdeSystem,
  tableau: Tableau,
): DenseOutput & { readonly graph: Graph; readonly stages: StageValues } {
  const g = new Graph();
  const n = system.rows;
  const stages: StageValues = {
    y: g.state("ode.y", n),
    t: g.sample("ode.t"),
    dt: g.sample("ode.dt"),
    k: tableau.b.map((_, i) => (i === 0 && tableau.fsal ? g.state("ode.k1", n) : g.state(stageName(i), n))),
    y1: g.state("stage.y1", n),
  };
  return { graph: g, stages, ...denseOutput(g, system, tableau, stages) };
}

/** Dense output at one time. */
export interface DenseOutput {
  /** 1 for the samples whose step reached the time. */
  readonly due: Value;
  /** The interpolated state; zero for all other samples. */
  readonly value: Value;
}

/** Dense output at the time `ode.tEval` of an attempt with these stages, which led to the time `ode.tNext`. */
export function denseOutput(g: Graph, system: OdeSystem, tableau: Tableau, stages: StageValues): DenseOutput {
  const { ops } = g;
  const dir = g.sample("ode.dir");
  const tEval = g.sample("ode.tEval");
  const reached = (t: Value) => ops.le(ops.mul(dir, tEval), ops.mul(dir, t));
  const tNext = g.sample("ode.tNext");
  const due = ops.sub(reached(tNext), reached(stages.t));
  const span = ops.sub(ops.add(stages.t, stages.dt), stages.t);
  // Far outside the step, powers of x may be infinite.
  const x = ops.select(due, ops.div(ops.sub(tEval, stages.t), ops.select(ops.eq(span, 0), 1, span)), 0);
  const zero: Operand = 0;
  const leak = tableau.exponential ? { leak: leakOf(g, system, tableau) } : {};
  const step = { y0: stages.y, y1: stages.y1, k: stages.k, dt: stages.dt, x, ...leak };
  // At the end of the step the interpolant is y1, but for the digits that its large coefficients cancel.
  const inside = tableau.interpolant(ops, step);
  const value = ops.select(due, ops.select(ops.eq(tEval, tNext), stages.y1, inside), zero);
  return { due, value };
}

/** The binding of stage i (counted from 0) between an attempt and its dense output. */
export function stageName(i: number): string {
  return `stage.k${i + 1}`;
}
