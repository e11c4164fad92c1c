// Optimisers against PyTorch's formulas in plain numbers, on every device; clipping by norm, by value, and both.

import type { Test } from "uvu";
import * as assert from "uvu/assert";
import { ArgumentError } from "../../src/core/errors.ts";
import { ParameterSet } from "../../src/models/parameters/parameterSet.ts";
import {
  Adam,
  type AdamOptions,
  AdamW,
  type ClipOptions,
  RMSprop,
  type RmspropOptions,
  SGD,
  type SgdOptions,
} from "../../src/train/optimizer.ts";
import { normals } from "../ode/harness.ts";
import { forEachBackend, type WithBackend } from "../support/backends.ts";
import { assertClose } from "../support/close.ts";
import { onWebGpu } from "../support/onWebGpu.ts";

const SIZES = { a: 70, b: 5 } as const;
const STEPS = 4;

type Numbers = Readonly<Record<string, Float64Array>>;

const drawn = (label: string): Numbers =>
  Object.fromEntries(Object.entries(SIZES).map(([name, size]) => [name, normals(`${label} ${name}`, size)]));

const START = drawn("parameter");
const GRADIENTS: readonly Numbers[] = Array.from({ length: STEPS }, (_, k) => drawn(`gradient ${k}`));

/** What is left of the gradients of one step. */
function clipped(gradients: Numbers, { clipNorm, clipValue = Number.POSITIVE_INFINITY }: ClipOptions): Numbers {
  const squares = Object.values(gradients).flatMap((g) => Array.from(g, (x) => x * x));
  const norm = Math.sqrt(squares.reduce((sum, x) => sum + x, 0));
  const scale = clipNorm === undefined ? 1 : Math.min(1, clipNorm / (norm + 1e-6));
  const limited = (x: number) => Math.max(-clipValue, Math.min(clipValue, scale * x));
  return Object.fromEntries(Object.entries(gradients).map(([name, g]) => [name, g.map(limited)]));
}

/** Parameters after all steps: torch.optim.SGD, one number at a time. */
function sgd({ lr = 1e-3, momentum = 0, dampening = 0, weightDecay = 0, nesterov = false, ...clip }: SgdOptions) {
  return stepped(clip, (p, g, state, k) => {
    const d = g + weightDecay * p;
    if (momentum === 0) return p - lr * d;
    state.b = k === 1 ? d : momentum * state.b! + (1 - dampening) * d;
    return p - lr * (nesterov ? d + momentum * state.b : state.b);
  });
}

/** torch.optim.Adam, or AdamW. */
function adam({ lr = 1e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0, ...clip }: AdamOptions, apart: boolean) {
  return stepped(clip, (p, g, state, k) => {
    const d = apart ? g : g + weightDecay * p;
    state.m = betas[0] * (state.m ?? 0) + (1 - betas[0]) * d;
    state.v = betas[1] * (state.v ?? 0) + (1 - betas[1]) * d * d;
    const denominator = Math.sqrt(state.v) / Math.sqrt(1 - betas[1] ** k) + eps;
    return p * (apart ? 1 - lr * weightDecay : 1) - ((lr / (1 - betas[0] ** k)) * state.m) / denominator;
  });
}

/** torch.optim.RMSprop. */
function rmsprop(options: RmspropOptions) {
  const { lr = 1e-2, alpha = 0.99, eps = 1e-8, weightDecay = 0, momentum = 0, centered = false, ...clip } = options;
  return stepped(clip, (p, g, state) => {
    const d = g + weightDecay * p;
    state.v = alpha * (state.v ?? 0) + (1 - alpha) * d * d;
    state.m = alpha * (state.m ?? 0) + (1 - alpha) * d;
    const u = d / (Math.sqrt(state.v - (centered ? state.m ** 2 : 0)) + eps);
    state.b = momentum * (state.b ?? 0) + u;
    return p - lr * (momentum > 0 ? state.b : u);
  });
}

function stepped(
  clip: ClipOptions,
  rule: (p: number, g: number, state: Record<string, number>, k: number) => number,
): Numbers {
  const states = Object.fromEntries(
    Object.entries(SIZES).map(([name, n]) => [name, Array.from({ length: n }, () => ({}))]),
  );
  let values = START;
  GRADIENTS.forEach((raw, step) => {
    const gradients = clipped(raw, clip);
    const next = (name: string, p: number, i: number) => rule(p, gradients[name]![i]!, states[name]![i]!, step + 1);
    values = Object.fromEntries(Object.entries(values).map(([name, v]) => [name, v.map((p, i) => next(name, p, i))]));
  });
  return values;
}

const NESTEROV: SgdOptions = { lr: 0.1, momentum: 0.9, weightDecay: 0.01, nesterov: true };
const DAMPED: SgdOptions = { lr: 0.1, momentum: 0.8, dampening: 0.3 };
const DECAYED: AdamOptions = { lr: 0.05, betas: [0.8, 0.95], eps: 1e-6, weightDecay: 0.1 };
const RUSHED: RmspropOptions = { lr: 0.02, alpha: 0.9, eps: 1e-6, momentum: 0.8, weightDecay: 0.1 };
const CENTRED: RmspropOptions = { lr: 0.02, alpha: 0.8, eps: 1e-2, momentum: 0.5, centered: true };
/** Norms are about 8.7, components up to 3. */
const CLIPS: readonly ClipOptions[] = [{}, { clipNorm: 4 }, { clipValue: 0.7 }, { clipNorm: 6, clipValue: 0.5 }];

const CASES = [
  { name: "SGD", make: SGD, options: { lr: 0.1 }, expected: sgd },
  { name: "SGD, Nesterov, decay", make: SGD, options: NESTEROV, expected: sgd },
  { name: "SGD, dampened", make: SGD, options: DAMPED, expected: sgd },
  { name: "SGD, negative dampening", make: SGD, options: { ...DAMPED, dampening: -0.5 }, expected: sgd },
  { name: "Adam, decay", make: Adam, options: DECAYED, expected: (o: AdamOptions) => adam(o, false) },
  { name: "RMSprop", make: RMSprop, options: {}, expected: rmsprop },
  { name: "RMSprop, momentum, decay", make: RMSprop, options: RUSHED, expected: rmsprop },
  { name: "RMSprop, centred", make: RMSprop, options: CENTRED, expected: rmsprop },
  { name: "AdamW", make: AdamW, options: DECAYED, expected: (o: AdamOptions) => adam(o, true) },
] as const;

function define(test: Test<WithBackend>): void {
  for (const { name, make, options, expected } of CASES) {
    test(`${name} takes PyTorch's steps, with and without clipping`, async ({ backend }) => {
      const tolerance = backend.dtype === "f64" ? 1e-14 : 3e-6;
      for (const clip of CLIPS) {
        const parameters = new ParameterSet(backend);
        for (const [key, values] of Object.entries(START)) parameters.addVector(key, values, { trainable: true });
        const optimizer = new make(backend, parameters, { ...options, ...clip });
        for (const gradients of GRADIENTS) {
          for (const [key, g] of Object.entries(gradients)) backend.upload(parameters.get(key).grad!, g);
          optimizer.step();
        }
        const wanted = expected({ ...options, ...clip });
        for (const [key, values] of Object.entries(wanted))
          assertClose(await parameters.values(key), values, tolerance, `${key}, ${JSON.stringify(clip)}`);
        optimizer.dispose();
        parameters.dispose();
      }
    });
  }

  test("options that make no sense are refused by name", ({ backend }) => {
    const parameters = new ParameterSet(backend);
    const refused = (pattern: RegExp, make: () => unknown): void => {
      assert.throws(make, (error: unknown) => error instanceof ArgumentError && pattern.test(error.message));
    };
    refused(/momentum/, () => new SGD(backend, parameters, { momentum: -0.1 }));
    refused(/nesterov/, () => new SGD(backend, parameters, { nesterov: true }));
    refused(/betas/, () => new AdamW(backend, parameters, { betas: [0.9, 1] }));
    refused(/alpha/, () => new RMSprop(backend, parameters, { alpha: 1 }));
    refused(/momentum/, () => new RMSprop(backend, parameters, { momentum: Number.NaN }));
    refused(/lr/, () => new Adam(backend, parameters, { lr: 0 }));
    parameters.dispose();
  });
}

forEachBackend("optimisers", ["f64", "f32"], define);

onWebGpu("optimisers", define);
