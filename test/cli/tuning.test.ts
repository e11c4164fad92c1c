// `axograd tuning` on a run with a planted motion detector: a connectome and a neuron table as files, time constants and biases set in the
// checkpoint.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readAnalysis } from "../../src/analysis/record.ts";
import { register } from "../../src/cli/analyses/tuning.ts";
import { ArgumentError, FileFormatError } from "../../src/core/errors.ts";
import { readNpz, writeSparseNpz } from "../../src/io/npz.ts";
import { analysisSections } from "../../src/report/analyses/index.ts";
import { standaloneSvg } from "../../src/report/figure.ts";
import { openRun } from "../../src/run/openRun.ts";
import {
  NOT_SELECTIVE,
  PLANTED_BIAS,
  PLANTED_TAU,
  PLANTED_TYPES,
  plantedDetector,
} from "../analysis/plantedDetector.ts";
import { tempDir } from "../io/fixtures.ts";
import { xmlFault } from "../support/xml.ts";
import { runCommand } from "./command.ts";
import { axograd } from "./process.ts";

const test = suite("tuning");
const dir = tempDir();
const RUN = join(dir, "run");
/** One speed, and little grey: as much as three neurons need. */
const PROBE = ["--speeds", "9.7", "--before", "0.1", "--after", "0.1"];

interface Tuned {
  readonly dsi: number;
  readonly direction: number | null;
  readonly responses: readonly number[];
}

interface Result {
  readonly networks: readonly {
    readonly name: string;
    readonly types: readonly {
      readonly name: string;
      readonly cells: number;
      readonly on: Tuned;
      readonly off: Tuned;
    }[];
  }[];
  readonly known: readonly { readonly type: string; readonly errors: readonly number[] }[];
  readonly shown: readonly string[];
  readonly notes: readonly string[];
}

async function tuning(...args: readonly string[]): Promise<Result> {
  const text = await runCommand(register, "tuning", RUN, ...PROBE, "--overwrite", "--json", ...args);
  return (JSON.parse(text) as { readonly result: Result }).result;
}

async function refused(
  kind: typeof ArgumentError | typeof FileFormatError,
  message: RegExp,
  ...args: readonly string[]
) {
  const error = await runCommand(register, "tuning", RUN, ...PROBE, "--overwrite", "--quiet", ...args).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  assert.instance(error, kind);
  assert.match((error as Error).message, message);
}

test.before(async () => {
  const { eye, csr } = plantedDetector(2);
  await writeSparseNpz(join(dir, "planted_csr.npz"), csr);
  const rows = PLANTED_TYPES.flatMap((type) =>
    Array.from(eye.u, (u, c) => `${type},${u},${eye.v[c]},${type === "Detector" ? "output" : "input"}`),
  );
  await writeFile(join(dir, "planted_neurons.csv"), `${["cell_type,u,v,role", ...rows].join("\n")}\n`);
  const train = [
    ...["train", "--data", "motion", "--data-options", "extent=2,frames=8,settle=3", "--connectome", "planted_csr.npz"],
    ...["--share", "none", "--no-train-connectome", "--steps", "1", "--batch-size", "4", "--train-samples", "4"],
    ...["--validation-samples", "2", "--test-samples", "2", "--threads", "1", "--device", "wasm", "--out", "run"],
  ];
  const { code, stderr } = await axograd(train, { cwd: dir });
  assert.is(code, 0, stderr);
  process.chdir(dir);
  await using run = await openRun(RUN);
  const perNeuron = (of: Readonly<Record<string, number>>) =>
    PLANTED_TYPES.flatMap((type) => new Array<number>(eye.count).fill(of[type]!));
  run.model.parameters.setAll([
    ["rnn.tau", perNeuron(PLANTED_TAU)],
    ["rnn.hh.bias", perNeuron(PLANTED_BIAS)],
  ]);
  await run.save(join(RUN, "checkpoint.safetensors"));
});

test("a planted detector is found, beside the run as it began, with its known direction", async () => {
  await writeFile("known.csv", "type,edge,direction\nDetector,on,20\nT4a,on,180\n");
  const { networks, shown, known, notes } = await tuning(
    "--beside",
    "untrained",
    "--known",
    "known.csv",
    "--out",
    "tuning.csv",
  );
  assert.equal(
    networks.map(({ name }) => name),
    [RUN, "untrained"],
  );
  const { on, off, cells } = networks[0]!.types.find(({ name }) => name === "Detector")!;
  assert.ok(on.dsi > 0.9 && Math.abs(on.direction! - 30) < 1e-3, `${on.dsi} at ${on.direction}`);
  assert.equal([off.dsi, off.direction, cells], [0, null, 1]);
  const untrained = networks[1]!.types.find(({ name }) => name === "Detector")!;
  assert.ok(untrained.on.dsi < 0.9);
  assert.equal(shown, ["Detector"]);
  assert.is(known.length, 1);
  assert.ok(Math.abs(known[0]!.errors[0]! - 10) < 1e-3);
  assert.equal(notes, ["known.csv names T4a, which is not probed"]);
  const lines = (await readFile("tuning.csv", "utf8")).trim().split("\n");
  assert.is(lines[0], "network,type,edge,speed [columns/s],direction [deg],response");
  assert.is(lines.length, 1 + 2 * 3 * 2 * 12);
  const cell = lines.find((line) => line.startsWith(`${RUN},Detector,on,9.7,30,`))!;
  assert.is(Number(cell.split(",").at(-1)), on.responses[1]);
});

test("it is gone when the delayed input is silenced; cells of a type answer alike, but at the border", async () => {
  const { networks } = await tuning(...["--silence", "Slow", "--beside", "intact", "--out", "tuning.npz"]);
  const [silenced, intact] = networks.map(({ types }) => types.find(({ name }) => name === "Detector")!.on);
  assert.ok(silenced!.dsi < NOT_SELECTIVE && silenced!.responses[0]! > 0.1, `${silenced!.dsi}`);
  assert.ok(intact!.dsi > 0.9);
  const arrays = await readNpz("tuning.npz", ["responses", "dsi"]);
  assert.equal(arrays.get("responses")!.shape, [2, 3, 2, 1, 12]);
  assert.equal(arrays.get("dsi")!.shape, [2, 3, 2]);
  // 19 columns, 5 of which have no neighbour in the planted direction: no inhibition.
  const all = await tuning("--cells", "all", "--neurons", "Detector");
  const { cells, on } = all.networks[0]!.types[0]!;
  assert.is(cells, 19);
  const bare = silenced!.responses[6]!;
  assert.ok(Math.abs(on.responses[6]! - (5 / 19) * bare) < 1e-6, `${on.responses[6]}, ${bare}`);
});

test("the record gives figures, and a damaged one an error", async () => {
  await tuning();
  const file = join(RUN, "analyses", "tuning.json");
  const record = await readAnalysis(file, "tuning");
  const { sections, notes } = analysisSections([record]);
  assert.equal(notes, []);
  assert.equal(
    sections[0]!.figures.map(({ id }) => id),
    ["tuning-curves", "tuning-selectivity", "tuning-polarity"],
  );
  for (const figure of sections[0]!.figures) {
    assert.is(xmlFault(standaloneSvg(figure)), null);
    assert.match(JSON.stringify(figure.table), /Detector/);
  }
  const text = await readFile(file, "utf8");
  await writeFile(join(dir, "hostile.json"), text.replaceAll("Detector", "</svg><script>&"));
  for (const figure of analysisSections([await readAnalysis(join(dir, "hostile.json"), "hostile")]).sections[0]!
    .figures)
    assert.is(xmlFault(standaloneSvg(figure)), null);
  for (const [part, wrong] of [
    ['"types":[', '"types":3,"others":['],
    ['"curve":[', '"curve":["a",'],
    ['"curve":[', '"curve":[1,'],
    ['"dsi":', '"dsi":7,"x":'],
  ] as const) {
    const damaged = join(dir, "damaged.json");
    assert.ok(text.includes(part));
    await writeFile(damaged, text.replace(part, wrong));
    const found = analysisSections([await readAnalysis(damaged, "damaged")]);
    assert.is(found.sections.length, 0);
    assert.match(found.notes[0]!, /cannot be shown/);
  }
});

test("wrong options are refused before any work", async () => {
  await writeFile("wrong.csv", "type,edge,direction\nDetector,up,30\n");
  await refused(ArgumentError, /--speeds/, "--speeds", "1,-2");
  await refused(ArgumentError, /--directions/, "--directions", "2");
  await refused(ArgumentError, /each network once/, "--beside", "intact", "--beside", "intact");
  await refused(ArgumentError, /nowhere/, "--beside", "nowhere");
  await refused(ArgumentError, /--show/, "--show", "T4a");
  await refused(FileFormatError, /on or off/, "--known", "wrong.csv");
  await refused(ArgumentError, /\(before\)/, "--before", "0.001");
});

test.run();
