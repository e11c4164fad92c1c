import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openWitnesses, register } from "../../src/cli/check.ts";
import { logNormalConnectome } from "../../src/data/connectomes.ts";
import { writeConnectome } from "../../src/io/connectome.ts";
import { withWrongInstruction, wrongCoefficient } from "../check/wrong.ts";
import { fails, tempDir, testWithData } from "../io/fixtures.ts";
import { runCommand } from "./command.ts";

const test = suite("check");

/** Exit code that a command leaves, which the test process must not keep. */
function takeExitCode(): number {
  const code = Number(process.exitCode ?? 0);
  process.exitCode = 0;
  return code;
}

test("the built-in network passes on the CPU, in all models and both precisions", async () => {
  const { passed, devices, subjects } = JSON.parse(await runCommand(register, "check", "--device", "wasm", "--json"));
  assert.is(passed, true);
  assert.match(devices.join("; "), /^wasm f64.*; wasm f32[^;]*$/);
  assert.is(subjects.length, 4);
  assert.is(takeExitCode(), 0);
});

test("--dtype f64 stops at double precision", async () => {
  const text = await runCommand(register, "check", "--device", "wasm", "--dtype", "f64");
  assert.match(text, /^wasm f64.*\n\nbuilt-in/);
  assert.match(text, /central differences/);
  assert.not.match(text, /wasm f32/);
});

test("a wrong kernel makes it fail with exit code 1 and a table that names what failed", async () => {
  const open: typeof openWitnesses = async (options) => {
    const { reference, singles } = await openWitnesses(options);
    const wrong = singles.map(({ name, backend }) => ({
      name,
      backend: withWrongInstruction(backend, "attempt", wrongCoefficient),
    }));
    return { reference, singles: wrong };
  };
  const text = await runCommand((program) => register(program, open), "check", "--device", "wasm");
  assert.is(takeExitCode(), 1);
  assert.match(text, /trajectory +wasm f32 +wasm f64 .* FAIL/);
});

test("a user's connectome is checked too, a part of it where it is large", async () => {
  const file = join(tempDir(), "large.npz");
  await writeConnectome(file, logNormalConnectome({ neurons: 1500, connections: 3000, seed: 1 }));
  const options = ["check", "--device", "wasm", "--dtype", "f64", "--connectome", file];
  const part = await runCommand(register, ...options);
  assert.match(part, /large\.npz, classifier: 1000 neurons/);
  assert.match(
    await runCommand(register, ...options, "--full"),
    /large\.npz, classifier: 1500 neurons, 3000 connections/,
  );
  assert.is(takeExitCode(), 0);
});

test("wrong options are named", async () => {
  await fails(() => runCommand(register, "check", "--device", "webgpu", "--dtype", "f64"), "argument", /--dtype/);
  await fails(() => runCommand(register, "check", "--device", "wasm", "--gather", "f16"), "argument", /--gather/);
  await fails(() => runCommand(register, "check", "--device", "cuda"), "argument", /--device/);
});

testWithData(test, ["flyvis/flyvis_e2_csr.npz"], "the fly's connectome passes", async (path) => {
  await runCommand(register, "check", "--device", "wasm", "--connectome", path);
  assert.is(takeExitCode(), 0);
});

test.run();
