// Optimiser steps as programs: one fused pass over each parameter. Formulas are PyTorch's (torch.optim, single tensor).

import { Graph } from "../autodiff/graph.ts";
import { lower } from "../autodiff/lower.ts";
import type { Backend, BoundProgram, DeviceBuffer } from "../backend/backend.ts";
import type { Program } from "../backend/program.ts";
import type { FloatArray } from "../core/dtype.ts";
import { ArgumentError } from "../core/errors.ts";
import type { Parameter, ParameterSet } from "../models/parameters.ts";

export interface AdamOptions {
  /** Default 1e-3. */
  readonly lr?: number;
  /** Default 0.9 and 0.999. */
  readonly betas?: readonly [number, number];
  /** Default 1e-8. */
  readonly eps?: number;
}

/** State that a checkpoint keeps. */
export interface OptimizerState {
  readonly step: number;
  /** Moments by name: `exp_avg.<parameter>`, `exp_avg_sq.<parameter>`, in the parameter's device order. */
  readonly moments: Readonly<Record<string, FloatArray>>;
}

/**
 * Adam: m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², p ← p − (lr/(1−β₁ᵏ))·m/(√v/√(1−β₂ᵏ) + ε) at step k.
 * Source: Kingma & Ba, ICLR 2015, in the form of torch.optim.Adam.
 */
export class Adam {
  readonly #backend: Backend;
  readonly #parameters: ParameterSet;
  readonly #betas: readonly [number, number];
  readonly #lr: DeviceBuffer;
  readonly #correction: DeviceBuffer;
  readonly #slots: { parameter: Parameter; m: DeviceBuffer; v: DeviceBuffer; bound: BoundProgram }[] = [];
  lr: number;
  #step = 0;

  constructor(
    backend: Backend,
    parameters: ParameterSet,
    { lr = 1e-3, betas = [0.9, 0.999], eps = 1e-8 }: AdamOptions = {},
  ) {
    if (!(lr > 0)) throw new ArgumentError("Adam", "lr", "a learning rate above 0", `${lr}`);
    if (betas.some((b) => !(b >= 0 && b < 1)))
      throw new ArgumentError("Adam", "betas", "numbers from 0 to below 1", `${betas}`);
    this.#backend = backend;
    this.#parameters = parameters;
    this.#betas = betas;
    this.lr = lr;
    this.#lr = backend.buffer("adam lr", 1);
    this.#correction = backend.buffer("adam correction", 1);
    const layout = backend.layoutFor(1);
    const programs = new Map<number, Program>();
    for (const parameter of parameters.trainable()) {
      const { size } = parameter;
      const program = programs.get(size) ?? adamProgram(size, betas, eps);
      programs.set(size, program);
      const m = backend.buffer(`${parameter.name} m`, size);
      const v = backend.buffer(`${parameter.name} v`, size);
      const bound = backend.bind(backend.compile(program, layout), {
        p: parameter.value,
        g: parameter.grad!,
        m,
        v,
        lr: this.#lr,
        correction: this.#correction,
      });
      this.#slots.push({ parameter, m, v, bound });
    }
  }

  /** Steps taken. */
  get stepCount(): number {
    return this.#step;
  }

  /** Updates every trainable parameter from its gradient. */
  step(): void {
    this.#step++;
    const [b1, b2] = this.#betas;
    this.#backend.upload(this.#lr, [this.lr / (1 - b1 ** this.#step)]);
    this.#backend.upload(this.#correction, [Math.sqrt(1 - b2 ** this.#step)]);
    for (const { bound } of this.#slots) this.#backend.run(bound);
    this.#parameters.touch();
  }

  async state(): Promise<OptimizerState> {
    const moments: Record<string, FloatArray> = {};
    for (const { parameter, m, v } of this.#slots) {
      moments[`exp_avg.${parameter.name}`] = (await this.#backend.download(m)) as FloatArray;
      moments[`exp_avg_sq.${parameter.name}`] = (await this.#backend.download(v)) as FloatArray;
    }
    return { step: this.#step, moments };
  }

  restore({ step, moments }: OptimizerState): void {
    const take = (name: string, target: DeviceBuffer): void => {
      const values = moments[name];
      if (values?.length !== target.length) {
        throw new ArgumentError("Adam", name, `${target.length} numbers`, `${values?.length ?? "nothing"}`);
      }
      this.#backend.upload(target, values);
    };
    for (const { parameter, m, v } of this.#slots) {
      take(`exp_avg.${parameter.name}`, m);
      take(`exp_avg_sq.${parameter.name}`, v);
    }
    this.#step = step;
  }

  dispose(): void {
    for (const { m, v } of this.#slots) {
      m.release();
      v.release();
    }
    this.#slots.length = 0;
    this.#lr.release();
    this.#correction.release();
  }
}

/** `lr` is already divided by 1 − β₁ᵏ, `correction` is √(1 − β₂ᵏ). */
function adamProgram(size: number, [b1, b2]: readonly [number, number], eps: number): Program {
  const g = new Graph();
  const { ops } = g;
  const [p, grad, m, v] = ["p", "g", "m", "v"].map((name) => g.row(name, size)) as [never, never, never, never];
  const m1 = ops.add(ops.mul(b1, m), ops.mul(1 - b1, grad));
  const v1 = ops.add(ops.mul(b2, v), ops.mul(1 - b2, ops.mul(grad, grad)));
  const denominator = ops.add(ops.div(ops.sqrt(v1), g.scalar("correction")), eps);
  g.store("m", m1);
  g.store("v", v1);
  g.store("p", ops.sub(p, ops.mul(g.scalar("lr"), ops.div(m1, denominator))));
  return lower(g, "adam");
}
