// Silencing neurons equals a network whose matrix has zeros in their rows and columns: all others have the same bits. It equals removing these
// rows and columns, too: terms that vanish are zeros in one network and absent in the other. There a sum has the same bits where its other terms
// keep their places in it: where silenced neurons come last, and on WebGPU as many threads walk a row. At other places only the order of additions
// differs, so the bits are the same where sums are exact, and else within rounding.

import type { Test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { type Csr, csrFromCoo, mapValues } from "../../src/core/csr.ts";
import { ConnectomeODERNN, type ConnectomeODERNNOptions } from "../../src/models/connectomeOdeRnn.ts";
import { ConnectomeRNN } from "../../src/models/connectomeRnn.ts";
import type { Dynamics } from "../../src/models/options.ts";
import type { SolveOptions } from "../../src/models/solveOptions.ts";
import { normals } from "../ode/harness.ts";
import { forEachBackend, type WithBackend } from "../support/backends.ts";
import { assertBitEqual, assertClose, gamma } from "../support/close.ts";
import { randomSparse } from "../support/matrices.ts";
import { onWebGpu } from "../support/onWebGpu.ts";

const N = 16;
const BATCH = 3;
const FRAMES = 3;
const TYPES = 3;
const W = mapValues(randomSparse(N, N, 0.6).csr, (w) => 0.3 * w);
/** Whole numbers: sums of a few of their products are exact in any order. */
const WHOLE = mapValues(W, (w) => Math.sign(w) * (Math.abs(w) > 0.3 ? 2 : 1));
const LAST = [11, 12, 13, 14, 15];
const ANYWHERE = [0, 3, 4, 9, 14];
/** Solvers take the first ones. */
const DYNAMICS: readonly Dynamics[] = ["rate", "voltage", "leaky", "plain"];

/** A network and its run, in lists per neuron and connection. */
interface Whole {
  readonly csr: Csr;
  readonly dynamics: Dynamics;
  /** Of φ: three types, or one for all. */
  readonly nonlinearities: readonly (string | null)[];
  readonly tau: number;
  readonly bias: readonly number[];
  readonly sharing: boolean;
  /** [batch, frames, neurons], [batch, neurons], [batch, times, neurons] */
  readonly x: readonly number[];
  readonly h0: readonly number[];
  readonly ct: readonly number[];
  /** null: discrete time. */
  readonly solve: SolveOptions | null;
  readonly endTime: number;
}

const list = (label: string, length: number): number[] => Array.from(normals(label, length), Math.fround);
const small = (label: string, length: number): number[] => list(label, length).map((v) => Math.round(v));
const TIMES = 2;
const END = 6;
const times = ({ solve }: Pick<Whole, "solve">): number => (solve ? TIMES : FRAMES);

const FIXED: SolveOptions = { dt0: 0.25, controller: { type: "fixed" } };
const CONTROL = { type: "integral", safety: 0.9, factorMin: 0.2, factorMax: 10 } as const;
/** Gradients through the control of step sizes have sums over neurons, whose order depends on how many there are. */
const LARGEST: SolveOptions = {
  controller: { ...CONTROL, atol: 1e-5, rtol: 1e-4, norm: "max" },
  backpropThroughStepSizeControl: false,
};
const EULER: SolveOptions = { method: "euler", dt0: 0.5, fixedStep: true };

function randomWhole(dynamics: Dynamics, solve: SolveOptions | null, own: Partial<Whole> = {}): Whole {
  return {
    ...{
      csr: W,
      dynamics,
      nonlinearities: ["Sigmoid", "Softplus", "Tanh"],
      tau: 1.5,
      sharing: false,
      solve,
      endTime: END,
    },
    ...{ bias: list("bias", N), x: list("x", BATCH * FRAMES * N), h0: list("h0", BATCH * N) },
    ct: list("ct", BATCH * times({ solve }) * N),
    ...own,
  };
}

/** One whose sums are exact. */
function exactWhole(dynamics: Dynamics, solve: SolveOptions | null, sharing = false): Whole {
  const numbers = { bias: small("bias", N), x: small("x", BATCH * FRAMES * N), h0: small("h0", BATCH * N) };
  return randomWhole(dynamics, solve, {
    ...{ csr: WHOLE, nonlinearities: ["ReLU"], tau: 2, sharing, endTime: FRAMES / 2, ...numbers },
    ct: small("ct", BATCH * times({ solve }) * N),
  });
}

/** Without some neurons; those of `from` that are left keep their order. */
interface Removal {
  /** Of numbers per neuron, the neuron being the last dimension. */
  neurons(from: ArrayLike<number>): number[];
  /** Of numbers per connection. */
  connections(from: ArrayLike<number>): number[];
  readonly csr: Csr;
}

function removal(csr: Csr, removed: readonly number[]): Removal {
  const place = new Int32Array(csr.nRows).fill(-1);
  let count = 0;
  for (let i = 0; i < csr.nRows; i++) if (!removed.includes(i)) place[i] = count++;
  const kept: number[] = [];
  const [rows, cols]: number[][] = [[], []];
  for (let i = 0; i < csr.nRows; i++) {
    for (let k = csr.rowPtr[i]!; k < csr.rowPtr[i + 1]!; k++) {
      if (place[i]! < 0 || place[csr.colIdx[k]!]! < 0) continue;
      kept.push(k);
      rows!.push(place[i]!);
      cols!.push(place[csr.colIdx[k]!]!);
    }
  }
  const connections = (from: ArrayLike<number>): number[] => kept.map((k) => from[k]!);
  return {
    neurons: (from) => Array.from(from).filter((_, k) => place[k % csr.nRows]! >= 0),
    connections,
    csr: csrFromCoo({ nRows: count, nCols: count, rows: rows!, cols: cols!, values: connections(csr.values) }),
  };
}

const typeOf = (neuron: number): number => neuron % TYPES;

/** One strength per pair of types. */
function groupsOf(csr: Csr, types: readonly number[]): number[] {
  return types.flatMap((type, i) =>
    Array.from(csr.colIdx.subarray(csr.rowPtr[i]!, csr.rowPtr[i + 1]!), (j) => TYPES * type + types[j]!),
  );
}

interface Outcome {
  readonly hs: ArrayLike<number>;
  /** Attempts per sample. */
  readonly steps: readonly number[];
  /** By name: of the input, of the initial state, and of each parameter. */
  readonly gradients: Readonly<Record<string, ArrayLike<number>>>;
}

/** @param left  the network without removed neurons; null: all of them, `silence` being silent */
async function run(backend: Backend, whole: Whole, left: Removal | null, silence: readonly number[]): Promise<Outcome> {
  const of = (from: ArrayLike<number>): number[] => left?.neurons(from) ?? Array.from(from);
  const csr = left?.csr ?? whole.csr;
  const n = csr.nRows;
  const types = of(Array.from({ length: N }, (_, i) => typeOf(i)));
  const { dynamics, nonlinearities, tau, sharing, solve } = whole;
  const strengths = (count: number): number[] => (whole.csr === WHOLE ? Array(count).fill(1) : list("strength", count));
  const options: ConnectomeODERNNOptions = {
    ...{ numNeurons: n, inputSize: n, connectome: csr, dynamics, inputGradient: true, weightConstraint: "none" },
    neuronType: types,
    neuronNonlinearity: nonlinearities.length === 1 ? nonlinearities[0]! : nonlinearities,
    biasInit: of(whole.bias),
    ...(dynamics === "plain" ? {} : { neuronTau: tau, trainTau: true }),
    ...(sharing && {
      sharedWeights: { group: groupsOf(csr, types), nGroups: TYPES ** 2, strengthInit: strengths(TYPES ** 2) },
    }),
  };
  const input = { data: of(whole.x), batch: BATCH, steps: FRAMES };
  const own = { h0: of(whole.h0), ...(silence.length > 0 && { interventions: { silence } }) };
  using model = solve ? new ConnectomeODERNN(backend, { ...options, solve }) : new ConnectomeRNN(backend, options);
  const ct = of(whole.ct);
  const ended =
    model instanceof ConnectomeRNN
      ? await model.vjp(input, ct, own)
      : await model.vjp(input, ct, { endTime: whole.endTime, numEvals: TIMES, ...own });
  const { hs, stats } = "trajectory" in ended ? ended.trajectory : { hs: ended.outputs.hs, stats: null };
  const gradients: Record<string, ArrayLike<number>> = { x: ended.gradients.x!, h0: ended.gradients.h0 };
  for (const { name } of model.parameters.trainable())
    gradients[name] = Float64Array.from(await model.parameters.gradient(name));
  return { hs, steps: stats ? Array.from([stats].flat()[0]!.nSteps) : [], gradients };
}

/** What the neurons that are left have of an outcome of all. */
function partOf(left: Removal, whole: Whole, { hs, steps, gradients }: Outcome): Outcome {
  const part = (values: ArrayLike<number>): ArrayLike<number> => {
    if (values.length === whole.csr.nnz && !whole.sharing) return left.connections(values);
    return values.length % N === 0 ? left.neurons(values) : values;
  };
  return {
    hs: left.neurons(hs),
    steps,
    gradients: Object.fromEntries(Object.entries(gradients).map(([name, values]) => [name, part(values)])),
  };
}

function assertSame(actual: Outcome, expected: Outcome, label: string): void {
  assertBitEqual(actual.hs, expected.hs, `${label}, states`);
  assert.equal(actual.steps, expected.steps, label);
  assert.equal(Object.keys(actual.gradients), Object.keys(expected.gradients));
  for (const [name, values] of Object.entries(expected.gradients)) {
    assertBitEqual(actual.gradients[name]!, values, `${label}, gradient of ${name}`);
    assert.ok(
      Array.from(values).some((g) => g !== 0),
      `${label}: the gradient of ${name} is not all zeros`,
    );
  }
}

async function compare(backend: Backend, whole: Whole, silenced: readonly number[], label: string): Promise<void> {
  const left = removal(whole.csr, silenced);
  const all = await run(backend, whole, null, silenced);
  assertSame(partOf(left, whole, all), await run(backend, whole, left, []), label);
}

/** A matrix with zeros, which stay entries, in the rows of some neurons, and in their columns. */
function zeroed(csr: Csr, neurons: readonly number[], columns = true): Csr {
  const values = csr.values.slice();
  for (let i = 0; i < csr.nRows; i++)
    for (let k = csr.rowPtr[i]!; k < csr.rowPtr[i + 1]!; k++)
      if (neurons.includes(i) || (columns && neurons.includes(csr.colIdx[k]!))) values[k] = 0;
  return { ...csr, values };
}

/** All that the other neurons have: states, gradients of their inputs and parameters, and of the connections between them. */
async function compareWithZeros(backend: Backend, whole: Whole, silenced: readonly number[], label: string) {
  const others = removal(whole.csr, silenced);
  const cut = { ...whole, csr: zeroed(whole.csr, silenced) };
  const silent = partOf(others, whole, await run(backend, whole, null, silenced));
  assertSame(silent, partOf(others, whole, await run(backend, cut, null, [])), label);
}

function nameOf(solve: SolveOptions | null): string {
  if (solve === null) return "discrete time";
  return solve === FIXED ? "fixed steps" : "adaptive steps by the largest error";
}

/** @param solves  of continuous time */
function define(test: Test<WithBackend>, which: readonly Dynamics[], solves: readonly SolveOptions[]): void {
  for (const solve of [null, ...solves]) {
    test(`without the last neurons, to the bit: ${nameOf(solve)}`, async ({ backend }) => {
      for (const dynamics of solve === null ? which : which.slice(0, solve === FIXED ? 2 : 1))
        await compare(backend, randomWhole(dynamics, solve), LAST, dynamics);
    });
  }

  for (const sharing of [false, true]) {
    const weights = sharing ? "shared weights" : "own weights";
    test(`zeros in rows and columns anywhere, to the bit: ${weights}`, async ({ backend }) => {
      for (const solve of [null, ...solves.filter((own) => own === FIXED)])
        for (const dynamics of which)
          if (solve === null || dynamics !== "plain")
            await compareWithZeros(
              backend,
              randomWhole(dynamics, solve, { sharing }),
              ANYWHERE,
              `${dynamics}, ${nameOf(solve)}`,
            );
    });
  }

  test("zeros in their rows alone are another network", async ({ backend }) => {
    const whole = randomWhole(which[0]!, null);
    const others = removal(W, ANYWHERE);
    const silent = partOf(others, whole, await run(backend, whole, null, ANYWHERE));
    const cut = { ...whole, csr: zeroed(W, ANYWHERE, false) };
    const deaf = partOf(others, whole, await run(backend, cut, null, []));
    assert.throws(() => assertSame(silent, deaf, "rows"), /elements differ/);
  });

  test("anywhere, where sums are exact; also where connections share weights", async ({ backend }) => {
    for (const sharing of [false, true])
      await compare(backend, exactWhole(which[0]!, null, sharing), ANYWHERE, sharing ? "shared" : "own");
  });

  test("the comparison can fail", async ({ backend }) => {
    const whole = exactWhole(which[0]!, null);
    const left = removal(whole.csr, ANYWHERE);
    const [intact, removed] = [await run(backend, whole, null, []), await run(backend, whole, left, [])];
    assert.throws(() => assertSame(partOf(left, whole, intact), removed, "intact"), /elements differ/);
  });

  test("anywhere, a product within rounding of its sum", async ({ backend }) => {
    const linear = randomWhole("plain", null, { nonlinearities: [null] });
    const left = removal(W, ANYWHERE);
    const [silent, removed] = [await run(backend, linear, null, ANYWHERE), await run(backend, linear, left, [])];
    const first = (hs: ArrayLike<number>, n: number) =>
      Array.from({ length: BATCH }, (_, s) => Array.from(hs).slice(s * FRAMES * n, s * FRAMES * n + n)).flat();
    const n = left.csr.nRows;
    const [x, h0, bias] = [left.neurons(linear.x), left.neurons(linear.h0), left.neurons(linear.bias)];
    // h₁ = x + W·h₀ + b, in two orders.
    const sizes = Array.from({ length: BATCH * n }, (_, k) => {
      const [s, i] = [Math.floor(k / n), k % n];
      let size = Math.abs(x[s * FRAMES * n + i]!) + Math.abs(bias[i]!);
      for (let e = left.csr.rowPtr[i]!; e < left.csr.rowPtr[i + 1]!; e++)
        size += Math.abs(left.csr.values[e]! * h0[s * n + left.csr.colIdx[e]!]!);
      return 2 * gamma(N + 2, backend.dtype) * size;
    });
    assertClose(first(left.neurons(silent.hs), n), first(removed.hs, n), sizes, "first step");
  });
}

forEachBackend("silenced or removed", ["f64", "f32"], (test) => {
  define(test, DYNAMICS, [FIXED, LARGEST]);

  test("anywhere, where sums are exact, in steps of Euler", async ({ backend }) => {
    for (const dynamics of ["rate", "voltage"] as const)
      await compare(backend, exactWhole(dynamics, EULER), ANYWHERE, dynamics);
  });

  test("the last neurons, with weights that connections share", async ({ backend }) => {
    for (const solve of [null, FIXED])
      await compare(backend, randomWhole("voltage", solve, { sharing: true }), LAST, `${solve ? "fixed" : "discrete"}`);
  });

  test("adaptive steps, mean error: that of all neurons, so tolerances of those left are √(n/m) as large", async ({
    backend,
  }) => {
    // n = 16, m = 4: twice as large, which is exact.
    const silenced = Array.from({ length: 12 }, (_, k) => 4 + k);
    const left = removal(W, silenced);
    const solve = { dt0: 0.25, rtol: 1e-5, atol: 2e-6 };
    for (const dynamics of ["rate", "voltage"] as const) {
      const whole = randomWhole(dynamics, solve);
      const silent = partOf(left, whole, await run(backend, whole, null, silenced));
      const looser = { ...whole, solve: { dt0: 0.25, rtol: 2 * solve.rtol, atol: 2 * solve.atol } };
      assertSame(silent, await run(backend, looser, left, []), dynamics);
      const same = await run(backend, whole, left, []);
      assert.not.equal(
        Array.from(silent.hs),
        Array.from(same.hs),
        `${dynamics}: with the same tolerances steps are shorter`,
      );
    }
  });
});

// A software adapter compiles slowly: the dynamics with both masks.
onWebGpu("silenced or removed", (test) => define(test, ["voltage"], [FIXED]));
