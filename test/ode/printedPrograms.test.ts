// The solver's programs, instruction by instruction, against the files in printed/. A change of one of them is meant, or a mistake:
// AXOGRAD_WRITE_TEXTS=1 npm test -- printedPrograms writes the files anew, and `git diff` shows what has become of the programs.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { sourceOf } from "../../src/autodiff/lower.ts";
import { printGraph } from "../../src/autodiff/printGraph.ts";
import { printProgram } from "../../src/backend/printProgram.ts";
import type { Program } from "../../src/backend/program.ts";
import { rateDynamics } from "../../src/models/rateDynamics.ts";
import type { Controller } from "../../src/ode/method.ts";
import { programsIn, solverPrograms } from "../../src/ode/programs.ts";
import type { Tableau } from "../../src/ode/tableau.ts";
import { dopri5, euler } from "../../src/ode/tableaus/index.ts";
import { assertGoldenText } from "../support/goldenText.ts";
import { INTEGRAL } from "./harness.ts";

const test = suite("printed programs");

const PRINTED = [
  ...["init", "attempt", "dense", "init.reverse", "attempt.reverse", "attempt.reverse.dense"],
  ...["rebuildStages", "dense.reverse"],
];

/** Of the rate model with six neurons and nine connections. */
function programsOf(tableau: Tableau, controller: Controller): readonly Program[] {
  const system = rateDynamics({
    ...{ nNeurons: 6, nnz: 9, nonlinearities: ["ReLU"] },
    ...{ signed: false, bias: true, steps: 1 },
  });
  const wrt = { wrt: ["hh", "tau", "bias", "drive"], throughStepSizeControl: false };
  const all = solverPrograms(system, { tableau, controller, maxSteps: 100 }, true, wrt);
  const programs = [all, all.reverse!, all.reverse!.severalPoints].flatMap(programsIn);
  return PRINTED.map((name) => programs.find((program) => program.name === name)!);
}

for (const [tableau, controller] of [
  [euler, { type: "fixed" }],
  [dopri5, INTEGRAL],
] as const) {
  for (const program of programsOf(tableau, controller)) {
    const { name } = program;
    test(`${tableau.name}, ${name}`, () => {
      assertGoldenText(`ode/printed/${tableau.name}/${name}.txt`, printProgram(program));
    });
  }
}

test("a graph names its values as the program does its temporaries", () => {
  const attempt = programsOf(euler, { type: "fixed" }).find(({ name }) => name === "attempt")!;
  const graph = printGraph(sourceOf(attempt)!);
  assertGoldenText("ode/printed/euler/attempt.graph.txt", graph);
  const temporaries = attempt.bindings.filter(({ temp }) => temp);
  assert.ok(temporaries.length > 0);
  for (const { name } of temporaries) assert.ok(graph.includes(`${name} = `), name);
});

test("another text, a missing line and a missing file are found", () => {
  const [program] = programsOf(euler, { type: "fixed" });
  const text = printProgram(program!);
  const file = `ode/printed/euler/${program!.name}.txt`;
  if (process.env.AXOGRAD_WRITE_TEXTS) return;
  assert.throws(() => assertGoldenText(file, text.replace("v0", "v9")), /line \d+: expected/);
  assert.throws(() => assertGoldenText(file, text.trimEnd()), /line \d+: expected ""/);
  assert.throws(() => assertGoldenText(file, `${text}more`), /line \d+/);
  assert.throws(() => assertGoldenText("ode/printed/none.txt", text), /expected a file, got none/);
});

test.run();
