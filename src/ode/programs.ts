// The programs a solver runs, made from the graphs of method.ts: forward ones and, by the general reverse mode, their reverses.

import { Graph, type GraphInput } from "../autodiff/graph.ts";
import { type GuardNames, lower } from "../autodiff/lower.ts";
import { checkWrt, type GradTarget, pullBack, rebuilder, reverseGraph, saveName } from "../autodiff/vjp.ts";
import { accessesOf, isWrite } from "../backend/instr.ts";
import type { Program } from "../backend/program.ts";
import { ArgumentError } from "../core/errors.ts";
import type { Value } from "../ops/value.ts";
import { GRADIENT_NUMBERS, type StartValues } from "./control.ts";
import {
  type AttemptGraph,
  attemptGraph,
  denseGraph,
  denseOutput,
  type GraphOptions,
  initGraph,
  type Method,
  type OdeSystem,
  type StageValues,
  type StartGraph,
  slopeOfLeaves,
  stageName,
} from "./method.ts";

/** The programs that a solver has derived from its system. */
export interface SolverPrograms {
  /** Slope and step size at the start; its saves are named with the prefix `init.`. */
  readonly init: Program;
  /** One attempt that keeps nothing for a reverse pass. */
  readonly attempt: Program;
  readonly dense: Program;
  /** Whether no sample was active after the last attempt, and the reverse pass can go back through the record as it is. */
  readonly completion: Program;
  readonly reverse: ReversePrograms | null;
}

/** The programs of the reverse pass. */
export interface ReversePrograms {
  readonly initRecorded: Program;
  readonly initReverse: Program;
  /** One attempt that stores its contraction outputs. */
  readonly attemptRecorded: Program;
  readonly attemptReverse: Program;
  /** The same, and of dense output at the one point in a solve that has just one. */
  readonly attemptReverseDense: Program;
  /** Where a solve has several points: those of dense output in an attempt come first, one after another. */
  readonly severalPoints: SeveralPointsPrograms;
  /** What a recorded attempt (and the recorded start) stores: binding names and shapes. */
  readonly attemptSaves: ReadonlyMap<string, Value>;
  readonly initSaves: ReadonlyMap<string, Value>;
}

/** The reverse of an attempt in which there may be dense output at any number of points. */
export interface SeveralPointsPrograms {
  /** The stages again, from what was recorded. */
  readonly rebuildStages: Program;
  /** Adds to the cotangents of the stages. */
  readonly denseReverse: Program;
  /** The attempt, given cotangents of its stages. */
  readonly attemptReverse: Program;
  /** Sets them to zero again. */
  readonly clearStages: Program;
}

/** What the gradient of a solve is taken by, and through. */
export interface ReverseOptions {
  /** Names of leaves, matrices and tables of the right-hand side whose gradient is wanted. */
  readonly wrt: readonly string[];
  /**
   * true: the exact derivative of the numbers computed; gradients flow through error ratios, step sizes, times and interpolation
   * abscissae. false: step sizes count as constants, which is cheaper and nearer to the gradient of the exact solution where the
   * right-hand side is not smooth. Both tend to that gradient as the tolerance shrinks; true does not where the right-hand side jumps inside
   * a step: give its jump times, or say false.
   */
  readonly throughStepSizeControl: boolean;
}

/**
 * Where the host runs ahead of the device, it enqueues attempts that start when every sample has finished. They pass on the per-sample
 * numbers; what their stages compute is never read, and there is nothing to interpolate.
 */
const ATTEMPT: GuardNames = { scalars: ["ode.active"], skips: "states" };
const DENSE: GuardNames = { scalars: ["ode.active"], skips: "everything" };
/** And it enqueues the reverse pass before it knows that every sample has finished. */
const REVERSE: GuardNames = { scalars: ["ode.active", "ode.complete"], skips: "everything" };
/** Of the reverse of dense output, which most attempts do not need: `ode.due` says whether a sample passed the evaluation point. */
const DENSE_REVERSE: GuardNames = { ...REVERSE, scalars: [...REVERSE.scalars, "ode.due"] };
const REVERSE_START: GuardNames = { scalars: ["ode.complete"], skips: "everything" };

/** Binding of the gradient of the right-hand side's input `name`. */
export function gradName(name: string): string {
  return `grad.${name}`;
}

/** @param segments  most segments between jump times of a sample; 0: there are no jump times */
export function solverPrograms(
  system: OdeSystem,
  method: Method,
  dt0Given: boolean,
  reverse: ReverseOptions | null,
  segments = 0,
): SolverPrograms {
  const options: GraphOptions = { segments, tracksVoids: reverse !== null };
  const attempt = attemptGraph(system, method, options);
  storeAttempt(attempt, method.tableau.fsal);
  const init = initGraph(system, method, dt0Given, options);
  storeStart(init);
  const dense = denseGraph(system, method.tableau);
  dense.graph.store("ys", dense.value, { accumulate: true });
  dense.graph.store("due", dense.graph.ops.reduceLanes(dense.due));
  const forward = {
    init: lower(init.graph, "init", "forward"),
    attempt: lower(attempt.graph, "attempt", "forward", ATTEMPT),
    dense: lower(dense.graph, "dense", "forward", DENSE),
  };
  const back = reverse && reversePrograms(system, method, dt0Given, reverse, options);
  checkInputNames("solver", systemInputs(system), [forward, back ?? {}, back?.severalPoints ?? {}].flatMap(programsIn));
  return { ...forward, completion: completionProgram(), reverse: back };
}

/** The programs of a set; its other entries describe what they store. */
export function programsIn(set: object): readonly Program[] {
  return Object.values(set).filter((entry): entry is Program => entry !== null && "phases" in entry);
}

/** @throws {ArgumentError} an input of the right-hand side has the name of a result: programs could not tell them apart */
export function checkInputNames(
  where: string,
  inputs: ReadonlyMap<string, GraphInput>,
  programs: readonly Program[],
): void {
  for (const { bindings, phases } of programs)
    for (const access of phases.flatMap((phase) => phase.instrs).flatMap(accessesOf)) {
      const { name } = bindings[access.binding]!;
      if (isWrite(access) && inputs.has(name))
        throw new ArgumentError(where, "rhs", "inputs with other names than the solver's results", `"${name}"`);
    }
}

/** Stores what the next attempt starts from, and whether any sample still runs, which is the result. */
export function storeNext(g: Graph, next: StartValues): Value {
  for (const [name, value] of Object.entries(next)) if (value !== null) storePerSample(g, `next.${name}`, value);
  const active = g.ops.reduceLanes(next.running);
  g.store("next.active", active);
  return active;
}

/** Buffers hold a number per sample at least, so scalars are spread. */
function storePerSample(g: Graph, binding: string, value: Value): void {
  g.store(binding, value, { as: { kind: value.kind === "scalar" ? "sample" : value.kind, rows: value.rows } });
}

function storeStart({ graph: g, next, isVoid }: StartGraph): void {
  storeNext(g, next);
  if (isVoid) storePerSample(g, "isVoid", isVoid);
}

function storeAttempt({ graph: g, next, stages, errorRatio, accept, isVoid }: AttemptGraph, fsal: boolean): void {
  g.store("active", storeNext(g, next));
  g.store("accept", accept);
  if (errorRatio) g.store("errorRatio", errorRatio);
  if (isVoid) g.store("isVoid", isVoid);
  if (next.voids) g.store("voids", g.ops.reduceLanes(next.voids));
  storeStages(g, stages, fsal);
}

/** Stores the stages where dense output reads them; the first one of an FSAL method is there already. */
export function storeStages(g: Graph, { k, y1 }: StageValues, fsal: boolean): void {
  k.forEach((stage, i) => {
    if (i > 0 || !fsal) g.store(stageName(i), stage);
  });
  g.store("stage.y1", y1);
}

function completionProgram(): Program {
  const g = new Graph();
  g.store("complete", g.ops.mul(g.ops.eq(g.scalar("active"), 0), g.ops.eq(g.scalar("voids"), 0)));
  return lower(g, "completion", "forward");
}

function reversePrograms(
  system: OdeSystem,
  method: Method,
  dt0Given: boolean,
  { wrt: wanted, throughStepSizeControl }: ReverseOptions,
  options: GraphOptions,
): ReversePrograms {
  const { tableau } = method;
  const parameters: [string, GradTarget][] = wanted.map((name) => [
    name,
    { binding: gradName(name), accumulate: true },
  ]);
  const stepLeaves = throughStepSizeControl ? ["y", "k1", ...GRADIENT_NUMBERS] : ["y", "k1"];

  // An attempt: cotangents of what the next attempt starts from → cotangents of what this one started from.
  const attempt = attemptGraph(system, method, options);
  checkWrt("solver", wanted, systemInputs(system));
  const { stages, next } = attempt;
  const outputs = new Map<Value, string>([[next.y, "ct.next.y"]]);
  if (next.k1) outputs.set(next.k1, "ct.next.k1");
  if (throughStepSizeControl) {
    for (const name of GRADIENT_NUMBERS) if (next[name]) outputs.set(next[name], `ct.next.${name}`);
  }
  const wrt = new Map([
    ...parameters,
    ...stepLeaves.map((n): [string, GradTarget] => [`ode.${n}`, { binding: `ct.${n}`, accumulate: false }]),
  ]);
  const plain = reverseGraph(attempt.graph, outputs, wrt);

  // With dense output more has cotangents: its value, or the step's own values. One may be several things at once (y1 is a stage's argument).
  const saves = new Map(plain.saves);
  const keep = (v: Value): string => {
    saves.set(saveName(v), v);
    return saveName(v);
  };
  const reverseOfMore = (more: readonly (readonly [Value, string])[]): Graph => {
    const g = new Graph();
    const seeds = [...outputs, ...more].map(([v, name]) => [v, g.leaf(name, v.kind, v.rows)] as const);
    pullBack(attempt.graph, g, seeds, wrt, rebuilder(attempt.graph, g, plain.isSaved, keep));
    return g;
  };
  const withStages = reverseOfMore(stageCotangents(stages, tableau.fsal, throughStepSizeControl));
  const withDense = reverseOfMore([[denseOutput(attempt.graph, system, tableau, stages).value, "ct.ys"]]);

  const rebuildStages = new Graph();
  // The step size of the trial is saved: recomputing it would take an extra phase.
  const rebuild = rebuilder(attempt.graph, rebuildStages, (v) => v === stages.dt || plain.isSaved(v), keep);
  storeStages(rebuildStages, { ...stages, k: stages.k.map(rebuild), y1: rebuild(stages.y1) }, tableau.fsal);

  storeAttempt(attempt, tableau.fsal);
  for (const [name, v] of saves) attempt.graph.store(name, v);

  // Dense output: cotangents of its value → of the step's values, and of the leak that an exponential method follows.
  const dense = denseGraph(system, tableau);
  const denseWrt = new Map<string, GradTarget>([
    ...parameters,
    ...stageCotangents(dense.stages, tableau.fsal, throughStepSizeControl).map(([v, binding]): [string, GradTarget] => {
      if (v.op.type !== "leaf") throw new TypeError("dense output reads leaves only");
      return [v.op.name, { binding, accumulate: true }];
    }),
  ]);
  const denseReverse = reverseGraph(dense.graph, new Map([[dense.value, "ct.ys"]]), denseWrt);

  // The start.
  const init = initGraph(system, method, dt0Given, options);
  const initOutputs = new Map<Value, string>();
  if (init.next.k1) initOutputs.set(init.next.k1, "ct.next.k1");
  if (throughStepSizeControl) {
    initOutputs.set(init.next.dt, "ct.next.dt");
    if (init.next.asked) initOutputs.set(init.next.asked, "ct.next.asked");
  }
  const initReverse = reverseGraph(
    init.graph,
    initOutputs,
    new Map([...parameters, ["ode.y", { binding: "ct.y", accumulate: true }] as [string, GradTarget]]),
  );
  storeStart(init);
  for (const [name, v] of initReverse.saves) init.graph.store(name, v);

  return {
    initRecorded: lower(init.graph, "init.recorded", "forward"),
    initReverse: lower(initReverse.graph, "init.reverse", "reverse", REVERSE_START),
    attemptRecorded: lower(attempt.graph, "attempt.recorded", "forward", ATTEMPT),
    attemptReverse: lower(plain.graph, "attempt.reverse", "reverse", REVERSE),
    attemptReverseDense: lower(withDense, "attempt.reverse.dense", "reverse", REVERSE),
    severalPoints: {
      rebuildStages: lower(rebuildStages, "rebuildStages", "reverse", DENSE_REVERSE),
      denseReverse: lower(denseReverse.graph, "dense.reverse", "reverse", DENSE_REVERSE),
      attemptReverse: lower(withStages, "attempt.reverse.stages", "reverse", REVERSE),
      clearStages: clearProgram(dense.stages, tableau.fsal),
    },
    attemptSaves: saves,
    initSaves: initReverse.saves,
  };
}

/** What a system reads besides t and y: its own inputs. */
export function systemInputs(system: OdeSystem): ReadonlyMap<string, GraphInput> {
  const g = new Graph();
  slopeOfLeaves(g, system);
  system.leak?.(g);
  return new Map([...g.inputs].filter(([name]) => !name.startsWith("ode.")));
}

/**
 * Sets the cotangents of what an attempt led to to zero, in place, where it ended a window: where it went on to a segment whose number is a
 * multiple of `ode.window`. See `SolveRequest.window`.
 */
export function windowProgram(rows: number): Program {
  const g = new Graph();
  const { ops } = g;
  const [from, to, window] = [g.sample("ode.segment"), g.sample("next.segment"), g.sample("ode.window")];
  const isBorder = ops.eq(to, ops.mul(window, ops.floor(ops.div(to, window))));
  const ends = ops.mul(ops.lt(from, to), isBorder);
  const cut = (name: string, ct: Value) => g.store(`ct.next.${name}`, ops.select(ends, 0, ct));
  cut("y", g.state("ct.next.y", rows));
  for (const name of GRADIENT_NUMBERS) cut(name, g.sample(`ct.next.${name}`));
  return lower(g, "attempt.reverse.window", "reverse");
}

/** sum += term, for the samples whose evaluation point `ode.tEval` is where they start: no step passes it. */
export function startPointProgram(rows: number): Program {
  const g = new Graph();
  const { ops } = g;
  const isStart = ops.eq(g.sample("ode.tEval"), g.sample("ode.tStart"));
  g.store("sum", ops.select(isStart, g.state("term", rows), 0), { accumulate: true });
  return lower(g, "startPoint", "reverse");
}

/** sum += term, for states. */
export function addProgram(rows: number): Program {
  const g = new Graph();
  g.store("sum", g.state("term", rows), { accumulate: true });
  return lower(g, "add", "reverse");
}

function clearProgram(stages: StageValues, fsal: boolean): Program {
  const g = new Graph();
  for (const [{ kind, rows }, name] of stageCotangents(stages, fsal, true))
    g.store(name, g.ops.constant(0), { as: { kind, rows } });
  return lower(g, "dense.clear", "reverse", DENSE_REVERSE);
}

/** The values dense output reads, with the names of their cotangents. */
function stageCotangents(s: StageValues, fsal: boolean, times: boolean): (readonly [Value, string])[] {
  return [
    [s.y, "ct.stage.y0"],
    [s.y1, "ct.stage.y1"],
    ...s.k.map((k, i) => [k, i === 0 && fsal ? "ct.stage.k1" : `ct.${stageName(i)}`] as const),
    ...(times
      ? ([
          [s.t, "ct.stage.t"],
          [s.dt, "ct.stage.dt"],
        ] as const)
      : []),
  ];
}
