// Toggles of Dawn: a misspelt one is refused, one that is known is in force, and profiles have exact times.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createBackend } from "../../src/backend/select.ts";
import { createWebGpuBackend, type WebGpuOptions } from "../../src/backend/webgpu/backend.ts";
import { listAdapters } from "../../src/backend/webgpu/dawn.ts";
import { flagsOf, knownToggles, OFTEN, TOGGLES_VARIABLE } from "../../src/backend/webgpu/toggles.ts";
import { ArgumentError } from "../../src/core/errors.ts";
import { ProgramBuilder } from "../support/programBuilder.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";

/** Dawn rounds to this many nanoseconds. */
const QUANTUM = 65_536;

async function refusalOf(action: () => unknown): Promise<ArgumentError> {
  try {
    await action();
  } catch (error) {
    assert.instance(error, ArgumentError, String(error));
    return error as ArgumentError;
  }
  throw new Error("expected an error, got none");
}

async function withVariable<T>(text: string, action: () => Promise<T>): Promise<T> {
  process.env[TOGGLES_VARIABLE] = text;
  try {
    return await action();
  } finally {
    delete process.env[TOGGLES_VARIABLE];
  }
}

/** Nanoseconds that kernels of a few programs took, each a difference of two timestamps. */
async function times(options: WebGpuOptions): Promise<number[]> {
  const backend = await createWebGpuBackend({ profile: true, ...options });
  for (let k = 0; k < 8; k++) {
    const b = new ProgramBuilder(`program ${k}`);
    const rows = 5000 * (k + 1);
    const x = b.inout("x", "row", { rows });
    const program = b.plainPhase(rows, (p) => p.accumulate(x, p.op("exp", p.load(x)))).build();
    const executable = backend.compile(program, backend.layoutFor(1));
    backend.run(backend.bind(executable, { x: backend.buffer("x", rows) }));
  }
  await backend.finish();
  const profile = backend.profile();
  await backend.dispose();
  return Object.values(profile).map(({ ms }) => Math.round(ms * 1e6));
}

const adapter = await requireTestAdapter();

if (adapter) {
  const test = suite("webgpu toggles");

  test("names are read out of Dawn: those that axograd sets itself are there, and few others than toggles", () => {
    const known = knownToggles();
    for (const name of ["disable_workgroup_init", "timestamp_quantization", "disable_robustness", "allow_unsafe_apis"])
      assert.ok(known.has(name), name);
    for (const name of ["robustness", "disable_robustnes", "timestamp-quantization", ""])
      assert.not.ok(known.has(name), name);
    assert.ok(known.size > 100 && known.size < 400, `${known.size}`);
  });

  test("what the environment names is in force, and told", async () => {
    const [info] = await withVariable(" +disable_robustness  -timestamp_quantization ", listAdapters);
    assert.equal(info!.toggles, { disable_robustness: true, timestamp_quantization: false });
    assert.equal((await listAdapters())[0]!.toggles, {});
    const backend = await withVariable("+disable_robustness", () => createBackend({ device: "webgpu" }));
    assert.match(backend.description, /, \+disable_robustness\)$/);
    await backend.dispose();
  });

  test("a program adds to the environment's toggles and decides those that both name; auto takes WebGPU", async () => {
    const dawnToggles = { timestamp_quantization: true, skip_validation: false };
    const open = () => createBackend({ adapter: 0, dawnToggles });
    const backend = await withVariable("+disable_robustness -timestamp_quantization", open);
    assert.match(backend.description, /\+disable_robustness \+timestamp_quantization -skip_validation\)$/);
    await backend.dispose();
    const byToggles = await createBackend({ dawnToggles });
    assert.is(byToggles.name, "webgpu");
    await byToggles.dispose();
  });

  test("a misspelt toggle is refused with the nearest, by whoever asks for a device", async () => {
    const openers = [listAdapters, () => createBackend(), () => createBackend({ device: "webgpu" })];
    for (const open of openers) {
      const error = await withVariable("+disable_robustnes", () => refusalOf(open));
      assert.match(error.message, /expected disable_robustness, or another toggle of Dawn, got "disable_robustnes"/);
      assert.is(error.facts.argument, TOGGLES_VARIABLE);
    }
    const error = await refusalOf(() => createWebGpuBackend({ dawnToggles: { disable_robust: true } }));
    assert.is(error.facts.argument, "dawnToggles.disable_robust");
  });

  test("a toggle like no other is refused with some that exist", async () => {
    const error = await refusalOf(() => createWebGpuBackend({ dawnToggles: { quux: true } }));
    assert.match(error.message, /one of the \d+ toggles of Dawn, disable_robustness, .* among them, got "quux"/);
    for (const name of OFTEN) assert.ok(knownToggles().has(name), name);
  });

  test("toggles of another form are refused: without a sign, twice, no boolean, for the CPU", async () => {
    for (const text of ["disable_robustness", "+", "+a+b", "enable-dawn-features=disable_robustness"]) {
      const error = await withVariable(text, () => refusalOf(listAdapters));
      assert.match(error.message, /after \+ \(on\) or - \(off\)/, text);
    }
    const twice = await withVariable("+disable_robustness -disable_robustness", () => refusalOf(listAdapters));
    assert.match(twice.message, /disable_robustness twice/);
    const value = { disable_robustness: "yes" as unknown as boolean };
    assert.match(
      (await refusalOf(() => createWebGpuBackend({ dawnToggles: value }))).message,
      /true or false, got yes/,
    );
    const dawnToggles = { disable_robustness: true };
    const forCpu = await refusalOf(() => createBackend({ device: "wasm", dawnToggles }));
    assert.is(forCpu.facts.argument, "dawnToggles");
    // No toggles are no reason to refuse the CPU.
    const cpu = await createBackend({ dtype: "f64", dawnToggles: {} });
    assert.is(cpu.name, "wasm");
    await cpu.dispose();
  });

  test("flags name what is on and what is off, and nothing where there is nothing", () => {
    assert.equal(flagsOf({}), []);
    assert.equal(flagsOf({ b: true, c: false, a: true }), ["enable-dawn-features=a,b", "disable-dawn-features=c"]);
  });

  if (adapter.features.includes("timestamp-query")) {
    test("a profile has exact times, unless quantisation is asked for", async () => {
      const [exact, rounded] = [await times({}), await times({ dawnToggles: { timestamp_quantization: true } })];
      assert.is(exact.length, 8);
      assert.is(rounded.length, 8);
      assert.ok(exact.filter((ns) => ns % QUANTUM !== 0).length >= 7, exact.join(" "));
      assert.ok(
        rounded.every((ns) => ns % QUANTUM === 0),
        rounded.join(" "),
      );
    });
  }

  test.run();
}
