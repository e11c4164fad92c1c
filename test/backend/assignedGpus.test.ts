// Which GPUs a launcher gave to a process: variables of three vendors and of Slurm, on imagined machines.

import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assignedAdapters, gpusOfSystem, gpuVariables, type SystemGpu } from "../../src/backend/webgpu/assignedGpus.ts";
import { type AdapterInfo, adapterAmong, adaptersAmong } from "../../src/backend/webgpu/dawn.ts";
import { comparePci, pciAddressOf } from "../../src/backend/webgpu/pciAddress.ts";
import { ArgumentError } from "../../src/core/errors.ts";
import { tempDir } from "../io/fixtures.ts";
import { imaginedAdapter } from "../support/imaginedAdapter.ts";

const test = suite("GPUs that a launcher gave");

/** Adapters with these vendors and PCI addresses, in this order; "software" is none. */
function machine(...gpus: readonly (readonly [vendor: string, pci: string | null])[]): readonly AdapterInfo[] {
  return gpus.map(([vendor, pci], index) =>
    imaginedAdapter({ index, vendor, pci, name: `GPU of ${vendor}`, isSoftware: vendor === "software" }),
  );
}

const A = "0000:1a:00.0";
const B = "0000:65:00.0";
const C = "0001:03:00.0";
/** Vulkan lists devices in the order of no one else. */
const NVIDIA = machine(["nvidia", C], ["nvidia", A], ["nvidia", B], ["software", null]);
const AMD = machine(["amd", C], ["amd", A], ["amd", B]);
const INTEL = machine(["intel", C], ["intel", A], ["intel", B]);
const MIXED = machine(["intel", A], ["nvidia", C], ["nvidia", B]);

const SYSTEM: readonly SystemGpu[] = [
  { vendor: "nvidia", pci: A, minor: 1, uuid: "GPU-aaaa1111-0000-0000-0000-000000000000" },
  { vendor: "nvidia", pci: B, minor: 0, uuid: "GPU-bbbb1111-0000-0000-0000-000000000000" },
  { vendor: "nvidia", pci: C, minor: 2, uuid: "GPU-bbbb2222-0000-0000-0000-000000000000" },
];
const AMD_SYSTEM: readonly SystemGpu[] = [
  { vendor: "amd", pci: A, minor: 130, uuid: "GPU-0123456789abcdef" },
  { vendor: "amd", pci: B, minor: 128, uuid: "GPU-fedcba9876543210" },
  { vendor: "amd", pci: C, minor: 129, uuid: null },
];

function assigned(
  adapters: readonly AdapterInfo[],
  environment: Readonly<Record<string, string>>,
  system: readonly SystemGpu[] = SYSTEM,
): readonly (string | null)[] {
  return assignedAdapters(adapters, environment, () => system).map(({ pci }) => pci);
}

test("without a launcher all GPUs count, and software adapters only where there is no GPU", () => {
  assert.equal(assigned(NVIDIA, {}), [C, A, B]);
  assert.equal(assigned(machine(["software", null]), {}), [null]);
  assert.equal(assigned(machine(["software", null]), { CUDA_VISIBLE_DEVICES: "3" }), [null]);
  assert.equal(assigned([], {}), []);
});

test("a GPU that two drivers show counts once, and GPUs without an address each", () => {
  assert.equal(assigned(machine(["amd", A], ["amd", B], ["amd", A]), {}), [A, B]);
  assert.equal(assigned(machine(["amd", null], ["amd", null]), {}), [null, null]);
});

test("indices are in the order of PCI addresses, UUIDs are found by what the system reports, each vendor has its variable", () => {
  const cases: readonly (readonly [readonly AdapterInfo[], Record<string, string>, readonly string[], SystemGpu[]?])[] =
    [
      [NVIDIA, { CUDA_VISIBLE_DEVICES: "0" }, [A]],
      [NVIDIA, { CUDA_VISIBLE_DEVICES: "2, 0" }, [C, A]],
      [NVIDIA, { CUDA_VISIBLE_DEVICES: "1,1" }, [B]],
      [NVIDIA, { CUDA_VISIBLE_DEVICES: "" }, []],
      [NVIDIA, { CUDA_VISIBLE_DEVICES: "-1" }, []],
      [NVIDIA, { CUDA_VISIBLE_DEVICES: "0,-1,2" }, [A]],
      [NVIDIA, { CUDA_VISIBLE_DEVICES: "NoDevFiles" }, []],
      [NVIDIA, { CUDA_VISIBLE_DEVICES: "GPU-bbbb2222-0000-0000-0000-000000000000" }, [C]],
      [NVIDIA, { CUDA_VISIBLE_DEVICES: "gpu-AAAA,GPU-bbbb1" }, [A, B]],
      [NVIDIA, { ROCR_VISIBLE_DEVICES: "0", ZE_AFFINITY_MASK: "0" }, [C, A, B]],
      [AMD, { ROCR_VISIBLE_DEVICES: "1", CUDA_VISIBLE_DEVICES: "0" }, [B]],
      [AMD, { HIP_VISIBLE_DEVICES: "2" }, [C]],
      [AMD, { ROCR_VISIBLE_DEVICES: "0", HIP_VISIBLE_DEVICES: "2" }, [A]],
      [AMD, { ROCR_VISIBLE_DEVICES: "GPU-fedcba9876543210,GPU-0123456789abcdef" }, [B, A], [...AMD_SYSTEM]],
      [INTEL, { ZE_AFFINITY_MASK: "2,0" }, [C, A]],
      [INTEL, { ZE_AFFINITY_MASK: "1.0,1.1" }, [B]],
      [MIXED, { CUDA_VISIBLE_DEVICES: "1" }, [C]],
      // As Slurm sets them: the second GPU of NVIDIA, in a machine with one of Intel.
      [MIXED, { CUDA_VISIBLE_DEVICES: "1", ROCR_VISIBLE_DEVICES: "1", ZE_AFFINITY_MASK: "1" }, [C]],
      [MIXED, { CUDA_VISIBLE_DEVICES: "", ZE_AFFINITY_MASK: "0" }, [A]],
    ];
  for (const [adapters, environment, expected, system] of cases) {
    assert.equal(assigned(adapters, environment, system), expected, JSON.stringify(environment));
  }
});

test("one GPU is found by its UUID though its address was not asked for", () => {
  assert.equal(assigned(machine(["nvidia", null]), { CUDA_VISIBLE_DEVICES: "GPU-bbbb2" }), [null]);
});

test("Slurm's numbers count where no vendor's variable is set, in the order of device files", () => {
  const both = { SLURM_STEP_GPUS: "1", SLURM_JOB_GPUS: "0,1" };
  assert.equal(assigned(NVIDIA, both), [A], "minor 1");
  assert.equal(assigned(NVIDIA, { SLURM_JOB_GPUS: "0,2" }), [B, C]);
  assert.equal(assigned(NVIDIA, { SLURM_JOB_GPUS: "0-1" }), [B, A]);
  assert.equal(assigned(AMD, { SLURM_STEP_GPUS: "0,2" }, AMD_SYSTEM), [B, A]);
  assert.equal(assigned(INTEL, { SLURM_STEP_GPUS: "1" }, []), [B], "the system says nothing");
  assert.equal(assigned(NVIDIA, { ...both, CUDA_VISIBLE_DEVICES: "2" }), [C]);
  // The others are hidden from the process, so that numbers of the whole node say nothing.
  assert.equal(assigned(machine(["nvidia", B]), { SLURM_STEP_GPUS: "7" }), [B]);
});

test("a GPU that is not there is refused, with the variable and what there is", () => {
  const cases: readonly Record<string, string>[] = [
    { CUDA_VISIBLE_DEVICES: "3" },
    { CUDA_VISIBLE_DEVICES: "0,x" },
    { CUDA_VISIBLE_DEVICES: "GPU-cccc" },
    { CUDA_VISIBLE_DEVICES: "GPU-bbbb" },
    { CUDA_VISIBLE_DEVICES: "MIG-aaaa1111" },
    { SLURM_STEP_GPUS: "5" },
    { SLURM_JOB_GPUS: "all" },
  ];
  for (const environment of cases) {
    const [[variable, value] = ["", ""]] = Object.entries(environment);
    assert.throws(
      () => assigned(NVIDIA, environment),
      (e: Error) =>
        e instanceof ArgumentError && e.message.includes(`"${value}" (${variable})`) && e.message.includes(`at ${A}`),
      JSON.stringify(environment),
    );
  }
});

test("the variables of a process are named with their values", () => {
  assert.equal(gpuVariables({ CUDA_VISIBLE_DEVICES: "", SLURM_JOB_GPUS: "1", HOME: "/" }), [
    "CUDA_VISIBLE_DEVICES=",
    "SLURM_JOB_GPUS=1",
  ]);
});

/** A file system with these files; a link where the text begins with "-> ". */
function tree(files: Readonly<Record<string, string>>): string {
  const root = tempDir();
  for (const [name, text] of Object.entries(files)) {
    const path = join(root, name);
    mkdirSync(dirname(path), { recursive: true });
    if (text.startsWith("-> ")) symlinkSync(text.slice(3), path);
    else writeFileSync(path, text);
  }
  return root;
}

test("NVIDIA's driver reports address, minor and UUID", () => {
  const information = (uuid: string, minor: number): string =>
    `Model: \t\t NVIDIA H200\nIRQ:   \t\t 123\nGPU UUID: \t ${uuid}\nBus Type: \t PCIe\nDevice Minor: \t ${minor}\nGPU Excluded:\t No\n`;
  const root = tree({
    "proc/driver/nvidia/gpus/0000:65:00.0/information": information("GPU-bbbb1111-22-33-44-55", 0),
    "proc/driver/nvidia/gpus/0000:1a:00.0/information": information("GPU-????????-????-????-????-????????????", 1),
    "proc/driver/nvidia/gpus/0000:99:00.0/power": "",
    // As nvidia-drm adds it.
    "sys/devices/pci/0000:65:00.0/vendor": "0x10de\n",
    "sys/class/drm/renderD128/device": "-> ../../../devices/pci/0000:65:00.0",
  });
  assert.equal(gpusOfSystem(root), [
    { vendor: "nvidia", pci: A, minor: 1, uuid: null },
    { vendor: "nvidia", pci: B, minor: 0, uuid: "GPU-bbbb1111-22-33-44-55" },
  ]);
});

test("/sys reports address, minor and what AMD makes UUIDs of", () => {
  const root = tree({
    "sys/devices/pci/0000:65:00.0/vendor": "0x1002\n",
    "sys/devices/pci/0000:65:00.0/unique_id": "0123456789abcdef\n",
    "sys/devices/pci/0000:1a:00.0/vendor": "0x8086\n",
    "sys/devices/pci/0000:07:00.0/vendor": "0x1a03\n",
    "sys/devices/platform/gpu/vendor": "0x1002\n",
    "sys/class/drm/renderD128/device": "-> ../../../devices/pci/0000:65:00.0",
    "sys/class/drm/renderD129/device": "-> ../../../devices/pci/0000:1a:00.0",
    "sys/class/drm/renderD130/device": "-> ../../../devices/pci/0000:07:00.0",
    "sys/class/drm/renderD131/device": "-> ../../../devices/platform/gpu",
    "sys/class/drm/card0/device": "-> ../../../devices/pci/0000:65:00.0",
    "sys/class/drm/version": "drm 1.1.0\n",
  });
  assert.equal(gpusOfSystem(root), [
    { vendor: "intel", pci: A, minor: 129, uuid: null },
    { vendor: "amd", pci: B, minor: 128, uuid: "GPU-0123456789abcdef" },
  ]);
  assert.equal(gpusOfSystem(join(root, "nothing")), []);
});

test("PCI addresses are read with and without a domain, and ordered", () => {
  assert.is(pciAddressOf("65:00.0"), B);
  assert.is(pciAddressOf("0000:65:00.0"), B);
  assert.is(pciAddressOf("00000000:65:00.0"), B);
  assert.is(pciAddressOf("0001:AF:1F.7"), "0001:af:1f.7");
  assert.is(pciAddressOf("10000:01:00.0"), "10000:01:00.0");
  for (const other of ["65", "65:00", "65:00.8", "0:65:00.0", "pci-0000_65_00_0", "GPU 65:00.0", ""]) {
    assert.is(pciAddressOf(other), null, other);
  }
  const unordered = [null, "10000:01:00.0", C, B, A];
  assert.equal(unordered.sort(comparePci), [A, B, C, "10000:01:00.0", null]);
});

test("an adapter is named by index, address or part of a name", () => {
  assert.is(adapterAmong(NVIDIA, 1)?.pci, A);
  assert.is(adapterAmong(NVIDIA, "2")?.pci, B);
  assert.is(adapterAmong(NVIDIA, "65:00.0")?.pci, B);
  assert.is(adapterAmong(NVIDIA, "0001:03:00.0")?.pci, C);
  assert.is(adapterAmong(NVIDIA, "of NVIDIA")?.pci, C);
  assert.equal(
    adaptersAmong(NVIDIA, "of nvidia").map(({ pci }) => pci),
    [C, A, B],
  );
  for (const other of [9, "03:00.0", "0000:99:00.0", "Voodoo"]) assert.is(adapterAmong(NVIDIA, other), undefined);
});

test.run();
