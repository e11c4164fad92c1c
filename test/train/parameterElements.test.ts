// Elements of parameters by neurons: which ones a pattern chooses, and that each takes the steps of an optimiser with its settings.

import type { Test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { csrFromCoo } from "../../src/core/csr.ts";
import { ArgumentError } from "../../src/core/errors.ts";
import type { SelectableNeurons } from "../../src/data/selectors.ts";
import { inFileOrder } from "../../src/models/parameters/parameter.ts";
import { ParameterSet } from "../../src/models/parameters/parameterSet.ts";
import { parsePattern } from "../../src/models/parameters/pattern.ts";
import { Adam, AdamW, type Optimizer, type OptimizerOptions, RMSprop, SGD } from "../../src/train/optimizer.ts";
import { chosenElements } from "../../src/train/parameterElements.ts";
import { ParameterPenalties } from "../../src/train/parameterPenalties.ts";
import { normals } from "../ode/harness.ts";
import { forEachBackend, type WithBackend } from "../support/backends.ts";
import { assertBitEqual } from "../support/close.ts";
import { onWebGpu } from "../support/onWebGpu.ts";
import { suite } from "../support/suite.ts";

const N = 40;
const TYPES = ["A", "B", "C"];
const typeOf = (i: number): string => TYPES[i % 3]!;
const sideOf = (i: number): string => (i < 15 ? "L" : "R");

/** Neuron i drives i + 1, i + 5 and i + 7. */
const EDGES = Array.from({ length: 3 * N }, (_, e) => [e % N, ((e % N) + [1, 5, 7][Math.floor(e / N)]!) % N] as const);
const MATRIX = csrFromCoo({
  nRows: N,
  nCols: N,
  rows: EDGES.map(([, post]) => post),
  cols: EDGES.map(([pre]) => pre),
  values: normals("weights", EDGES.length),
});
/** In the order of files. */
const POST = Uint32Array.from({ length: MATRIX.nnz }, (_, k) => MATRIX.rowPtr.findIndex((end) => end > k) - 1);

const NEURONS: SelectableNeurons = {
  count: N,
  types: TYPES,
  typeIdx: Uint32Array.from({ length: N }, (_, i) => i % 3),
  columns: new Map([
    ["side", { values: ["L", "R"], valueIdx: Uint32Array.from({ length: N }, (_, i) => (i < 15 ? 0 : 1)) }],
  ]),
  csr: MATRIX,
};

/** Two inputs, and two outputs. */
const INPUT = csrFromCoo({ nRows: N, nCols: 2, rows: [0, 1, 20], cols: [0, 1, 1], values: [1, 2, 3] });
const OUTPUT = csrFromCoo({ nRows: 2, nCols: N, rows: [0, 1, 1], cols: [3, 4, 30], values: [1, 2, 3] });

/** Strengths shared by pairs of types, (post, pre). */
const PAIR = Uint32Array.from(POST, (post, k) => 3 * (post % 3) + (MATRIX.colIdx[k]! % 3));

function parametersOn(backend: Backend): ParameterSet {
  const set = new ParameterSet(backend);
  const all = { trainable: true } as const;
  set.add({ name: "hh", role: "weights", of: "connections", matrix: MATRIX, values: MATRIX.values, ...all });
  set.add({ name: "bias", role: "biases", of: "neurons", values: normals("bias", N), ...all });
  const byType = { by: NEURONS.typeIdx!, factor: null, dictionary: null };
  set.add({ name: "tau", role: "time constants", of: "neuron types", values: [1, 2, 3], shared: byType, ...all });
  const byPair = { by: PAIR, factor: MATRIX.values, dictionary: null };
  const strength = { matrix: MATRIX, values: normals("strength", 9), shared: byPair } as const;
  set.add({ name: "strength", role: "weights", of: "groups of connections", ...strength, ...all });
  set.add({ name: "ih", role: "input", of: "connections", matrix: INPUT, values: INPUT.values, ...all });
  set.add({ name: "ho", role: "output", of: "connections", matrix: OUTPUT, values: OUTPUT.values, ...all });
  const dense = { shape: [N, 2], values: normals("dense", 2 * N) } as const;
  set.add({ name: "dense", role: "input", of: "connections", ...dense, ...all });
  set.add({ name: "fc", role: "read-out", of: "units", values: [1, 2], ...all });
  return set;
}

const OPTIMISERS = [
  { name: "Adam", Optimiser: Adam, options: {} },
  { name: "AdamW", Optimiser: AdamW, options: {} },
  { name: "SGD", Optimiser: SGD, options: { momentum: 0.9 } },
  { name: "RMSprop", Optimiser: RMSprop, options: { centered: true, momentum: 0.5 } },
] as const;

/** Values and moments after some steps in the order of files; `gradient` changes those of a parameter, in that order. */
async function stepped(
  backend: Backend,
  make: (parameters: ParameterSet) => Optimizer,
  gradient: (name: string, g: number, k: number) => number = (_, g) => g,
): Promise<{ values: Record<string, ArrayLike<number>>; moments: Record<string, ArrayLike<number>> }> {
  const parameters = parametersOn(backend);
  const optimizer = make(parameters);
  for (let step = 0; step < 3; step++) {
    for (const { name, size, grad, fileOrder } of parameters.all()) {
      const g = normals(`gradient ${step} ${name}`, size).map((x, k) => gradient(name, x, k));
      backend.upload(grad!, fileOrder ? g.map((_, position) => g[fileOrder.indexOf(position)]!) : g);
    }
    optimizer.step(1 / (step + 1));
  }
  const values: Record<string, ArrayLike<number>> = {};
  for (const { name } of parameters.all()) values[name] = await parameters.read(name, "value");
  const state = await optimizer.state();
  const moments = Object.fromEntries(
    Object.entries(state.moments).map(([name, moment]) => [
      name,
      inFileOrder(moment, parameters.get(name.slice(name.indexOf(".") + 1))),
    ]),
  );
  optimizer.dispose();
  parameters.dispose();
  return { values, moments };
}

const picked = (values: ArrayLike<number>, of: (k: number) => boolean): number[] =>
  Array.from(values).filter((_, k) => of(k));

function define(test: Test<WithBackend>): void {
  test("patterns choose connections by either end, values of neurons and of their types", ({ backend }) => {
    const parameters = parametersOn(backend);
    const chosen = (pattern: string): Record<string, number[] | "all"> => {
      const found = chosenElements("test", "pattern", pattern, parameters.all(), { neurons: NEURONS });
      return Object.fromEntries(
        [...found].map(([p, elements]) => {
          if (elements === null) return [p.name, "all"];
          const ordered = Array.from(elements, (_, k) => elements[p.fileOrder ? p.fileOrder[k]! : k]!);
          return [p.name, ordered.flatMap((isIn, k) => (isIn ? [k] : []))];
        }),
      );
    };
    const connections = (of: (pre: number, post: number) => boolean): number[] =>
      Array.from(POST.keys()).filter((k) => of(MATRIX.colIdx[k]!, POST[k]!));
    const neurons = (of: (i: number) => boolean): number[] => Array.from({ length: N }, (_, i) => i).filter(of);

    assert.equal(chosen("hh[type=A]"), { hh: connections((_, post) => typeOf(post) === "A") });
    assert.equal(chosen("hh[post: type=A]"), chosen("hh[type=A]"));
    assert.equal(chosen("hh[ pre : side=L ]"), { hh: connections((pre) => sideOf(pre) === "L") });
    assert.equal(chosen("hh[pre: type=A|B][post: side=L & type=C]"), {
      hh: connections((pre, post) => typeOf(pre) !== "C" && sideOf(post) === "L" && typeOf(post) === "C"),
    });
    assert.equal(chosen("hh[downstream(1, 0)]"), { hh: connections((_, post) => [0, 1, 5, 7].includes(post)) });
    assert.equal(chosen("hh[all]"), { hh: "all" });
    assert.equal(chosen("biases[type=B]"), { bias: neurons((i) => typeOf(i) === "B") });
    assert.equal(chosen("time-constants[type=B|C]"), { tau: [1, 2] });
    assert.equal(chosen("strength[pre: type=B]"), { strength: [1, 4, 7] });
    assert.equal(chosen("strength[type=B]"), { strength: [3, 4, 5] });
    assert.equal(chosen("ih[side=L]"), { ih: [0, 1] });
    assert.equal(chosen("ho[side=L]"), { ho: [0, 1] });
    assert.equal(chosen("ho[pre: side=R]"), { ho: [2] });
    assert.equal(chosen("dense[1-2]"), { dense: [2, 3, 4, 5] });
    // A wildcard passes over what has no neurons.
    assert.equal(Object.keys(chosen("*[type=A]")), ["hh", "bias", "tau", "strength", "ih", "ho", "dense"]);
    const says = (pattern: string, message: RegExp): void => {
      assert.throws(
        () => chosen(pattern),
        (e: Error) => e instanceof ArgumentError && message.test(e.message),
        `${pattern}: ${message}`,
      );
    };
    says("read-out[type=A]", /parameters of neurons or of connections with that end, of 40 neurons, got fc/);
    says("biases[pre: type=A]", /with that end, of 40 neurons, got bias/);
    says("ih[pre: type=A]", /with that end/);
    says("time-constants[side=L]", /neurons that share no value with others, .* got value 0 of tau/);
    says("strength[pre: side=L]", /neurons that share no value/);
    says("ih[2-9]", /a pattern that leaves elements of parameters/);
    says("hh[type=D]", /a type that a neuron has .*got "type=D"/);
    says("biasses[type=A]", /did you mean "biases"/);
    says("!bias[type=A]", /without ! in front of neurons/);
    says("bias[type=A", /neurons in brackets/);
    says("bias[type=A] x", /neurons in brackets/);
    assert.throws(
      () => chosenElements("test", "pattern", "bias[type=A]", parameters.all(), {}),
      /a pattern without neurons, as they are not known \(option neurons\)/,
    );
    parameters.dispose();
  });

  for (const { name, Optimiser, options } of OPTIMISERS) {
    test(`${name}: each element takes the steps of an optimiser with its settings, to the bit`, async ({ backend }) => {
      const making = (more: OptimizerOptions & { weightDecay?: number }) => (parameters: ParameterSet) =>
        new Optimiser(backend, parameters, { ...options, neurons: NEURONS, ...more });
      const grouped = await stepped(
        backend,
        making({
          lr: 0.05,
          groups: [
            { parameters: "hh[pre: type=A]", lr: 0.2, weightDecay: 0.25 },
            { parameters: "hh[type=B]", lr: 0.4 },
            { parameters: "bias[side=L]", weightDecay: 0.125 },
            { parameters: "tau[type=B]", frozen: true },
          ],
        }),
      );
      const at = async (more: OptimizerOptions & { weightDecay?: number }) => stepped(backend, making(more));
      const plain = await at({ lr: 0.05 });
      const [pre, both, post] = [
        await at({ lr: 0.2, weightDecay: 0.25 }),
        await at({ lr: 0.4, weightDecay: 0.25 }),
        await at({ lr: 0.4 }),
      ];
      const fromA = (k: number) => typeOf(MATRIX.colIdx[k]!) === "A";
      const toB = (k: number) => typeOf(POST[k]!) === "B";
      for (const [expected, isOne] of [
        [plain, (k: number) => !fromA(k) && !toB(k)],
        [pre, (k: number) => fromA(k) && !toB(k)],
        [post, (k: number) => !fromA(k) && toB(k)],
        [both, (k: number) => fromA(k) && toB(k)],
      ] as const) {
        assertBitEqual(picked(grouped.values.hh!, isOne), picked(expected.values.hh!, isOne), "hh");
      }
      const decayed = await at({ lr: 0.05, weightDecay: 0.125 });
      for (const [expected, side] of [
        [decayed, "L"],
        [plain, "R"],
      ] as const) {
        const isOne = (k: number) => sideOf(k) === side;
        assertBitEqual(picked(grouped.values.bias!, isOne), picked(expected.values.bias!, isOne), `bias ${side}`);
      }
      assert.is(grouped.values.tau![1], 2);
      assertBitEqual([grouped.values.tau![0]!], [plain.values.tau![0]!], "tau");
      assertBitEqual(grouped.values.ih!, plain.values.ih!, "another parameter");
    });

    test(`${name}: frozen elements keep their bits and moments, and count in no norm`, async ({ backend }) => {
      const clip = { ...options, lr: 0.1, clipNorm: 2, neurons: NEURONS, weightDecay: 0.5 };
      const groups = [{ parameters: "*[type=A]", frozen: true }];
      const make = (more: OptimizerOptions) => (parameters: ParameterSet) =>
        new Optimiser(backend, parameters, { ...clip, ...more });
      const isFrozen = (name: string, k: number): boolean => {
        if (name === "hh") return typeOf(POST[k]!) === "A";
        if (name === "bias") return typeOf(k) === "A";
        if (name === "tau") return k === 0;
        if (name === "strength") return k < 3;
        if (name === "ih") return typeOf([0, 1, 20][k]!) === "A";
        if (name === "ho") return typeOf([3, 4, 30][k]!) === "A";
        return name === "dense" && typeOf(Math.floor(k / 2)) === "A";
      };
      // A gradient that is not finite harms nothing where it is not used.
      const frozen = await stepped(backend, make({ groups }), (p, g, k) => (isFrozen(p, k) ? Number.NaN : g));
      const without = await stepped(backend, make({}), (p, g, k) => (isFrozen(p, k) ? 0 : g));
      const parameters = parametersOn(backend);
      for (const { name } of parameters.all()) {
        const start = await parameters.read(name, "value");
        const [held, moved] = [(k: number) => isFrozen(name, k), (k: number) => !isFrozen(name, k)];
        assertBitEqual(picked(frozen.values[name]!, held), picked(start, held), `${name}, frozen`);
        assertBitEqual(picked(frozen.values[name]!, moved), picked(without.values[name]!, moved), name);
        assert.not.equal(picked(frozen.values[name]!, moved), picked(start, moved), `${name} moves`);
        for (const [moment, values] of Object.entries(frozen.moments)) {
          if (!moment.endsWith(`.${name}`)) continue;
          assert.ok(
            picked(values, held).every((x) => x === 0),
            moment,
          );
        }
      }
      parameters.dispose();
    });
  }

  test("norms of gradients leave out frozen elements", async ({ backend }) => {
    const parameters = parametersOn(backend);
    const groups = [
      { parameters: "!bias", frozen: true },
      { parameters: "bias[index=1-39]", frozen: true },
    ];
    const sgd = new SGD(backend, parameters, { groups, neurons: NEURONS });
    assert.equal(
      sgd.trained.map(({ name }) => name),
      ["bias"],
    );
    backend.upload(parameters.get("bias").grad!, new Float64Array(N).fill(3));
    assert.is(await sgd.gradientNorm(), 3);
    sgd.dispose();
    parameters.dispose();
  });

  test("groups of elements that make no sense are refused by name", ({ backend }) => {
    const parameters = parametersOn(backend);
    const says = (
      groups: OptimizerOptions["groups"],
      message: RegExp,
      neurons: SelectableNeurons | null = NEURONS,
    ): void => {
      assert.throws(
        () => new SGD(backend, parameters, { groups: groups!, neurons }),
        (e: Error) => e instanceof ArgumentError && message.test(e.message),
        String(message),
      );
    };
    says([{ parameters: "bias[type=A]", lr: 1 }], /groups\[0\]\.parameters/, null);
    says(
      [
        { parameters: "bias[type=A]", lr: 1 },
        { parameters: "bias[type=A|B]", lr: 2 },
      ],
      /parameters for which it has an effect, got "bias\[type=A\]".*\(groups\[0\]\.lr\)/,
    );
    says(
      [
        { parameters: "bias[type=A]", lr: 1 },
        { parameters: "bias[all]", frozen: true },
      ],
      /groups\[0\]\.lr/,
    );
    says(
      [
        { parameters: "*", frozen: true },
        { parameters: "bias[type=A]", frozen: false },
        { parameters: "bias[type=A]", frozen: true },
      ],
      /groups\[1\]\.frozen/,
    );
    parameters.dispose();
  });

  test("at most 128 groups divide the elements of a parameter", ({ backend }) => {
    const parameters = new ParameterSet(backend);
    parameters.add({ name: "b", role: "biases", of: "neurons", values: new Float64Array(200), trainable: true });
    const groups = (n: number) => Array.from({ length: n }, (_, i) => ({ parameters: `b[${i}]`, lr: i + 1 }));
    const make = (n: number) => new SGD(backend, parameters, { groups: groups(n), neurons: { count: 200 } });
    make(128).dispose();
    assert.throws(() => make(129), /at most 128 kinds of elements in b before it, got 129 \(groups\[128\]\)/);
    parameters.dispose();
  });
}

const effects = suite("penalties on elements that are trained");

effects("a term on elements that are all frozen has no effect and is refused", async () => {
  const backend = await createWasmBackend({ threads: 1 });
  const parameters = parametersOn(backend);
  const optimizer = new Adam(backend, parameters, {
    groups: [
      { parameters: "bias[type=A]", frozen: true },
      { parameters: "hh[post: side=L]", frozen: true },
    ],
    neurons: NEURONS,
  });
  const check = (pattern: string): void => {
    const terms = [{ name: "term", parameters: pattern, kind: "l2", weight: 1 }] as const;
    const penalties = new ParameterPenalties(backend, parameters, terms, { neurons: NEURONS });
    try {
      penalties.checkTrained(optimizer.trainedElements);
    } finally {
      penalties.dispose();
    }
  };
  for (const pattern of ["bias[type=A]", "bias[type=A][side=R]", "hh[post: side=L]", "hh[pre: type=B][post: side=L]"])
    assert.throws(() => check(pattern), /all frozen \(term\.parameters\)/, pattern);
  for (const pattern of ["bias", "bias[side=R]", "hh", "hh[pre: type=B]", "tau", "*[type=A]"]) check(pattern);
  optimizer.dispose();
  parameters.dispose();
  await backend.dispose();
});

const syntax = suite("patterns with neurons");

syntax("brackets hold selectors with their ends; quotes hide brackets", () => {
  const parsed = (pattern: string) => parsePattern("test", "pattern", pattern);
  assert.equal(parsed("rnn.*"), { parameters: "rnn.*", neurons: [] });
  assert.equal(parsed('w [pre: type="a]b" & side=L] [x]'), {
    parameters: "w",
    neurons: [
      { end: "pre", selector: ' type="a]b" & side=L' },
      { end: null, selector: "x" },
    ],
  });
  assert.equal(parsed("w[post=3]").neurons, [{ end: null, selector: "post=3" }], "a column of that name");
});

effects.run();
syntax.run();

forEachBackend("elements of parameters", ["f64", "f32"], define);

onWebGpu("elements of parameters", define);
