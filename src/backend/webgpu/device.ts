// A device, opened with the adapter's limits. It keeps reported errors until the next wait, and counts the objects created on it.

import { ArgumentError, BackendError } from "../../core/errors.ts";
import { type AdapterInfo, type AdapterRequest, COMPUTE_LIMITS, chooseAdapter, messageOf } from "./dawn.ts";
import { hasNeighbourQuads } from "./quadProbe.ts";
import { ALIGNMENT } from "./slabs.ts";

/** Objects created on a device since it was opened, and buffers still alive. */
export interface ObjectCounts {
  readonly buffers: number;
  readonly pipelines: number;
  readonly bindGroups: number;
  readonly shaderModules: number;
  readonly querySets: number;
  readonly liveBuffers: number;
}

export interface DeviceRequest extends AdapterRequest {
  /** Do not enable this feature, even if the adapter has it. */
  readonly withoutSubgroups?: boolean;
  /** Default "adapter". */
  readonly limits?: DeviceLimits;
}

/** Which limits a device gets: all that its adapter has, or those that WebGPU promises on every adapter. */
export const DEVICE_LIMITS = ["adapter", "default"] as const;

export type DeviceLimits = (typeof DEVICE_LIMITS)[number];

/** Environment variable with the limits of devices, if the program does not say. */
const LIMITS_VARIABLE = "AXOGRAD_LIMITS";

/** @throws {ArgumentError} the environment names others */
export function limitsOfEnvironment(): DeviceLimits {
  const named = process.env[LIMITS_VARIABLE] || "adapter";
  const limits = DEVICE_LIMITS.find((name) => name === named);
  if (limits) return limits;
  throw new ArgumentError("webgpu", LIMITS_VARIABLE, DEVICE_LIMITS.join(" or "), named);
}

/** Limits that the kernels need. */
const NEEDED = {
  maxStorageBuffersPerShaderStage: 8,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeWorkgroupsPerDimension: 65535,
} as const;

/** Limits that bound offsets from below: the allocator's pieces begin at multiples of `ALIGNMENT`. */
const ALIGNMENTS = ["minUniformBufferOffsetAlignment", "minStorageBufferOffsetAlignment"] as const;

/** @throws {BackendError} "limit": one that the kernels need is lacking */
export function checkLimits(limits: Readonly<Record<string, number | undefined>>, adapter: string): void {
  const refuse = (limit: string, bound: string, needed: number): never => {
    const got = limits[limit];
    throw new BackendError(
      "limit",
      `webgpu: expected ${limit} of ${bound} ${needed}, got ${got} (${adapter}). Choose another adapter or the wasm backend.`,
      { limit, needed, got },
    );
  };
  for (const [limit, needed] of Object.entries(NEEDED)) {
    if (!((limits[limit] ?? 0) >= needed)) refuse(limit, "at least", needed);
  }
  for (const limit of ALIGNMENTS) {
    if (!((limits[limit] ?? Number.POSITIVE_INFINITY) <= ALIGNMENT)) refuse(limit, "at most", ALIGNMENT);
  }
}

export class Device {
  readonly gpu: GPUDevice;
  readonly info: AdapterInfo;
  /** Whether kernels may use subgroups: it has the feature, and quads are as they take them (quadProbe.ts). */
  readonly hasSubgroups: boolean;
  readonly #live = new Set<GPUBuffer>();
  readonly #counts = { buffers: 0, pipelines: 0, bindGroups: 0, shaderModules: 0, querySets: 0 };
  readonly #checks = new Set<Promise<void>>();
  /** Called before a buffer is destroyed, to submit the work that uses it. */
  beforeDestroy: () => void = () => {};
  readonly #owner: Device | null;
  #error: BackendError | null = null;
  #destroyed = false;

  /** @param owner  opened the device, and hears what it reports outside error scopes */
  private constructor(gpu: GPUDevice, info: AdapterInfo, hasSubgroups: boolean, owner: Device | null = null) {
    this.gpu = gpu;
    this.info = info;
    this.hasSubgroups = hasSubgroups;
    this.#owner = owner;
    if (owner) return;
    gpu.addEventListener("uncapturederror", (event) => {
      this.#record(translate((event as GPUUncapturedErrorEvent).error));
    });
    void gpu.lost.then(({ reason, message }) => {
      if (!this.#destroyed) this.#record(lostError(reason, message));
    });
  }

  /**
   * @throws {BackendError} no adapter, no loader, or a limit below what the kernels need
   * @throws {ArgumentError} toggles that Dawn does not know
   */
  static async open(wanted: string | number | undefined, request: DeviceRequest = {}): Promise<Device> {
    const { adapter, info } = await chooseAdapter(wanted, request);
    const { limits } = adapter;
    checkLimits({ ...info.limits, ...Object.fromEntries(ALIGNMENTS.map((name) => [name, limits[name]])) }, info.name);
    const whole = Object.fromEntries(COMPUTE_LIMITS.map((limit) => [limit, limits[limit]]));
    const requiredLimits = request.limits === "default" ? NEEDED : whole;
    const wantedFeatures: GPUFeatureName[] = request.withoutSubgroups ? [] : ["subgroups"];
    if (request.profile) wantedFeatures.push("timestamp-query");
    const requiredFeatures = wantedFeatures.filter((name) => adapter.features.has(name));
    let gpu: GPUDevice | null = null;
    try {
      gpu = await adapter.requestDevice({ label: "axograd", requiredLimits, requiredFeatures });
      return new Device(gpu, info, gpu.features.has("subgroups") && (await hasNeighbourQuads(gpu, info)));
    } catch (cause) {
      gpu?.destroy();
      throw new BackendError("no-device", `webgpu: ${info.name} gave no device: ${messageOf(cause)}`, {}, cause);
    }
  }

  /** A device with the limits and features of another one, whose objects hold nothing; commands have no effect. */
  static imagined({ gpu, info, hasSubgroups }: Device): Device {
    return new Device(imaginedGpu(gpu), info, hasSubgroups);
  }

  /** The same device with its own buffers, counts and errors: memory that is lacking and shaders that do not compile concern only itself. */
  beside(): Device {
    return new Device(this.gpu, this.info, this.hasSubgroups, this);
  }

  limit(name: (typeof COMPUTE_LIMITS)[number]): number {
    return this.gpu.limits[name];
  }

  get hasTimestamps(): boolean {
    return this.gpu.features.has("timestamp-query");
  }

  get counts(): ObjectCounts {
    return { ...this.#counts, liveBuffers: this.#live.size };
  }

  /** @throws {BackendError} the device is lost, or an operation has failed */
  check(): void {
    // While a shader is being checked, its failure would surface as an invalid command, with less information.
    if (this.#error && this.#checks.size === 0) throw this.#error;
    this.#owner?.check();
  }

  /** What `check` throws. */
  get known(): BackendError | null {
    return this.#error ?? this.#owner?.known ?? null;
  }

  /** Waits for pending checks; the error that they found, which `check` then no longer throws. */
  async takeError(): Promise<BackendError | null> {
    await Promise.all(this.#checks);
    const error = this.#error;
    this.#error = null;
    return error;
  }

  /** Waits for pending checks, then calls `check`. */
  async settle(): Promise<void> {
    await Promise.all(this.#checks);
    this.check();
  }

  buffer(label: string, size: number, usage: GPUBufferUsageFlags): GPUBuffer {
    this.#counts.buffers++;
    this.gpu.pushErrorScope("out-of-memory");
    const buffer = this.gpu.createBuffer({ label, size, usage });
    this.#await(this.gpu.popErrorScope(), async (error) => {
      this.#record(
        new BackendError(
          "out-of-memory",
          `webgpu: ${this.info.name} has no ${size} bytes left (${label}): ${error.message}`,
        ),
      );
    });
    this.#live.add(buffer);
    return buffer;
  }

  /**
   * As `buffer`, but null instead of an error if the device lacks memory for it and `spare` more bytes. Such a refusal does the device no
   * harm: the error stays in its scope, and nothing uses the buffer.
   */
  async bufferIfRoom(
    label: string,
    size: number,
    usage: GPUBufferUsageFlags,
    spare: number,
  ): Promise<GPUBuffer | null> {
    const buffer = await this.#tryTwice(label, size, usage);
    const rest = buffer && (await this.#tryTwice(`${label}: to spare`, spare, usage));
    if (rest) this.destroyBuffer(rest);
    else if (buffer) this.destroyBuffer(buffer);
    return rest && buffer;
  }

  async #tryTwice(label: string, size: number, usage: GPUBufferUsageFlags): Promise<GPUBuffer | null> {
    const first = await this.#tryBuffer(label, size, usage);
    if (first) return first;
    // Destroyed buffers become free only when earlier work is done.
    try {
      await this.gpu.queue.onSubmittedWorkDone();
    } catch (error) {
      throw this.failure(error);
    }
    return this.#tryBuffer(label, size, usage);
  }

  async #tryBuffer(label: string, size: number, usage: GPUBufferUsageFlags): Promise<GPUBuffer | null> {
    this.gpu.pushErrorScope("out-of-memory");
    const buffer = this.gpu.createBuffer({ label, size, usage });
    this.#live.add(buffer);
    try {
      if ((await this.gpu.popErrorScope()) === null) {
        this.#counts.buffers++;
        return buffer;
      }
    } catch (error) {
      throw this.failure(error);
    }
    this.#live.delete(buffer);
    buffer.destroy();
    return null;
  }

  destroyBuffer(buffer: GPUBuffer): void {
    if (!this.#live.delete(buffer)) return;
    this.beforeDestroy();
    buffer.destroy();
  }

  /** A pipeline of `source`, entry point `main`. Compile errors surface later, with the kernel's name and line. */
  pipeline(label: string, source: string, layout: GPUPipelineLayout): GPUComputePipeline {
    this.#counts.shaderModules++;
    this.#counts.pipelines++;
    // "internal": the driver refuses what WGSL allows.
    const scopes = ["internal", "validation"] as const;
    for (const scope of scopes) this.gpu.pushErrorScope(scope);
    const module = this.gpu.createShaderModule({ label, code: source });
    const pipeline = this.gpu.createComputePipeline({ label, layout, compute: { module, entryPoint: "main" } });
    for (const _ of scopes) {
      this.#await(this.gpu.popErrorScope(), async (error) => {
        this.#record(await shaderError(label, source, module, error));
      });
    }
    return pipeline;
  }

  bindGroup(descriptor: GPUBindGroupDescriptor): GPUBindGroup {
    this.#counts.bindGroups++;
    return this.gpu.createBindGroup(descriptor);
  }

  querySet(descriptor: GPUQuerySetDescriptor): GPUQuerySet {
    this.#counts.querySets++;
    return this.gpu.createQuerySet(descriptor);
  }

  destroy(): void {
    this.#destroyed = true;
    for (const buffer of this.#live) buffer.destroy();
    this.#live.clear();
    if (!this.#owner) this.gpu.destroy();
  }

  /** The error behind a rejected promise of the device. */
  failure(error: unknown): BackendError {
    return this.known ?? (error instanceof BackendError ? error : lostError("unknown", messageOf(error)));
  }

  #await(scope: Promise<GPUError | null>, onError: (error: GPUError) => Promise<void>): void {
    const check = scope
      .then((error) => (error ? onError(error) : undefined))
      .catch((error: unknown) => {
        if (!this.#destroyed) this.#record(lostError("unknown", messageOf(error)));
      })
      .finally(() => this.#checks.delete(check));
    this.#checks.add(check);
  }

  /** Keeps the first error, as the cause. A shader that does not compile takes precedence: it explains the errors that follow. */
  #record(error: BackendError): void {
    if (!this.#error || (error.code === "shader" && this.#error.code !== "shader")) this.#error = error;
  }
}

/** Answers everything with itself. */
const NOTHING: object = new Proxy(() => {}, {
  get: (_, name) => (name === "then" ? undefined : NOTHING),
  apply: () => NOTHING,
});

function imaginedGpu({ limits, features }: GPUDevice): GPUDevice {
  const own: Partial<GPUDevice> = {
    ...{ limits, features, lost: new Promise(() => {}), popErrorScope: async () => null },
    createBuffer: ({ size, label }) => ({ size, label, destroy: () => {} }) as unknown as GPUBuffer,
  };
  return new Proxy(own, { get: (target, name) => Reflect.get(target, name) ?? NOTHING }) as GPUDevice;
}

async function shaderError(
  label: string,
  source: string,
  module: GPUShaderModule,
  error: GPUError,
): Promise<BackendError> {
  const { messages } = await module.getCompilationInfo();
  const first = [...messages].find((m) => m.type === "error");
  if (!first) return new BackendError("pipeline", `webgpu: kernel ${label}: ${error.message}`, { kernel: label });
  const text = source.split("\n")[first.lineNum - 1]?.trim() ?? "";
  return new BackendError(
    "shader",
    `webgpu: kernel ${label} does not compile: line ${first.lineNum}: ${first.message} (${text})`,
    { kernel: label, line: first.lineNum, column: first.linePos, text },
  );
}

function translate(error: GPUError): BackendError {
  return new BackendError("webgpu", `webgpu: the device reports: ${error.message}`);
}

function lostError(reason: string, message: string): BackendError {
  return new BackendError(
    "device-lost",
    `webgpu: the device was lost (${reason}): ${message}. Its memory is gone: resume from the last checkpoint. If it happens again, ` +
      "use a smaller batch (a watchdog may stop long work) or look for driver errors in the system log.",
    { reason },
  );
}
