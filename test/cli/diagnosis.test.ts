// Training says when it cannot work, and only then.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { tempDir } from "../io/fixtures.ts";
import { writeNetwork } from "./network.ts";
import { axograd, jsonLines, type Line } from "./process.ts";

const test = suite("axograd train, diagnosis");
const dir = tempDir();
const QUICK: readonly string[] = [
  ...["--train-samples", "512", "--validation-samples", "0", "--test-samples", "0", "--no-report"],
  ...["--threads", "1", "--device", "wasm", "--json"],
];

interface Diagnosed {
  readonly diagnoses: readonly Line[];
  readonly faults: readonly string[];
  readonly stderr: string;
}

async function train(...args: readonly string[]): Promise<Diagnosed> {
  const { code, stdout, stderr } = await axograd(["train", ...args, ...QUICK], { cwd: dir });
  assert.is(code, 0, stderr);
  const diagnoses = jsonLines(stdout).filter(({ event }) => event === "diagnosis");
  const faults = diagnoses.flatMap(({ findings }) => (findings as { fault: string }[]).map(({ fault }) => fault));
  return { diagnoses, faults: [...new Set(faults)], stderr };
}

test("the tutorial's preset is found out within 50 steps", async () => {
  const network = ["--generate", "3000x120000"];
  const { diagnoses, faults, stderr } = await train(
    "--preset",
    "tutorial",
    ...network,
    "--steps",
    "51",
    "--out",
    "tutorial",
  );
  assert.equal(
    diagnoses.map(({ step }) => step),
    [0, 10, 25, 50],
  );
  assert.equal([...faults].sort(), ["dead-read-out", "saturated"]);
  assert.match(stderr, /heading for a loss of ln 10 = 2\.303, which is guessing: .* fire for no sample/);
  assert.match(stderr, /are saturated.*Try --weights signed/);
  assert.is(stderr.match(/heading for/g)!.length, 2, "each fault is told once");
  const last = diagnoses.at(-1)!;
  assert.ok((last.saturated as number) > 0.5, `${last.saturated}`);
  assert.ok((last.deadUnits as number) > 0.9, `${last.deadUnits}`);
  assert.equal(Object.keys(last.gradients as object), ["weights", "biases", "time constants", "input", "read-out"]);
});

test("presets that learn are left alone: demo and retina", async () => {
  await writeNetwork(dir, 6);
  const shared = ["--connectome", "net_csr.npz", "--steps", "51", "--batch-size", "16", "--diagnose-every", "20"];
  for (const preset of ["demo", "retina"]) {
    const { diagnoses, faults, stderr } = await train("--preset", preset, ...shared, "--out", preset);
    assert.equal(faults, [], preset);
    assert.not.match(stderr, /warning/);
    assert.equal(
      diagnoses.map(({ step }) => step),
      [0, 10, 20, 25, 40, 50],
    );
    assert.is(diagnoses[0]!.gradients, null);
  }
});

test("a network without connections is found out: nothing tells one image from another", async () => {
  const args = ["--preset", "demo", "--connectome", "net_csr.npz", "--wiring", "none", "--steps", "11"];
  const { faults, stderr } = await train(...args, "--out", "none");
  assert.equal(faults, ["constant-features"]);
  assert.match(stderr, /the same for every sample.*--end-time/);
});

test("diagnoses can be turned off, and change no number of the training", async () => {
  const losses = async (...more: readonly string[]): Promise<unknown[]> => {
    const args = ["train", "--generate", "900x5000", "--steps", "12", "--batch-size", "8", ...QUICK, ...more];
    const { code, stdout, stderr } = await axograd(args, { cwd: dir });
    assert.is(code, 0, stderr);
    const lines = jsonLines(stdout);
    assert.is(
      lines.some(({ event }) => event === "diagnosis"),
      !more.includes("0"),
    );
    return lines.flatMap(({ event, loss }) => (event === "step" ? [loss] : []));
  };
  assert.equal(
    await losses("--out", "with", "--diagnose-every", "1"),
    await losses("--out", "without", "--diagnose-every", "0"),
  );
});

test.run();
