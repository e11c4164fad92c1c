// Parts of the benchmarks: what refuses a wrong kernel, formulas, statistics, tables.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { spmmCase } from "../../bench/cases/contractions.ts";
import { epilogueCase } from "../../bench/cases/pointwise.ts";
import { QUICK_EFFORT } from "../../bench/measure.ts";
import { Meter } from "../../bench/meter.ts";
import { makeNetwork } from "../../bench/networks.ts";
import { parseOptions } from "../../bench/options.ts";
import { MARKER_BEGIN, MARKER_END, replaceTable } from "../../bench/report/markdown.ts";
import { allowedSeconds, workingSets } from "../../bench/roofline/roofline.ts";
import type { Roofline } from "../../bench/row.ts";
import { fittedExponent, summarise } from "../../bench/stats.ts";
import { type CaseSession, timeCase } from "../../bench/suites/kernels.ts";
import { verify, WrongResultError } from "../../bench/verify.ts";
import type { Backend, DeviceBuffer } from "../../src/backend/backend.ts";
import { ArgumentError } from "../../src/core/errors.ts";
import { createOracleBackend } from "../support/oracleBackend.ts";

const test = suite("parts of the benchmarks");

/** The oracle in f32's clothes; `spoil` changes what is read from it. */
function pretender(spoil: (values: Float64Array) => void): Backend {
  const oracle = createOracleBackend();
  return new Proxy(oracle, {
    get(target, key) {
      if (key === "dtype") return "f32";
      if (key === "download") {
        return async (source: DeviceBuffer) => {
          const values = await target.download(source);
          spoil(values as Float64Array);
          return values;
        };
      }
      const value: unknown = Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

test("a kernel is refused when one element is wrong by more than rounding, NaN, or missing", async () => {
  const network = (await makeNetwork("100x1000"))!;
  const reference = createOracleBackend();
  for (const make of [spmmCase, epilogueCase]) {
    await verify(
      make(network, 20),
      pretender(() => {}),
      reference,
    );
    for (const wrong of [(x: number) => x + 1e-3, (x: number) => x * 2 + 1e-3, () => Number.NaN]) {
      const backend = pretender((values) => {
        values[7] = wrong(values[7]!);
      });
      let caught: unknown = null;
      await verify(make(network, 20), backend, reference).catch((error: unknown) => {
        caught = error;
      });
      assert.instance(caught, WrongResultError);
    }
  }
});

test("a wrong kernel is reported and never timed; a right one gets a row", async () => {
  const network = (await makeNetwork("100x1000"))!;
  const heard: string[] = [];
  const timeOn = (backend: Backend): Promise<void> => {
    const session: CaseSession = {
      meter: new Meter(backend),
      effort: QUICK_EFFORT,
      row: ({ op }) => heard.push(`row ${op}`),
      peerRow: () => heard.push("peer"),
      note: (text) => heard.push(text),
      refuse: (text) => heard.push(`refused ${text.split(":", 1)[0]}`),
    };
    return timeCase(session, spmmCase(network, 8), createOracleBackend(), []);
  };
  let runs = 0;
  const wrong = pretender((values) => values.fill(0));
  const counted = new Proxy(wrong, {
    get(target, key) {
      if (key === "run") runs++;
      return Reflect.get(target, key);
    },
  });
  await timeOn(counted);
  assert.equal(heard, ["refused spmm, batch 8"]);
  assert.is(runs, 1, "one run, to check it");
  await timeOn(pretender(() => {}));
  assert.equal(heard.slice(1), ["row spmm"]);
});

test("rounding to f32 is not refused", async () => {
  const network = (await makeNetwork("100x1000"))!;
  const rounding = pretender((values) => {
    values.set(Float32Array.from(values));
  });
  await verify(spmmCase(network, 8), rounding, createOracleBackend());
});

const ROOFLINE: Roofline = {
  threads: 1,
  flops: 100,
  copy: 1,
  levels: [
    { name: "L2", bytes: 1000, bandwidth: 50 },
    { name: "L3", bytes: 10_000, bandwidth: 20 },
    { name: "DRAM", bytes: 1e9, bandwidth: 5 },
  ],
};

test("working sets show a level of any size, and leave the machine its memory", () => {
  const [MIB, GIB] = [2 ** 20, 2 ** 30];
  assert.equal(workingSets({ l2: MIB, l3: 32 * MIB }, 16 * GIB, 2), { l2: MIB / 2, l3: 8 * MIB, dram: 128 * MIB });
  assert.equal(workingSets({ l2: 2 * MIB, l3: 480 * MIB }, 16 * GIB, 1), { l2: MIB, l3: 240 * MIB, dram: 960 * MIB });
  assert.equal(workingSets({ l2: 2 * MIB, l3: 480 * MIB }, 4 * GIB, 2), { l2: MIB, l3: 120 * MIB, dram: 256 * MIB });
});

test("the roofline is the slowest of arithmetic and of each level with all that lies beyond it", () => {
  const time = (flops: number, ...traffic: (readonly [number, number])[]): number =>
    allowedSeconds({ flops, traffic: traffic.map(([bytes, workingSet]) => ({ bytes, workingSet })) }, ROOFLINE);
  assert.is(time(300), 3);
  assert.is(time(0, [500, 100]), 10);
  assert.is(time(0, [500, 5000]), 25);
  assert.is(time(0, [500, 1e6]), 100);
  assert.is(time(0, [500, 100], [100, 5000]), 12);
  assert.is(time(0, [100, 5000], [100, 1e6]), 20);
});

test("summaries: median, minimum, confidence", () => {
  assert.equal(summarise([3]), { medianS: 3, minS: 3, rmePct: null, samples: 1 });
  const { medianS, minS, rmePct } = summarise([1, 2, 3, 4]);
  assert.equal([medianS, minS], [2.5, 1]);
  // t(0.975; 3) = 3.182, standard error √(5/3)/2.
  assert.ok(Math.abs(rmePct! - (100 * 3.182 * Math.sqrt(5 / 3)) / 2 / 2.5) < 2);
});

test("exponents of exact power laws", () => {
  assert.ok(Math.abs(fittedExponent([1, 2, 5].map((x) => [x, 3 * x ** 1.5]))! - 1.5) < 1e-12);
  assert.is(
    fittedExponent([
      [2, 1],
      [2, 3],
    ]),
    null,
  );
});

test("a table goes between its markers and nowhere else", () => {
  const text = `before\n${MARKER_BEGIN}\nold\n${MARKER_END}\nafter`;
  const replaced = replaceTable(text, "| new |");
  assert.is(replaced, `before\n${MARKER_BEGIN}\n\n| new |\n\n${MARKER_END}\nafter`);
  assert.is(replaceTable(replaced, "| new |"), replaced);
  assert.is(replaceTable("no markers", "| new |"), "no markers");
});

test("options: lists, defaults, and messages with the nearest name", () => {
  const options = parseOptions(["--suite", "step,rhs", "--sizes", "tiny,20x90", "--batch", "1,256", "--threads", "2"]);
  assert.equal(options.suites, ["rhs", "step"]);
  assert.equal(options.batches, [1, 256]);
  assert.equal(parseOptions(["--quick"]).sizes, ["tiny"]);
  assert.equal(parseOptions(["--peers", "torch,eigen", "--rounds", "2"]).peers, ["torch", "eigen"]);
  assert.is(parseOptions(["--rounds", "2"]).rounds, 2);
  assert.equal(parseOptions(["--no-peers"]).peers, []);
  assert.ok(parseOptions([]).peers.includes("native-128"));
  for (const argv of [
    ["--batch", "0"],
    ["--suite", "stpe"],
    ["--frobnicate"],
    ["--dtype", "f16"],
    ["--peers", "torhc"],
    ["--rounds", "0"],
  ]) {
    assert.throws(
      () => parseOptions(argv),
      (error: unknown) => error instanceof ArgumentError,
    );
  }
});

test.run();
