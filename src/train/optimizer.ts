// Optimiser steps as programs: one fused pass over each parameter. Formulas are PyTorch's (torch.optim, single tensor).

import { Graph } from "../autodiff/graph.ts";
import { lower } from "../autodiff/lower.ts";
import type { Backend, BoundProgram, DeviceBuffer } from "../backend/backend.ts";
import { compileAndBind } from "../backend/bind.ts";
import type { Program } from "../backend/program.ts";
import { type CallQueue, callsOf } from "../core/callQueue.ts";
import type { FloatArray } from "../core/dtype.ts";
import { ArgumentError, EngineError } from "../core/errors.ts";
import { checkFinite } from "../core/finite.ts";
import { checkNames } from "../core/optionNames.ts";
import type { Parameter, ParameterSet } from "../models/parameters.ts";
import type { Value } from "../ops/value.ts";
import type { Ops } from "../ops/vocabulary.ts";

/** State that a checkpoint keeps. */
export interface OptimizerState {
  readonly step: number;
  /** Moments by name: `<moment>.<parameter>`, in the parameter's device order. */
  readonly moments: Readonly<Record<string, FloatArray>>;
}

/** Limits applied to the gradients before the step. */
export interface ClipOptions {
  /** All gradients are scaled by min(1, clipNorm/(‖g‖ + 1e-6)), ‖g‖ the 2-norm over all parameters (torch.nn.utils.clip_grad_norm_). */
  readonly clipNorm?: number;
  /** Every component is limited to [−clipValue, clipValue], after clipNorm. */
  readonly clipValue?: number;
}

/** One formula: which moments it keeps, which numbers change from step to step, and the update. */
interface Rule {
  readonly name: string;
  readonly moments: readonly string[];
  readonly scalars: readonly string[];
  /** Values of the scalars at step k = 1, 2, … for the learning rate `lr`. */
  readonly at: (k: number, lr: number) => readonly number[];
  /** New parameter and new moments. */
  readonly update: (
    ops: Ops,
    p: Value,
    g: Value,
    moments: readonly Value[],
    scalars: readonly Value[],
  ) => { readonly p: Value; readonly moments: readonly Value[] };
}

/** Σg² over all gradients. */
interface NormState {
  readonly squares: DeviceBuffer;
  readonly sums: readonly BoundProgram[];
}

interface ClipState {
  readonly scale: DeviceBuffer;
  readonly finish: BoundProgram;
}

/** Keeps a total gradient norm from being divided by zero; the constant of clip_grad_norm_. */
const CLIP_EPS = 1e-6;
/** The moment of squares of gradients. */
const SQUARES = "exp_avg_sq";
/** Calls of models that change gradients. */
const GRADIENT_CALLS = ["gradients", "vjp"] as const;

/** What all optimisers share: buffers, programs, clipping, state. Use Adam, AdamW or SGD. */
export abstract class Optimizer {
  readonly #backend: Backend;
  readonly #parameters: ParameterSet;
  readonly #rule: Rule;
  readonly #scalars: readonly DeviceBuffer[];
  readonly #slots: { parameter: Parameter; moments: readonly DeviceBuffer[]; step: BoundProgram }[] = [];
  readonly #norm: NormState;
  readonly #clip: ClipState | null;
  readonly #calls: CallQueue;
  lr: number;
  #step = 0;
  #isDisposed = false;

  protected constructor(backend: Backend, parameters: ParameterSet, lr: number, rule: Rule, clip: ClipOptions) {
    positive(rule.name, "lr", lr);
    if (clip.clipNorm !== undefined) positive(rule.name, "clipNorm", clip.clipNorm);
    if (clip.clipValue !== undefined) positive(rule.name, "clipValue", clip.clipValue);
    this.#backend = backend;
    this.#parameters = parameters;
    this.#rule = rule;
    this.#calls = callsOf(parameters);
    this.lr = lr;
    this.#scalars = rule.scalars.map((name) => backend.buffer(`${rule.name} ${name}`, 1));
    this.#norm = this.#normPrograms();
    this.#clip = clip.clipNorm === undefined ? null : this.#clipPrograms(clip.clipNorm);
    const layout = backend.layoutFor(1);
    const programs = new Map<number, Program>();
    for (const parameter of this.#trained()) {
      const { size } = parameter;
      const program = programs.get(size) ?? stepProgram(rule, size, clip);
      programs.set(size, program);
      const moments = rule.moments.map((name) => backend.buffer(`${parameter.name} ${name}`, size));
      const named = (names: readonly string[], buffers: readonly DeviceBuffer[]) =>
        Object.fromEntries(names.map((name, i) => [name, buffers[i]!]));
      const step = compileAndBind(backend, program, layout, {
        p: parameter.value,
        g: parameter.grad!,
        ...named(rule.moments, moments),
        ...named(rule.scalars, this.#scalars),
        "clip.scale": this.#clip?.scale,
      });
      this.#slots.push({ parameter, moments, step });
    }
  }

  /** Steps taken. */
  get stepCount(): number {
    return this.#step;
  }

  /**
   * Updates every trainable parameter from its gradient. While another call of the model is pending, the step takes its turn behind it.
   *
   * @param factor  on the learning rate of this step
   * @throws {EngineError} "busy": gradients are still being computed; "disposed"
   * @throws {ArgumentError} a learning rate that is not finite
   */
  step(factor = 1): void {
    const where = this.#rule.name;
    const lr = this.lr * factor;
    if (!Number.isFinite(lr)) throw new ArgumentError(where, "lr", "a finite learning rate", `${this.lr} · ${factor}`);
    this.#checkInUse("step");
    this.#calls.refuseDuring(`${where}.step`, GRADIENT_CALLS);
    this.#step++;
    const scalars = this.#rule.at(this.#step, lr);
    this.#calls.change("step", () => this.#takeStep(scalars));
  }

  #takeStep(scalars: readonly number[]): void {
    const backend = this.#backend;
    scalars.forEach((value, i) => {
      backend.upload(this.#scalars[i]!, [value]);
    });
    if (this.#clip) {
      this.#sumSquares();
      backend.run(this.#clip.finish);
    }
    for (const { step } of this.#slots) backend.run(step);
    this.#parameters.touch();
  }

  /** Enqueues the sum of the squares of all gradients, before clipping. @returns where it will be: a scalar on the device */
  sumSquares(): DeviceBuffer {
    this.#sumSquares();
    return this.#norm.squares;
  }

  /** 2-norm over all gradients as they are now, before clipping. */
  async gradientNorm(): Promise<number> {
    return this.#calls.run("gradientNorm", async () => {
      this.#checkInUse("gradientNorm");
      return Math.sqrt((await this.#backend.download(this.sumSquares()))[0]!);
    });
  }

  /** 2-norm of each trainable parameter's gradient as it is now, by name. */
  async gradientNorms(): Promise<Readonly<Record<string, number>>> {
    return this.#calls.run("gradientNorms", async () => {
      this.#checkInUse("gradientNorms");
      const { squares, sums } = this.#norm;
      const norms: Record<string, number> = {};
      for (const [i, { parameter }] of this.#slots.entries()) {
        this.#backend.fill(squares, 0);
        this.#backend.run(sums[i]!);
        norms[parameter.name] = Math.sqrt((await this.#backend.download(squares))[0]!);
      }
      return norms;
    });
  }

  async state(): Promise<OptimizerState> {
    const step = this.#step;
    return this.#calls.run("state", async () => {
      this.#checkInUse("state");
      const moments: Record<string, FloatArray> = {};
      for (const [name, buffer] of this.moments()) moments[name] = (await this.#backend.download(buffer)) as FloatArray;
      return { step, moments };
    });
  }

  /** @throws {ArgumentError} moments of another size, that are not finite, or squares below 0; nothing is changed then */
  restore({ step, moments }: OptimizerState): void {
    const where = this.#rule.name;
    this.#checkInUse("restore");
    if (!Number.isSafeInteger(step) || step < 0)
      throw new ArgumentError(where, "step", "a whole number of at least 0", `${step}`);
    const all = [...this.moments()].map(([name, buffer]) => {
      const values = moments[name];
      if (values?.length !== buffer.length) {
        throw new ArgumentError(where, name, `${buffer.length} numbers`, `${values?.length ?? "nothing"}`);
      }
      checkFinite(where, name, values, this.#backend.dtype);
      const negative = name.startsWith(`${SQUARES}.`) ? values.findIndex((x) => x < 0) : -1;
      if (negative >= 0)
        throw new ArgumentError(where, name, "squares of at least 0", `${values[negative]} at ${negative}`);
      return [buffer, this.#calls.isBusy ? values.slice() : values] as const;
    });
    this.#calls.change("restore", () => {
      for (const [buffer, values] of all) this.#backend.upload(buffer, values);
    });
    this.#step = step;
  }

  /** Releases everything when the calls before it have ended. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#calls.afterwards(() => {
      this.#releasePrograms();
      for (const [, buffer] of this.moments()) buffer.release();
      this.#slots.length = 0;
      for (const s of this.#scalars) s.release();
      this.#norm.squares.release();
      this.#clip?.scale.release();
    });
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #releasePrograms(): void {
    for (const { step } of this.#slots) step.release();
    for (const sum of this.#norm.sums) sum.release();
    this.#clip?.finish.release();
  }

  #checkInUse(name: string): void {
    if (!this.#isDisposed) return;
    const where = `${this.#rule.name}.${name}`;
    throw new EngineError("disposed", `${where}: expected an optimiser in use, got one that has been disposed of`, {
      where,
    });
  }

  /** Buffers of the moments by name, as in `state`. */
  *moments(): Generator<[string, DeviceBuffer]> {
    for (const { parameter, moments } of this.#slots) {
      for (const [i, name] of this.#rule.moments.entries()) yield [`${name}.${parameter.name}`, moments[i]!];
    }
  }

  /** A matrix without entries has nothing to train. */
  #trained(): readonly Parameter[] {
    return this.#parameters.trainable().filter(({ size }) => size > 0);
  }

  #sumSquares(): void {
    this.#backend.fill(this.#norm.squares, 0);
    for (const sum of this.#norm.sums) this.#backend.run(sum);
  }

  #normPrograms(): NormState {
    const backend = this.#backend;
    const layout = backend.layoutFor(1);
    const squares = backend.buffer("gradient squares", 1);
    const sums = this.#trained().map((p) =>
      compileAndBind(backend, squaresProgram(p.size), layout, { g: p.grad!, squares }),
    );
    return { squares, sums };
  }

  #clipPrograms(clipNorm: number): ClipState {
    const backend = this.#backend;
    const scale = backend.buffer("gradient scale", 1);
    const { squares } = this.#norm;
    const finish = compileAndBind(backend, clipScaleProgram(clipNorm), backend.layoutFor(1), { squares, scale });
    return { scale, finish };
  }
}

/** Constants of Adam and AdamW. */
export interface AdamOptions extends ClipOptions {
  /** Default 1e-3. */
  readonly lr?: number;
  /** Default 0.9 and 0.999. */
  readonly betas?: readonly [number, number];
  /** Default 1e-8. */
  readonly eps?: number;
  /** Adam: λ·p is added to the gradient. AdamW: p shrinks by lr·λ before the step. Default 0 (Adam), 0.01 (AdamW). */
  readonly weightDecay?: number;
}

/**
 * m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², p ← p − (lr/(1−β₁ᵏ))·m/(√v/√(1−β₂ᵏ) + ε) at step k.
 * Source: Kingma & Ba, ICLR 2015, in the form of torch.optim.Adam.
 */
export class Adam extends Optimizer {
  constructor(backend: Backend, parameters: ParameterSet, options: AdamOptions = {}) {
    super(backend, parameters, options.lr ?? 1e-3, adamRule("Adam", options, 0, false), options);
  }
}

/** Adam with decoupled weight decay: p ← p·(1 − lr·λ) first. Source: Loshchilov & Hutter, ICLR 2019; torch.optim.AdamW. */
export class AdamW extends Optimizer {
  constructor(backend: Backend, parameters: ParameterSet, options: AdamOptions = {}) {
    super(backend, parameters, options.lr ?? 1e-3, adamRule("AdamW", options, 0.01, true), options);
  }
}

/** Constants of stochastic gradient descent. */
export interface SgdOptions extends ClipOptions {
  /** Default 1e-3. */
  readonly lr?: number;
  /** Default 0. */
  readonly momentum?: number;
  readonly dampening?: number;
  readonly weightDecay?: number;
  readonly nesterov?: boolean;
}

/** d = g + λp; b ← μb + (1−δ)d (b = d at the first step); p ← p − lr·b, with Nesterov p − lr·(d + μb). As torch.optim.SGD. */
export class SGD extends Optimizer {
  constructor(backend: Backend, parameters: ParameterSet, options: SgdOptions = {}) {
    super(backend, parameters, options.lr ?? 1e-3, sgdRule(options), options);
  }
}

const CLIP_OPTIONS: Readonly<Record<keyof ClipOptions, true>> = { clipNorm: true, clipValue: true };
const ADAM_OPTIONS: Readonly<Record<keyof AdamOptions, true>> = {
  ...CLIP_OPTIONS,
  ...{ lr: true, betas: true, eps: true, weightDecay: true },
};
const SGD_OPTIONS: Readonly<Record<keyof SgdOptions, true>> = {
  ...CLIP_OPTIONS,
  ...{ lr: true, momentum: true, dampening: true, weightDecay: true, nesterov: true },
};

function adamRule(name: string, options: AdamOptions, defaultDecay: number, decoupled: boolean): Rule {
  checkNames(name, options, ADAM_OPTIONS);
  const { betas = [0.9, 0.999], eps = 1e-8, weightDecay = defaultDecay } = options;
  const [b1, b2] = betas;
  if (betas.length !== 2 || betas.some((b) => !(b >= 0 && b < 1)))
    throw new ArgumentError(name, "betas", "two numbers from 0 to below 1", `${betas}`);
  notNegative(name, "eps", eps);
  notNegative(name, "weightDecay", weightDecay);
  return {
    name,
    moments: ["exp_avg", SQUARES],
    scalars: ["rate", "correction", "keep"],
    at: (k, lr) => [lr / (1 - b1 ** k), Math.sqrt(1 - b2 ** k), 1 - lr * weightDecay],
    update: (ops, p, g, moments, scalars) => {
      const [m, v] = moments as [Value, Value];
      const [rate, correction, keep] = scalars as [Value, Value, Value];
      const decayed = decoupled && weightDecay > 0 ? ops.mul(p, keep) : p;
      const d = !decoupled && weightDecay > 0 ? ops.add(g, ops.mul(weightDecay, p)) : g;
      const m1 = ops.add(ops.mul(b1, m), ops.mul(1 - b1, d));
      const v1 = ops.add(ops.mul(b2, v), ops.mul(1 - b2, ops.mul(d, d)));
      const denominator = ops.add(ops.div(ops.sqrt(v1), correction), eps);
      return { p: ops.sub(decayed, ops.mul(rate, ops.div(m1, denominator))), moments: [m1, v1] };
    },
  };
}

function sgdRule(options: SgdOptions): Rule {
  checkNames("SGD", options, SGD_OPTIONS);
  const { momentum = 0, dampening = 0, weightDecay = 0, nesterov = false } = options;
  notNegative("SGD", "momentum", momentum);
  notNegative("SGD", "weightDecay", weightDecay);
  if (!Number.isFinite(dampening)) throw new ArgumentError("SGD", "dampening", "a finite number", `${dampening}`);
  if (nesterov && (momentum === 0 || dampening !== 0)) {
    throw new ArgumentError("SGD", "nesterov", "momentum above 0 and no dampening", `${momentum} and ${dampening}`);
  }
  return {
    name: "SGD",
    moments: momentum > 0 ? ["momentum_buffer"] : [],
    scalars: ["rate", "fresh"],
    at: (k, lr) => [lr, k === 1 ? 1 : 1 - dampening],
    update: (ops, p, g, [b], scalars) => {
      const [rate, fresh] = scalars as [Value, Value];
      const d = weightDecay > 0 ? ops.add(g, ops.mul(weightDecay, p)) : g;
      if (!b) return { p: ops.sub(p, ops.mul(rate, d)), moments: [] };
      const b1 = ops.add(ops.mul(momentum, b), dampening > 0 ? ops.mul(fresh, d) : d);
      const direction = nesterov ? ops.add(d, ops.mul(momentum, b1)) : b1;
      return { p: ops.sub(p, ops.mul(rate, direction)), moments: [b1] };
    },
  };
}

function stepProgram(rule: Rule, size: number, clip: ClipOptions): Program {
  const g = new Graph();
  const { ops } = g;
  let gradient = g.row("g", size);
  if (clip.clipNorm !== undefined) gradient = ops.mul(gradient, g.scalar("clip.scale"));
  if (clip.clipValue !== undefined) gradient = ops.max(-clip.clipValue, ops.min(gradient, clip.clipValue));
  const moments = rule.moments.map((name) => g.row(name, size));
  const scalars = rule.scalars.map((name) => g.scalar(name));
  const next = rule.update(ops, g.row("p", size), gradient, moments, scalars);
  rule.moments.forEach((name, i) => {
    g.store(name, next.moments[i]!);
  });
  g.store("p", next.p);
  return lower(g, rule.name.toLowerCase(), "optimiser");
}

function squaresProgram(size: number): Program {
  const g = new Graph();
  const gradient = g.row("g", size);
  g.store("squares", g.ops.reduceRows(g.ops.mul(gradient, gradient)), { accumulate: true });
  return lower(g, "gradient.squares", "optimiser");
}

function clipScaleProgram(clipNorm: number): Program {
  const g = new Graph();
  const { ops } = g;
  const norm = ops.sqrt(g.scalar("squares"));
  g.store("scale", ops.min(1, ops.div(clipNorm, ops.add(norm, CLIP_EPS))));
  return lower(g, "gradient.scale", "optimiser");
}

function positive(where: string, name: string, value: number): void {
  if (!(value > 0 && Number.isFinite(value)))
    throw new ArgumentError(where, name, "a finite number above 0", `${value}`);
}

function notNegative(where: string, name: string, value: number): void {
  if (!(value >= 0 && Number.isFinite(value)))
    throw new ArgumentError(where, name, "a finite number, 0 or above", `${value}`);
}
