import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  adviceFor,
  choiceAmong,
  type Diagnosis,
  diagnose,
  launcherReport,
  register,
  textOf,
} from "../../src/cli/doctor.ts";
import { ArgumentError } from "../../src/core/errors.ts";
import { imaginedAdapter } from "../support/imaginedAdapter.ts";
import { runCommand } from "./command.ts";

const test = suite("doctor");

const GPU = imaginedAdapter({ name: "Great GPU" });
const SOFTWARE = imaginedAdapter({ name: "SwiftShader Device", isSoftware: true });
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

test("adapters are shown with their addresses, equal ones with how they are told apart, or that they are not", async () => {
  const it = await diagnose();
  const pair = [0, 1].map((index) => imaginedAdapter({ index, pci: `0000:0${index}:00.0` }));
  const equal = { name: "Great GPU", indices: [0, 1], how: "by a Vulkan layer, of the package" };
  const apart = textOf({ ...it, adapters: pair, equalAdapters: [equal] });
  assert.match(apart, /^ {2}1: Great GPU \(GPU, vulkan, PCI 0000:01:00\.0\)$/m);
  assert.match(apart, /^equal +0, 1 have the name Great GPU and are told apart by a Vulkan layer, of the package$/m);
  assert.not.match(textOf({ ...it, adapters: [GPU] }), /PCI/);
  const hidden = imaginedAdapter({ index: 1, obstacle: "no compiler" });
  const not = textOf({ ...it, adapters: [GPU, hidden], equalAdapters: [{ ...equal, how: null }] });
  assert.match(not, /^equal +0, 1 have the name Great GPU and are not told apart: only the first can be opened$/m);
  assert.match(not, /^ +cannot be opened: no compiler$/m);
});

test("a launcher's variables are followed and shown", async () => {
  const three = ["0000:01:00.0", "0000:02:00.0", "0000:03:00.0"].map((pci, index) =>
    imaginedAdapter({ index, pci, vendor: "nvidia" }),
  );
  const report = (environment: Readonly<Record<string, string>>) => launcherReport(three, environment);
  assert.is(report({}), null);
  assert.equal(report({ SLURM_LOCALID: "1" }), { variables: [], localRank: 1, adapter: 1, error: null });
  assert.is(report({ OMPI_COMM_WORLD_LOCAL_RANK: "4" })?.adapter, 1);
  assert.is(report({ SLURM_LOCALID: "1", CUDA_VISIBLE_DEVICES: "2" })?.adapter, 2, "its own");
  assert.is(report({ MPI_LOCALRANKID: "1", CUDA_VISIBLE_DEVICES: "0,2" })?.adapter, 2);
  assert.is(report({ SLURM_LOCALID: "1", AXOGRAD_ADAPTER: "02:00.0" })?.adapter, 1);
  assert.is(report({ CUDA_VISIBLE_DEVICES: "-1" })?.adapter, null);
  assert.match(report({ CUDA_VISIBLE_DEVICES: "7" })!.error!, /"7" \(CUDA_VISIBLE_DEVICES\)/);
  const it = { ...(await diagnose()), adapters: three };
  const shown = textOf({ ...it, launcher: report({ SLURM_LOCALID: "1", CUDA_VISIBLE_DEVICES: "0,2" }) });
  assert.match(shown, /^launcher +CUDA_VISIBLE_DEVICES=0,2, local rank 1: takes 2: Great GPU \(0000:03:00\.0\)$/m);
  assert.match(textOf({ ...it, launcher: report({ CUDA_VISIBLE_DEVICES: "" }) }), /^launcher .*: takes no GPU$/m);
});

test.run();
