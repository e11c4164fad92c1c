// The connectome rate model as a graph. Any other dynamics is another such function: see OdeSystem.

import { Graph } from "../autodiff/graph.ts";
import { lower } from "../autodiff/lower.ts";
import { pullBack } from "../autodiff/vjp.ts";
import type { Program } from "../backend/program.ts";
import type { EvaluationTime, OdeSystem } from "../ode/method.ts";
import type { Value } from "../ops/value.ts";
import type { Operand } from "../ops/vocabulary.ts";
import { activation } from "./activation.ts";
import { type Dynamics, type Gate, gatesOf, hasTimeConstants } from "./options.ts";

/** Sizes and variants of the rate model: its graph follows from them. */
export interface RateShape {
  readonly nNeurons: number;
  readonly nnz: number;
  /** Distinct nonlinearities; with several, the row leaf `nonlinearity` says which one a neuron has. */
  readonly nonlinearities: readonly (string | null)[];
  /** false: every neuron is excitatory, no factor is applied. */
  readonly signed: boolean;
  readonly bias: boolean;
  /** See Dynamics; "plain" and "gru" have no leaf τ. Default "rate". */
  readonly dynamics?: Dynamics;
  /** Steps of a sequence input; 1: an input that is constant in time. */
  readonly steps: number;
  /** Interventions: the states of the neurons in the row leaf `held` are constant. Default false. */
  readonly held?: boolean;
  /** The neurons in the row leaf `muted` send 0, whatever their state. Default false. */
  readonly muted?: boolean;
  /** In continuous time the borders of the frames are the jump times of the solve; default false. */
  readonly stepsEndAtFrames?: boolean;
}

/** Leaf of a gate that belongs to it as `leaf` does to the state: "hh" → "hh.reset". */
export function leafOfGate(leaf: string, gate: Gate): string {
  return `${leaf}.${gate}`;
}

/** Leaves of the projected input: of the state, and of each gate. */
export function driveLeaves(dynamics: Dynamics): readonly string[] {
  return ["drive", ...gatesOf({ dynamics }).map((gate) => leafOfGate("drive", gate))];
}

/**
 * The state that a neuron is driven to: relu( φ( u ) ) with u = drive + W·(s ⊙ h) + b; for voltages u with φ(h) instead of h; for leaky and
 * plain networks φ(u); for gated ones φ(u) with u = drive + r ⊙ (W·(s ⊙ h) + b_h) + b.
 *
 * Leaves: `hh` (W, sparse, row = post), `sign` (s = ±1 per neuron), `bias` (b), `nonlinearity` (index of φ, if there are several), `muted` (1
 * for neurons that send 0); of gated networks those of `gateOf` and `bias.recurrent` (b_h).
 */
export function target(g: Graph, shape: RateShape, drive: Value, h: Value): Value {
  const { nNeurons, nnz, dynamics } = shape;
  const { ops } = g;
  const recurrent = ops.matmul(g.sparse("hh", nNeurons, nNeurons, nnz), signals(g, shape, h));
  const synaptic = ops.add(drive, dynamics === "gru" ? resetInput(g, shape, recurrent, h) : recurrent);
  const u = shape.bias ? ops.add(synaptic, g.row("bias", nNeurons)) : synaptic;
  if (dynamics === "voltage") return u;
  const phi = transfer(g, shape, u);
  return dynamics === "rate" || dynamics === undefined ? ops.relu(phi) : phi;
}

/** r ⊙ (W·(s ⊙ h) + b_h). */
function resetInput(g: Graph, shape: RateShape, recurrent: Value, h: Value): Value {
  const { ops } = g;
  const biased = shape.bias ? ops.add(recurrent, g.row("bias.recurrent", shape.nNeurons)) : recurrent;
  return ops.mul(gateOf(g, shape, "reset", h), biased);
}

/**
 * A gate, σ( drive_g + W_g·(s ⊙ h) + b_g ). Leaves: those of `target` with the name of the gate: `drive.reset`, `hh.reset`, `bias.reset`.
 * Source: Cho et al., "Learning phrase representations using RNN encoder–decoder for statistical machine translation", EMNLP 2014; the reset
 * gate multiplies the recurrent input after its product with W, as in torch.nn.GRU.
 */
function gateOf(g: Graph, shape: RateShape, gate: Gate, h: Value): Value {
  const { nNeurons, nnz } = shape;
  const { ops } = g;
  const w = g.sparse(leafOfGate("hh", gate), nNeurons, nNeurons, nnz);
  const drive = g.state(leafOfGate("drive", gate), nNeurons);
  const synaptic = ops.add(drive, ops.matmul(w, signals(g, shape, h)));
  return ops.sigmoid(shape.bias ? ops.add(synaptic, g.row(leafOfGate("bias", gate), nNeurons)) : synaptic);
}

/** What neurons in state `h` send, with their sign. */
function signals(g: Graph, shape: RateShape, h: Value): Value {
  const sent = rates(g, shape, h);
  return shape.signed ? g.ops.mul(g.row("sign", shape.nNeurons), sent) : sent;
}

/** What neurons in state `h` send, before their sign: h, or of voltages φ(h); 0 where they are muted. */
export function rates(g: Graph, shape: RateShape, h: Value): Value {
  const sent = shape.dynamics === "voltage" ? transfer(g, shape, h) : h;
  return shape.muted ? g.ops.select(g.row("muted", shape.nNeurons), 0, sent) : sent;
}

/** Stores `signal`, what neurons in state `h` send. Leaves: `h`, `nonlinearity`, `muted`. */
export function signalProgram(shape: RateShape): Program {
  const g = new Graph();
  g.store("signal", rates(g, shape, g.state("h", shape.nNeurons)));
  return lower(g, "signal", "readout");
}

/** What replaces `value` in neurons whose state is held. */
function whereHeld(g: Graph, { held = false, nNeurons }: RateShape, replacement: Operand, value: Value): Value {
  return held ? g.ops.select(g.row("held", nNeurons), replacement, value) : value;
}

/** φ, each neuron's own. */
function transfer(g: Graph, { nonlinearities, nNeurons }: RateShape, u: Value): Value {
  const { ops } = g;
  const [first, ...others] = nonlinearities.map((name) => activation(name)(ops, u));
  const which = others.length > 0 ? g.row("nonlinearity", nNeurons) : null;
  return others.reduce((value, f, i) => ops.select(ops.eq(which!, i + 1), f, value), first!);
}

/**
 * dh/dt = ( target(t, h) − h ) / τ, by default ( relu( φ( drive(t) + W·(s ⊙ h) + b ) ) − h ) / τ
 *
 * and 0 for neurons whose state is held.
 *
 * Leaves: those of `target`, `tau` (τ), `held` (1 for these neurons), and the projected input: the state `drive` when constant, else the
 * table `drive` of `steps` states, piecewise constant in time: index floor((t − start)/(end − start)·steps), the last one at t = end, with the per-sample
 * leaves `start` and `end`.
 *
 * Source: the rate model of torch-biopl's ConnectomeODERNN; relu after any nonlinearity, Dale's law by the sign of the source.
 * Voltages: Lappalainen et al., Nature 634, 1132–1140 (2024), Methods.
 */
export function rateDynamics(shape: RateShape): OdeSystem {
  const { nNeurons } = shape;
  return {
    rows: nNeurons,
    rhs: (g, _t, h, time) => {
      const goal = target(g, shape, driveAt(g, time, shape), h);
      return whereHeld(g, shape, 0, g.ops.div(g.ops.sub(goal, h), tauOf(g, shape)));
    },
    leak: (g) => g.ops.div(1, tauOf(g, shape)),
  };
}

/**
 * One step of the discrete model: h ← (1/τ)·target(h) + (1 − 1/τ)·h, the explicit Euler step of size 1 of the dynamics; h ← h where it is
 * held. Gated networks have 1 − z in place of 1/τ. Leaves: those of `target`, `tau` (τ), `held`, the state `h` (unless it is given) and its
 * input `drive`.
 * Source: torch-biopl's ConnectomeRNN.
 */
export function discreteStep(g: Graph, shape: RateShape, h: Value = g.state("h", shape.nNeurons)): Value {
  return whereHeld(g, shape, h, freeStep(g, shape, h));
}

function freeStep(g: Graph, shape: RateShape, h: Value): Value {
  const { nNeurons, dynamics } = shape;
  const { ops } = g;
  const goal = target(g, shape, g.state("drive", nNeurons), h);
  if (dynamics === "plain") return goal;
  const leak = dynamics === "gru" ? ops.sub(1, gateOf(g, shape, "update", h)) : ops.div(1, tauOf(g, shape));
  return ops.add(ops.mul(leak, goal), ops.mul(ops.sub(1, leak), h));
}

/**
 * Responses of neurons in state `h`: stores `rate`, the outputs of their nonlinearities, and `slope`, the derivatives of these.
 * Where a state is held or muted the output does not depend on the input: its slope is 0. Leaves: those of `target`, `held`, `h`, `offset`, a
 * state of zeros, and the input: `drive`, of a sequence a table, with the per-sample leaf `index`.
 */
export function responseProgram(shape: RateShape): Program {
  const g = new Graph();
  const { ops } = g;
  const { nNeurons } = shape;
  const h = g.state("h", nNeurons);
  const offset = g.state("offset", nNeurons);
  const rate =
    shape.dynamics === "voltage"
      ? rates(g, shape, ops.add(h, offset))
      : whereHeld(g, shape, h, target(g, shape, ops.add(driveOfFrame(g, shape), offset), h));
  g.store("rate", rate);
  // A one for every neuron and sample: the slope gets its shape.
  const ones = ops.add(offset, 1);
  pullBack(g, g, [[rate, ones]], new Map([["offset", { binding: "slope", accumulate: false }]]), (v) => v);
  return lower(g, "response", "forward");
}

/** The constant input, or frame `index` of a sequence. */
function driveOfFrame(g: Graph, { nNeurons, steps }: RateShape): Value {
  if (steps === 1) return g.state("drive", nNeurons);
  return g.ops.lookup(g.table("drive", nNeurons, steps), g.sample("index"));
}

function tauOf(g: Graph, { dynamics, nNeurons }: RateShape): Value {
  return dynamics !== undefined && !hasTimeConstants(dynamics) ? g.ops.constant(1) : g.row("tau", nNeurons);
}

/** The input of frame k; frames are equally long and fill the interval of length `duration`, a leaf with the direction's sign. */
function driveAt(g: Graph, { elapsed, jumpsPassed }: EvaluationTime, shape: RateShape): Value {
  const { nNeurons, steps, stepsEndAtFrames = false } = shape;
  if (steps === 1) return g.state("drive", nNeurons);
  const { ops } = g;
  const phase = () => ops.div(elapsed, g.sample("duration"));
  const frame = stepsEndAtFrames ? jumpsPassed : ops.floor(ops.mul(phase(), steps));
  // At the very end, and where rounding carries a stage's time past an end, the nearest frame counts.
  return ops.lookup(g.table("drive", nNeurons, steps), ops.max(0, ops.min(frame, steps - 1)));
}
