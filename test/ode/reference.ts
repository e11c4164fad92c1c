// One sample solved in plain numbers by an explicit Runge–Kutta method with integral control, straight from the textbook: the truth
// that the solver's programs are compared with. It can also replay given step sizes, which makes step control a constant.

import type { IntegralController } from "../../src/ode/method.ts";
import type { Tableau } from "../../src/ode/tableau.ts";

export type HostRhs = (t: number, y: readonly number[]) => number[];

/** One accepted step. */
export interface Step {
  readonly t: number;
  readonly dt: number;
  readonly y0: readonly number[];
  readonly y1: readonly number[];
  readonly k: readonly (readonly number[])[];
}

/** Stages and solution of one step. */
export function step({ a, b, c }: Tableau, f: HostRhs, t: number, dt: number, y0: readonly number[]): Step {
  const k = [f(t, y0)];
  const combine = (weights: readonly number[]) =>
    y0.map((y, i) => y + dt * weights.reduce((sum, w, j) => sum + w * k[j]![i]!, 0));
  a.forEach((row, i) => {
    k.push(f(t + c[i + 1]! * dt, combine(row)));
  });
  return { t, dt, y0, y1: combine(b), k };
}

/** Accepted steps from t0 to t1 with the given first step. */
export function adaptiveSteps(
  tableau: Tableau,
  controller: IntegralController,
  f: HostRhs,
  y0: readonly number[],
  [t0, t1]: readonly [number, number],
  dt0: number,
): Step[] {
  const { atol, rtol, safety, factorMin, factorMax } = controller;
  const steps: Step[] = [];
  let [t, y, dt] = [t0, y0, Math.min(dt0, t1 - t0)];
  while (t < t1) {
    const s = step(tableau, f, t, dt, y);
    const scaled = y.map((_, i) => {
      const error = dt * tableau.bErr!.reduce((sum, w, j) => sum + w * s.k[j]![i]!, 0);
      return error / (atol + rtol * Math.max(Math.abs(y[i]!), Math.abs(s.y1[i]!)));
    });
    const ratio = Math.max(Math.sqrt(scaled.reduce((sum, e) => sum + e * e, 0) / y.length), 1e-38);
    const factor = Math.min(Math.max(safety * ratio ** (-1 / tableau.order), factorMin), factorMax);
    if (ratio < 1) {
      steps.push(s);
      t += dt;
      y = s.y1;
    }
    dt = Math.min(dt * factor, t1 - t);
  }
  return steps;
}

/** The same steps from another initial state or for another right-hand side. */
export function replay(tableau: Tableau, f: HostRhs, y0: readonly number[], steps: readonly Step[]): Step[] {
  let y = y0;
  return steps.map(({ t, dt }) => {
    const s = step(tableau, f, t, dt, y);
    y = s.y1;
    return s;
  });
}

/** Dopri5's quartic at time t: Shampine's midpoint formula. */
export function dopri5At(steps: readonly Step[], t: number): number[] {
  const { t: t0, dt, y0, y1, k } = steps.find((s) => t <= s.t + s.dt) ?? steps.at(-1)!;
  const middle = [
    6025192743 / 30085553152,
    0,
    51252292925 / 65400821598,
    -2691868925 / 45128329728,
    187940372067 / 1594534317056,
    -1776094331 / 19743644256,
    11237099 / 235043384,
  ];
  const x = (t - t0) / dt;
  return y0.map((a0, i) => {
    const yMid = a0 + (dt / 2) * middle.reduce((sum, w, j) => sum + w * k[j]![i]!, 0);
    const [f0, f1, b0] = [dt * k[0]![i]!, dt * k[6]![i]!, y1[i]!];
    const a4 = 2 * (f1 - f0) - 8 * (b0 + a0) + 16 * yMid;
    const a3 = 5 * f0 - 3 * f1 + 18 * a0 + 14 * b0 - 32 * yMid;
    const a2 = f1 - 4 * f0 - 11 * a0 - 5 * b0 + 16 * yMid;
    return a0 + x * (f0 + x * (a2 + x * (a3 + x * a4)));
  });
}
