// Random programs against the oracle, bit for bit in f64: values read in place, stores computed where they belong, the order of
// instructions, generated functions, shared registers and shared temporaries must not show.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { BindingId, PointwiseOp, Program, ValueId } from "../../src/backend/program.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { assertBitEqual } from "../support/close.ts";
import { normal } from "../support/conformance/case.ts";
import { type ConformanceCase, runCase } from "../support/conformance.ts";
import { DEFAULT_SEED } from "../support/matrices.ts";
import { createOracleBackend } from "../support/oracleBackend.ts";
import { type PhaseBuilder, ProgramBuilder } from "../support/programBuilder.ts";

const PROGRAMS = 400;
/** Operations that round once, so that the oracle's result is the only right one. */
const UNARY: readonly PointwiseOp[] = ["neg", "abs", "relu", "floor"];
const BINARY: readonly PointwiseOp[] = ["add", "add", "sub", "sub", "mul", "mul", "mul", "min", "max", "lt"];

const test = suite("random programs");
const backends = [
  await createWasmBackend({ dtype: "f64", threads: 1, debug: true }),
  await createWasmBackend({ dtype: "f64", threads: 1 }),
];
const oracle = createOracleBackend();
test.after(async () => {
  for (const backend of backends) await backend.dispose();
});

/** What a generated phase may load from and store to. */
interface Space {
  readonly loadable: readonly BindingId[];
  readonly storable: readonly BindingId[];
  /** Per-sample results of reductions over rows. */
  readonly reducible: readonly BindingId[];
}

/** Some phases are so long that their functions have more local variables than fit one byte of a number. */
const LONG = 250;

/** A phase of 5 to 30 instructions, or of many more, that reads, computes, stores and reduces in any order. */
function writePhase(p: PhaseBuilder, { loadable, storable, reducible }: Space, stream: RandomStream): void {
  const pick = <T>(items: readonly T[]): T => items[stream.below(items.length)]!;
  const values: ValueId[] = [p.load(pick(loadable)), p.load(pick(storable))];
  const left = [...reducible];
  // Recent values more often, so that chains arise.
  const value = (): ValueId => values[Math.max(0, values.length - 1 - Math.floor(stream.below(16) ** 2 / 20))]!;
  for (let i = stream.below(16) === 0 ? LONG : 5 + stream.below(26); i > 0; i--) {
    const choice = stream.below(23);
    if (choice < 4) values.push(p.load(pick(loadable)));
    else if (choice < 6) values.push(p.load(pick(storable)));
    else if (choice === 6) values.push(p.const(stream.normal()));
    else if (choice === 7) values.push(p.push({ op: "rowIndex" }));
    else if (choice === 8) values.push(p.op("select", value(), value(), value()));
    else if (choice === 9) values.push(p.op(pick(UNARY), value()));
    else if (choice < 17) values.push(p.op(pick(BINARY), value(), value()));
    else if (choice < 19) p.store(pick(storable), value());
    else if (choice === 19) p.accumulate(pick(storable), value());
    // A function that the interpreter runs; whether its result is positive is the same everywhere.
    else if (choice < 22) values.push(p.op("lt", p.const(0), p.op("exp", value())));
    else {
      const binding = left.pop();
      if (binding !== undefined)
        p.push({ op: "reduceRows", binding, value: value(), how: "max", accumulate: stream.below(2) === 0 });
    }
  }
  p.store(pick(storable), value());
}

function randomProgram(stream: RandomStream): Program {
  const rows = 1 + stream.below(100);
  const b = new ProgramBuilder("random");
  const states = ["s0", "s1"].map((name) => b.input(name, "state", { rows }));
  const outputs = ["o0", "o1", "o2"].map((name) => b.inout(name, "state", { rows }));
  const vectors = ["r0", "r1"].map((name) => b.input(name, "row", { rows }));
  const results = ["v0", "v1"].map((name) => b.inout(name, "row", { rows }));
  const peaks = ["m0", "m1"].map((name) => b.inout(name, "sample"));
  const broadcast = [b.input("sample", "sample"), b.input("scalar", "scalar")];
  const early = b.temp("early", "state", rows, 0, 1);
  const late = b.temp("late", "state", rows, 2, 3);
  const batch = (storable: readonly BindingId[], loadable: readonly BindingId[] = []): void => {
    const space = { loadable: [...states, ...vectors, ...broadcast, ...loadable], storable, reducible: peaks };
    b.phase(rows, (p) => writePhase(p, space, stream));
  };
  b.phase(rows, (p) => p.store(early, p.op("add", p.load(states[0]!), p.load(vectors[0]!))));
  batch([...outputs, early]);
  b.phase(rows, (p) => p.store(late, p.op("mul", p.load(states[1]!), p.load(vectors[1]!))));
  batch(outputs, [late]);
  const plain = { loadable: [...vectors, broadcast[1]!], storable: results, reducible: [] };
  b.plainPhase(rows, (p) => writePhase(p, plain, stream));
  return b.build();
}

test("random programs give the bits of the oracle", async () => {
  for (let seed = 0; seed < PROGRAMS; seed++) {
    const stream = new RandomStream(deriveKey(keyOfSeed(DEFAULT_SEED), seed));
    const program = randomProgram(stream);
    const names = program.bindings.filter((b) => !b.temp).map((b) => b.name);
    const written = program.bindings.filter((b) => b.access === "readwrite" && !b.temp).map((b) => b.name);
    const c: ConformanceCase = {
      name: `random program ${seed} of seed ${DEFAULT_SEED}`,
      lanes: [3, 8, 16][seed % 3]!,
      program,
      inputs: Object.fromEntries(names.map((name) => [name, normal])),
      outputs: Object.fromEntries(written.map((name) => [name, { kind: "exact" }])),
    };
    const backend = backends[seed % backends.length]!;
    const layout = backend.layoutFor(c.lanes);
    const actual = await runCase(backend, c);
    const expected = await runCase(oracle, c, { layout, dtype: "f64" });
    // Adding 0 makes −0 and 0 alike: which of them a product of zeros is depends on nothing that matters.
    for (const name of written) {
      assertBitEqual(
        actual[name]!.map((x) => x + 0),
        expected[name]!.map((x) => x + 0),
        `${c.name}: ${name}`,
      );
    }
  }
  for (const backend of backends) assert.is(backend.memory().liveBuffers, 0);
});

test.run();
