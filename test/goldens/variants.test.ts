// Cases in the format of the reference values, in combinations that are not shipped: every one runs, and forward passes are what a
// plain integration of the equations gives. What cannot be run is skipped with the reason; what is malformed fails by name.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { writeNpz } from "../../src/io/npz.ts";
import { tempDir } from "../io/fixtures.ts";
import { assertClose } from "../support/close.ts";
import { runCase } from "./cases.ts";
import { type CaseArrays, readCaseArrays, readGoldens } from "./format.ts";
import { integrate } from "./integrate.ts";
import { checkCase } from "./report.ts";
import { type Variant, writeVariants } from "./variants.ts";

const TIGHT = { type: "integral", atol: 1e-9, rtol: 1e-8 };
const PID = { type: "pid", atol: 1e-9, rtol: 1e-8, pcoeff: 0.3, icoeff: 0.6, dcoeff: 0.1 };
/** Where the input jumps or φ has kinks, rounding decides how long adaptive steps are, and with that the gradients. */
const FIXED = { controller: { type: "fixed" }, dt0: 1 / 64 };
/** Times of 17 samples, each with its own interval. */
const own = (times: readonly number[]) => Array.from({ length: 17 }, (_, s) => times.map((t) => t * (1 + s / 20)));

const VARIANTS: readonly Variant[] = [
  {
    name: "everything_backwards",
    kind: "ode_rnn",
    ...{ neurons: 19, inputs: 6, batch: 17, sequence: 3, types: 3, ih: "dense", ho: [4, "dense"], hoBias: false },
    ...{ signs: true, h0: true, times: 4 },
    options: {
      act: [null, "Tanh, Softplus", "ReLU"],
      tau_mode: "per_neuron_type",
      batch_first: false,
      ...FIXED,
      forward: { num_evals: 4, start_time: 1, end_time: -0.5 },
    },
  },
  {
    name: "duplicates_alone",
    kind: "ode_rnn",
    ...{ neurons: 11, batch: 1, ho: [3, "sparse"], raw: true, empty: 2, bias: false, times: 2 },
    options: { act: "Tanh", train_tau: false, train_hh: false, forward: {} },
  },
  {
    name: "model_with_solver_options",
    kind: "ode_rnn",
    ...{ neurons: 9, inputs: 4, batch: 3, ih: "sparse", times: 3 },
    options: { method: "tsit5", controller: { ...PID, norm: "max" }, bptss: false, forward: { num_evals: 3 } },
  },
  {
    name: "solver_tsit5_pid_max_types_backwards",
    kind: "solver",
    ...{ neurons: 13, inputs: 5, batch: 17, types: 2, ih: "dense", signs: true, h0: true, times: 3 },
    options: {
      act: ["Sigmoid", "Softplus"],
      tau_mode: "per_neuron_type",
      method: "tsit5",
      controller: { ...PID, norm: "max" },
      t_eval: own([0.5, 0.2, -0.25]),
      dt0: Array.from({ length: 17 }, (_, s) => 0.01 + s / 1000),
    },
  },
  {
    name: "solver_heun_sequence_time_first",
    kind: "solver",
    ...{ neurons: 8, inputs: 3, batch: 3, sequence: 4, ih: "sparse", times: 3 },
    options: {
      batch_first: false,
      method: "heun",
      controller: { ...TIGHT, atol: 1e-6, rtol: 1e-5, dt_max: 0.1 },
      bptss: false,
      t_eval: [0.5, 1, 2.5],
      start: 0.5,
      end: 2.5,
    },
  },
  {
    name: "solver_euler_fixed_end_only",
    kind: "solver",
    ...{ neurons: 7, batch: 2, types: 2, times: 1 },
    options: {
      act: ["ReLU", null],
      method: "euler",
      controller: { type: "fixed" },
      dt0: 0.001,
      t_start: [0, 0.5],
      t_end: [1, 0.25],
    },
  },
  {
    name: "solver_too_many_steps_in_one_of_two_chunks",
    kind: "solver",
    ...{ neurons: 8, inputs: 3, batch: 17, ih: "sparse", h0: true },
    options: {
      method: "dopri5",
      controller: TIGHT,
      // The last sample needs more steps than all others.
      t_eval: Array.from({ length: 17 }, (_, s) => (s === 16 ? [0, 20] : [0, 0.02])),
      max_steps: 8,
      fails: true,
    },
  },
  {
    name: "rnn_types_dense_input",
    kind: "rnn",
    ...{ neurons: 10, inputs: 4, batch: 1, types: 3, ih: "dense", ho: [2, "dense"], signs: true, h0: true, times: 4 },
    options: { act: ["Tanh", null, "Sigmoid"], tau_mode: "per_neuron_type", forward: { num_steps: 4 } },
  },
  {
    name: "rnn_classifier_sequence_all_times",
    kind: "rnn_classifier",
    ...{ neurons: 9, inputs: 5, batch: 17, sequence: 3, types: 2, ih: "sparse", ho: [4, "sparse"], classes: 3 },
    options: { act: ["ReLU", "Tanh"], batch_first: false, forward: { loss_all_timesteps: true } },
  },
  {
    name: "classifier_sequence_all_times",
    kind: "ode_classifier",
    ...{ neurons: 12, inputs: 5, batch: 17, sequence: 2, types: 2, ih: "dense", ho: [4, "dense"], classes: 4 },
    options: {
      batch_first: false,
      ...FIXED,
      forward: { num_evals: 3, end_time: 2, loss_all_timesteps: true },
    },
  },
  {
    name: "train_sgd_momentum_decay",
    kind: "train",
    ...{ neurons: 9, inputs: 4, batch: 5, sequence: 2, types: 2, ih: "sparse", classes: 3, signs: true },
    options: {
      tau_mode: "per_neuron_type",
      steps: 4,
      optimizer: { type: "SGD", lr: 0.05, momentum: 0.9, weight_decay: 0.01, nesterov: true },
      clip_norm: 0.3,
      forward: { num_evals: 3, loss_all_timesteps: true },
    },
  },
  {
    name: "train_adam_decay",
    kind: "train",
    ...{ neurons: 9, batch: 17, ho: [3, "dense"], classes: 3 },
    options: {
      steps: 3,
      optimizer: { type: "Adam", lr: 0.01, betas: [0.8, 0.99], eps: 1e-6, weight_decay: 0.1 },
      train_tau: false,
      forward: {},
    },
  },
  {
    name: "backsolve_types_dense",
    kind: "backsolve",
    ...{ neurons: 7, inputs: 3, batch: 17, types: 2, ih: "dense", signs: true, h0: true, times: 3 },
    options: {
      act: ["Tanh", "Sigmoid"],
      tau_mode: "per_neuron_type",
      method: "tsit5",
      controller: PID,
      t_eval: own([0, 0.3, 0.7]),
    },
  },
  {
    name: "joint_backsolve_no_bias",
    kind: "joint_backsolve",
    ...{ neurons: 6, batch: 17, bias: false, h0: true, times: 1 },
    options: {
      controller: TIGHT,
      t_start: new Array<number>(17).fill(0),
      t_end: Array.from({ length: 17 }, (_, s) => 0.5 + s / 20),
    },
  },
];

const folder = tempDir();
const goldens = await writeVariants(folder, VARIANTS);
const arrays = new Map<string, CaseArrays>();
for (const golden of goldens) arrays.set(golden.name, await readCaseArrays(golden, "f64"));

const backend = await createWasmBackend({ dtype: "f64", threads: 2 });
const test = suite("goldens: other cases in the same format");

for (const golden of goldens) {
  test(`${golden.name} runs and agrees with the oracle`, async () => {
    const { verdict, notes, failures } = await checkCase(backend, golden);
    assert.is(verdict, "passed", JSON.stringify({ notes, failures }));
    assert.equal(notes, []);
  });

  if (golden.kind === "train" || golden.options.solver.fails) continue;
  test(`${golden.name}: states are those of a plain integration`, () => {
    const { inputs, references } = arrays.get(golden.name)!;
    const states = references.get("hs") ?? references.get("ys")!;
    // Models have rtol 1e-3 unless told otherwise; the integration itself is off by less.
    const { rtol, type } = golden.options.solver.controller;
    const loose = rtol > 1e-5 || type === "fixed";
    assertClose(states.data, integrate(golden, inputs), loose ? 5e-3 : 2e-4, "states");
  });
}

const index = JSON.parse(readFileSync(join(folder, "index.json"), "utf8")) as { cases: Record<string, unknown>[] };
const caseNamed = (name: string) => index.cases.find((c) => c.name === name)!;

test("where one sample fails, all stop in that step, in whatever chunk they are", () => {
  const { references } = arrays.get("solver_too_many_steps_in_one_of_two_chunks")!;
  const [status, nSteps] = [references.get("status")!.data, references.get("n_steps")!.data];
  assert.equal(Array.from(status), [...new Array<number>(16).fill(0), 3]);
  assert.is(nSteps[16], 8);
  assert.ok(Array.from(nSteps).every((n) => n <= 8));
});

test("adjoint equations start with the case's first step", async () => {
  const counts = async (dt0: number | null) => {
    const name = "backsolve_types_dense";
    const cases = [{ ...caseNamed(name), ...(dt0 === null ? {} : { dt0 }) }];
    writeFileSync(join(folder, "index.json"), JSON.stringify({ format: 1, cases }));
    const [golden] = await readGoldens(folder);
    const outputs = await runCase(backend, golden!, arrays.get(name)!.inputs);
    return Array.from(outputs.get("n_f_evals")!);
  };
  const [found, given] = [await counts(null), await counts(1e-3)];
  // The heuristic takes an evaluation more than a given step.
  assert.not.equal(given, found);
});

// ---- what cannot be run, and what is malformed -------------------------------------------------------------------------------

/** The verdict on a case of the folder after a change of its entry in the index. */
async function verdictOf(name: string, change: Record<string, unknown>): Promise<{ verdict: string; notes: string }> {
  const cases = [{ ...caseNamed(name), ...change }];
  writeFileSync(join(folder, "index.json"), JSON.stringify({ format: 1, cases }));
  const [golden] = await readGoldens(folder);
  const { verdict, notes } = await checkCase(backend, golden!);
  return { verdict, notes: notes.join("; ") };
}

test("what is not known is skipped, with the reason", async () => {
  const skipped: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
    ["duplicates_alone", { kind: "quantum" }, /unknown kind "quantum"/],
    ["solver_heun_sequence_time_first", { method: "bulirsch" }, /unknown method "bulirsch"/],
    ["model_with_solver_options", { controller: { type: "fuzzy" } }, /unknown controller "fuzzy"/],
    ["model_with_solver_options", { controller: { norm: "l1" } }, /unknown norm "l1"/],
    ["train_adam_decay", { optimizer: { type: "Lion", lr: 1 } }, /unknown optimizer "Lion"/],
    ["train_adam_decay", { optimizer: { type: "Adam", lr: 1, amsgrad: true } }, /unknown arguments of Adam: amsgrad/],
  ];
  for (const [name, change, reason] of skipped) {
    const { verdict, notes } = await verdictOf(name, change);
    assert.is(verdict, "skipped", `${name}: ${notes}`);
    assert.match(notes, reason);
  }
});

test("what is malformed fails and says where", async () => {
  const arraysOf = (name: string) => caseNamed(name).arrays as Record<string, unknown>;
  const own = arraysOf("duplicates_alone");
  const { in_tau: _, ...without } = own;
  const inputs = Object.entries(arraysOf("train_adam_decay")).filter(([name]) => name.startsWith("in_"));
  const failed: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
    ["duplicates_alone", { arrays: without }, /an array "in_tau", got none/],
    ["duplicates_alone", { arrays: { ...own, in_ghost: ["float32", [3]] } }, /in_ghost/],
    ["duplicates_alone", { arrays: { ...own, in_tau: ["float32", [12]] } }, /in_tau of shape \[12\].*\[11\]/],
    ["train_adam_decay", { arrays: Object.fromEntries(inputs) }, /nothing to compare with in f64/],
  ];
  for (const [name, change, message] of failed) {
    const { verdict, notes } = await verdictOf(name, change);
    assert.is(verdict, "failed", `${message}: ${notes}`);
    assert.match(notes, message);
  }
});

test("triples out of order fail: values and gradients would belong to other connections", async () => {
  const { inputs } = arrays.get("solver_euler_fixed_end_only")!;
  const reversed = [...inputs].map(([name, { shape, data }]) => {
    const turned = name.startsWith("hh_") && !name.endsWith("bias") ? data.slice().reverse() : data;
    return [`in_${name}`, { shape, data: turned }] as const;
  });
  await writeNpz(join(folder, "turned.npz"), Object.fromEntries(reversed));
  const shapes = Object.fromEntries(reversed.map(([name, { shape }]) => [name, ["float32", shape]]));
  const { verdict, notes } = await verdictOf("solver_euler_fixed_end_only", { file: "turned.npz", arrays: shapes });
  assert.is(verdict, "failed");
  assert.match(notes, /in_hh by row, then column, without duplicates/);
});

test.after(() => backend.dispose());
test.run();
