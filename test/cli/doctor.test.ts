import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { AdapterInfo } from "../../src/backend/webgpu/dawn.ts";
import { adviceFor, choiceAmong, type Diagnosis, diagnose, register, textOf } from "../../src/cli/doctor.ts";
import { ArgumentError } from "../../src/core/errors.ts";
import { runCommand } from "./command.ts";

const test = suite("doctor");

function adapter(name: string, isSoftware: boolean): AdapterInfo {
  const limits = { maxBufferSize: 2 ** 31, maxStorageBufferBindingSize: 2 ** 30, maxStorageBuffersPerShaderStage: 12 };
  const facts = {
    pci: null,
    obstacle: null,
    api: "vulkan",
    vendor: "maker",
    architecture: "",
    driver: "driver 1.2",
    toggles: {},
  };
  return { index: 0, name, isSoftware, features: ["subgroups"], limits, ...facts };
}

const GPU = adapter("Great GPU", false);
const SOFTWARE = adapter("SwiftShader Device", true);
const BARE = { loader: true, drivers: [], nvidiaModule: false };

test("the machine that runs the tests has SIMD, threads and memory", async () => {
  const it = JSON.parse(await runCommand(register, "doctor", "--json")) as Diagnosis;
  assert.is(it.node, process.version);
  const { mostThreads, memoryBytes, ...wasm } = it.wasm;
  assert.equal(wasm, { simd: true, threads: true, error: null });
  assert.ok(mostThreads >= 1 && memoryBytes > 0);
  assert.ok(it.cpu.cores >= 1 && it.memory.totalBytes > it.memory.freeBytes);
  assert.ok(Array.isArray(it.adapters));
});

test("the report names every fact, and what auto takes", async () => {
  const text = await runCommand(register, "doctor");
  for (const part of ["node", "cpu", "memory", "SIMD yes", "vulkan", "adapters", "auto"])
    assert.ok(text.includes(part), part);
});

test("an adapter is shown with its kind, limits and features", async () => {
  const text = textOf({ ...(await diagnose()), adapters: [SOFTWARE] });
  assert.match(text, /SwiftShader Device \(software, vulkan\)/);
  assert.match(text, /binding 1 GiB, buffer 2 GiB, storage buffers per stage 12/);
  assert.match(text, /timestamp-query no, shader-f16 no, subgroups yes/);
});

test("toggles of Dawn are shown where there are any", async () => {
  const toggles = { disable_robustness: true, timestamp_quantization: false };
  const [without, given] = [{}, toggles].map((t) => ({ ...SOFTWARE, toggles: t }));
  const it = await diagnose();
  assert.not.match(textOf({ ...it, adapters: [without!] }), /toggles/);
  assert.match(textOf({ ...it, adapters: [given!] }), /toggles of Dawn \+disable_robustness -timestamp_quantization/);
});

test("toggles that Dawn does not know are an error, not a machine without adapters", async () => {
  process.env.AXOGRAD_DAWN = "+disable_robustnes";
  try {
    await diagnose();
    assert.unreachable();
  } catch (error) {
    assert.instance(error, ArgumentError);
    assert.match((error as Error).message, /disable_robustness, .*got "disable_robustnes" \(AXOGRAD_DAWN\)/);
  } finally {
    delete process.env.AXOGRAD_DAWN;
  }
});

test("auto takes a GPU where there is one, and never a software adapter", () => {
  assert.is(choiceAmong([SOFTWARE, GPU]).device, "webgpu");
  assert.match(choiceAmong([SOFTWARE, GPU]).reason, /Great GPU/);
  assert.is(choiceAmong([SOFTWARE]).device, "wasm");
  assert.match(choiceAmong([]).reason, /no adapter/);
});

test("auto takes the adapter that the environment names, be it software, and several are shown with how to choose", async () => {
  assert.match(choiceAmong([GPU, SOFTWARE], "swift").reason, /^AXOGRAD_ADAPTER=swift: SwiftShader Device$/);
  assert.match(choiceAmong([GPU, SOFTWARE], "1").reason, /SwiftShader/);
  assert.match(choiceAmong([GPU], "Voodoo").reason, /an error/);
  assert.match(textOf({ ...(await diagnose()), adapters: [GPU, SOFTWARE] }), /AXOGRAD_ADAPTER=</);
});

test("remembered choices are counted for the adapters that there are, and a file that cannot be read is mentioned", async () => {
  const it = { ...(await diagnose()), adapters: [GPU] };
  const text = (choices: Readonly<Record<string, number>>, error: string | null = null): string =>
    textOf({ ...it, tuning: { file: "/cache/tuning.json", choices, error } });
  assert.match(
    text({ "Great GPU": 2, Other: 5 }),
    /^tuning +2 choices remembered for Great GPU, in \/cache\/tuning\.json$/m,
  );
  assert.match(text({ Other: 5 }), /^tuning +nothing remembered for these adapters \(\/cache\/tuning\.json\)$/m);
  assert.match(text({}, "damaged"), /^tuning +what was remembered cannot be read: damaged$/m);
});

test("what is missing is named with what to install", () => {
  assert.match(adviceFor({ ...BARE, loader: false }, [], null).join(), /libvulkan1/);
  assert.match(adviceFor({ ...BARE, nvidiaModule: true }, [], null).join(), /graphics/);
  assert.match(adviceFor({ ...BARE, nvidiaModule: true, drivers: ["/x/nvidia_icd.json"] }, [], null).join(), /version/);
  assert.match(adviceFor(BARE, [], null).join(), /No Vulkan driver/);
  assert.equal(adviceFor({ ...BARE, loader: false }, [], "webgpu: not there"), ["webgpu: not there"]);
  assert.equal(adviceFor(BARE, [GPU], null), []);
});

test.run();
