// The memory of a run, stated before its work begins.

import type { Backend } from "../backend/backend.ts";
import { freeMemory, hostUse, machineMemory } from "../backend/hostMemory.ts";
import { ArgumentError } from "../core/errors.ts";
import { formatBytes } from "../core/format.ts";
import { type Communicator, SOLO } from "../distributed/communicator.ts";
import { bytesOfSums } from "../train/microBatches.ts";
import type { TrainConfig } from "./config.ts";
import type { RunInputs } from "./experiment.ts";
import { samplesPerStep } from "./microBatch.ts";
import { DEVICE_PARTS, type DevicePart, rehearseRun } from "./rehearsal.ts";

/** How a run is planned. */
export interface PlanOptions {
  /** Attempted steps of a solve, where they are known; null: as step size and interval say, else a guess. */
  readonly attempts?: number | null;
  /** It continues from a checkpoint. */
  readonly isContinued?: boolean;
  /** Of samples that the process does not hold yet. */
  readonly dataBytes?: number;
  /** The process among those that train together. Default: it is alone. */
  readonly communicator?: Pick<Communicator, "rank" | "size">;
}

/** Bytes that one part of a run takes when most is in use. */
export interface MemoryPart {
  /** "matrix", "tape", …: DEVICE_PARTS, and of the host "data" (connectome, samples), "sums" (of gradients, of micro-batches), "checkpoint" (a copy while it is written) and "node". */
  readonly name: string;
  readonly bytes: number;
  readonly where: "device" | "host";
}

/** What a run will take at most. */
export interface MemoryPlan {
  readonly device: string;
  /** The device's memory is the machine's, as that of the CPU is: the process takes both. */
  readonly isShared: boolean;
  readonly time: TrainConfig["time"];
  /** null: steps in discrete time. */
  readonly method: string | null;
  readonly batchSize: number;
  /** Numbers that training changes. */
  readonly trainedParameters: number;
  /** Samples that run at once; the others of a batch follow. */
  readonly lanes: number;
  /** Attempted steps of a solve, or steps in discrete time. */
  readonly attempts: number;
  /** Attempts that the tape keeps whole; the reverse pass runs the others again. */
  readonly attemptsStored: number;
  /** false: tolerances decide on the attempts, and `attempts` is a guess. */
  readonly attemptsKnown: boolean;
  /** Bytes that the tape may grow to with more attempts. */
  readonly tapeBudgetBytes: number;
  readonly parts: readonly MemoryPart[];
  readonly deviceBytes: number;
  readonly hostBytes: number;
  /** Peak of the process: of the host, and of a device that shares its memory. */
  readonly processBytes: number;
  /** Peak of the process while the page about the run is made in the end. */
  readonly pageBytes: number;
  /** `processBytes`, if solves take so many attempts that the tape fills its budget. */
  readonly mostProcessBytes: number;
  /** The largest array, and the most that the device takes in one. */
  readonly largest: { readonly label: string; readonly bytes: number } | null;
  readonly maxArrayBytes: number;
}

/** What the process takes on during training besides device and data: compiled code, batches on their way, garbage. */
const GROWTH_BYTES = 24 * 2 ** 20;
/** What is read to resume, as a multiple of values and moments: all of them, and the moments in the order of the device. */
const RESUMED_SHARE = 1.75;
/** What the page reads and sorts, as a multiple of the values: one array of the checkpoint's, one that is sorted, and garbage of pieces. */
const PAGE_SHARE = 2.5;
/** What a device holds before the first step. */
const KEPT: readonly DevicePart[] = ["matrix", "parameters", "gradients", "moments"];
/** What a thread of the CPU's backend takes. */
const THREAD_BYTES = 4 * 2 ** 20;

/**
 * The memory of a run whose input is in memory already: what the process holds is measured, what the device will hold is counted in a
 * rehearsal (rehearsal.ts). Collects garbage.
 *
 * @param device  the run's, with nothing on it yet
 * @throws {BackendError} the device has no room for the run, or cannot hold arrays so large
 */
export async function planMemory(
  device: Backend,
  config: TrainConfig,
  inputs: RunInputs,
  { attempts: given = null, isContinued = false, dataBytes = 0, communicator = SOLO }: PlanOptions = {},
): Promise<MemoryPlan> {
  const { arrays } = hostUse();
  const run = await rehearseRun(device, config, inputs, given);
  const { peak, parts: onDevice, lanes, attempts, attemptsKnown } = run;
  const { resident } = hostUse();
  const isShared = device.usesHostMemory;
  const threads = device.name === "wasm" ? config.threads - 1 : 0;
  const atRest = resident + dataBytes + GROWTH_BYTES + threads * THREAD_BYTES;
  const deviceBytes = peak.takenBytes;
  const { microBatch, dtype } = config;
  const perStep = samplesPerStep(config, inputs.samples.train);
  const sums = microBatch === null ? 0 : await bytesOfSums(perStep, microBatch, run.gradients, dtype, communicator);
  // What reading took for a while is still there to be used.
  const highest = process.resourceUsage().maxRSS * 1024;
  const restored = isShared ? KEPT.reduce((sum, part) => sum + onDevice[part], 0) : 0;
  const processBytes = Math.max(
    highest,
    atRest + (isShared ? deviceBytes : 0) + sums + run.copiedBytes,
    isShared ? peak.processBytes + dataBytes : 0,
    isContinued ? atRest + restored + RESUMED_SHARE * run.checkpointBytes : 0,
  );
  const hostBytes = processBytes - (isShared ? deviceBytes : 0);
  const tapeBudgetBytes = config.memoryBudget === null ? device.tapeBudgetBytes : config.memoryBudget * 2 ** 20;
  const mayGrow = attemptsKnown || !isShared ? 0 : Math.max(0, tapeBudgetBytes - onDevice.tape);
  const data = Math.min(arrays + dataBytes, hostBytes - sums);
  const copied = Math.min(run.copiedBytes, hostBytes - data - sums);
  const parts: MemoryPart[] = [
    ...DEVICE_PARTS.map((name) => ({ name, bytes: onDevice[name], where: "device" as const })),
    { name: "data", bytes: data, where: "host" },
    { name: "sums", bytes: sums, where: "host" },
    { name: "checkpoint", bytes: copied, where: "host" },
    { name: "node", bytes: hostBytes - data - sums - copied, where: "host" },
  ];
  return {
    device: device.description,
    isShared,
    time: config.time,
    method: config.time === "discrete" ? null : config.solver,
    batchSize: config.batchSize,
    trainedParameters: run.trainedParameters,
    lanes,
    attempts,
    attemptsStored: run.attemptsStored,
    attemptsKnown,
    tapeBudgetBytes,
    parts: parts.filter(({ bytes }) => bytes > 0),
    deviceBytes,
    hostBytes,
    processBytes,
    pageBytes: Math.max(processBytes, atRest + (isShared ? deviceBytes : 0) + sums + PAGE_SHARE * run.valueBytes),
    mostProcessBytes: processBytes + mayGrow,
    largest: peak.largest[0] ?? null,
    maxArrayBytes: device.maxArrayBytes,
  };
}

/** Memory that a process may use. */
export interface MemoryLimits {
  /** Of the machine or the control group. */
  readonly machine: number;
  /** Of it, what this process has or can get now. */
  readonly now: number;
}

export function memoryLimits(): MemoryLimits {
  return { machine: machineMemory(), now: process.memoryUsage.rss() + freeMemory() };
}

/** What the processes of a run take on the machine of one of them. */
export interface HostPlan {
  readonly processes: number;
  /** At most, together. */
  readonly processBytes: number;
  /** Of it, what the others have now. */
  readonly othersResident: number;
}

/**
 * @param host  of a run of several processes
 * @throws {ArgumentError} the run would take more than its processes can get on this machine
 */
export function refuseBeyond(
  plan: MemoryPlan,
  { machine, now }: MemoryLimits = memoryLimits(),
  { processes, processBytes, othersResident }: HostPlan = { processes: 1, othersResident: 0, ...plan },
): void {
  const free = now + othersResident;
  if (processBytes <= Math.min(machine, free)) return;
  const largest = [...plan.parts].sort((a, b) => b.bytes - a.bytes).slice(0, 3);
  const most =
    processBytes > machine ? `${formatBytes(machine)}, all there is` : `${formatBytes(free)}, which are free`;
  const fewer = processes === 1 ? "" : "fewer ranks on a host, ";
  const share = processes === 1 ? "" : ` here, as ${processes} ranks of ${formatBytes(plan.processBytes)}`;
  throw new ArgumentError(
    "train",
    "memory",
    `at most ${most}; ${fewer}a smaller --batch-size or --memory-budget, --dtype f32 or frozen parameters (--no-train-connectome, --freeze) take less; ` +
      "--no-memory-check trains nevertheless",
    `a run that takes about ${formatBytes(processBytes)}${share} (${largest.map(textOf).join(", ")} …)`,
  );
}

function textOf({ name, bytes }: MemoryPart): string {
  return `${name} ${formatBytes(bytes)}`;
}

/** "about 1.3 GiB at the peak: matrix 420 MiB, tape 380 MiB, …" */
export function describeMemory(plan: MemoryPlan): string {
  const { parts, processBytes, pageBytes, mostProcessBytes, deviceBytes, isShared, attempts, attemptsKnown } = plan;
  const shown = parts.filter(({ bytes }) => bytes >= 0.01 * (isShared ? processBytes : deviceBytes + processBytes));
  const list = [...shown]
    .sort((a, b) => b.bytes - a.bytes)
    .map(textOf)
    .join(", ");
  const onDevice = isShared ? "" : ` and ${formatBytes(deviceBytes)} on the device, whose memory is unknown`;
  const more =
    attemptsKnown || mostProcessBytes === processBytes
      ? ""
      : `; solves of more than ${attempts} attempts take up to ${formatBytes(mostProcessBytes)}`;
  const page = pageBytes > 1.05 * processBytes ? `; the page about it takes ${formatBytes(pageBytes)} in the end` : "";
  return `about ${formatBytes(processBytes)} at the peak${onDevice}: ${list}${more}${page}`;
}
