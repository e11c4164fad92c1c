// The WebGPU backend: programs become WGSL, buffers become pieces of slabs, and nothing waits but `download` and `finish`. f32 only.
// Runs headless in Node through Dawn; see dawn.ts for what keeps the process alive and well.

import { type Csr, checkRepresentable } from "../../core/csr.ts";
import type { DType } from "../../core/dtype.ts";
import { ArgumentError, BackendError } from "../../core/errors.ts";
import type {
  Backend,
  Bindable,
  BoundProgram,
  DeviceBuffer,
  DeviceSparse,
  Executable,
  MemoryStats,
  Traffic,
} from "../backend.ts";
import {
  checkCopy,
  checkOwn,
  checkRange,
  checkRunnable,
  checkTakenRows,
  disposedError,
  foreignError,
  resolveBindings,
} from "../checkBuffers.ts";
import { checkLayout, checkProgram } from "../checkProgram.ts";
import { GATHERS, type Gather } from "../gather.ts";
import { layoutFor, layoutKey } from "../layout.ts";
import type { PanelLayout, Program } from "../program.ts";
import type { AdapterInfo } from "./dawn.ts";
import { Device, type DeviceLimits, limitsOfEnvironment, type ObjectCounts } from "./device.ts";
import { GpuDeviceBuffer, GpuDeviceSparse, GpuSparseRows, Ledger, type Memory } from "./deviceBuffers.ts";
import { type BindContext, bindProgram, GpuBound } from "./dispatches.ts";
import { GpuExecutable } from "./executable.ts";
import { Pipelines } from "./pipelines.ts";
import { Profiler } from "./profiler.ts";
import { CommandQueue, type QueueCounts } from "./queue.ts";
import { ARRAYS_PER_SLAB, SlabAllocator } from "./slabs.ts";
import { checkChoices, isSameTable, isSameTuning, type SparseTuning, tuningOf } from "./sparseTuning.ts";
import { tapeBudget } from "./tapeBudget.ts";
import { TemporaryPool } from "./temporaryPool.ts";
import { togglesText } from "./toggles.ts";
import { Transfer } from "./transfer.ts";

export { assignedAdapters } from "./assignedGpus.ts";
export {
  type AdapterInfo,
  adapterOfEnvironment,
  adaptersAmong,
  adapterText,
  hasGpu,
  listAdapters,
  ONE_GPU_EACH,
} from "./dawn.ts";

export interface WebGpuOptions {
  /**
   * Name (or part of it), index or PCI address ("0000:65:00.0") of an adapter in `listAdapters()`. Default: the one that AXOGRAD_ADAPTER
   * names, or else the first GPU of those that a launcher gave to the process (CUDA_VISIBLE_DEVICES and its like), or else a software adapter.
   */
  readonly adapter?: string | number;
  /**
   * Measures dispatches with timestamp queries where the adapter has them; each becomes a pass of its own. Dawn's `timestamp_quantization`,
   * which makes all times multiples of 65,536 ns, is then off. Default: false.
   */
  readonly profile?: boolean;
  /**
   * Toggles of Dawn, such as `{ disable_robustness: true }` (shaders do not check bounds), besides those that AXOGRAD_DAWN names; here as
   * there, a name that Dawn does not know is refused. Their list: `src/dawn/native/Toggles.cpp` of Dawn. Default: none.
   */
  readonly dawnToggles?: Readonly<Record<string, boolean>>;
  /** Most bytes of device memory to reserve. Default: no limit but the device's. */
  readonly memoryBudgetBytes?: number;
  /** Most lanes in one run. Default: 256. */
  readonly maxLanes?: number;
  /** Most bytes of one array. Default: what the adapter can bind (`maxStorageBufferBindingSize`), which is also the most. */
  readonly maxArrayBytes?: number;
  /**
   * "adapter": all that the adapter has (default). "default": what WebGPU promises everywhere, 128 MiB in one binding and 256 MiB in one buffer:
   * to try here what another adapter will do. Default: what AXOGRAD_LIMITS says.
   */
  readonly limits?: DeviceLimits;
  /** How sparse products are dealt out to threads, where it is not to be the default. For measurements. */
  readonly sparseTuning?: Partial<SparseTuning>;
  /**
   * "f16": before a sparse product W·X, X is rounded to half precision, to nearest, and its rows are gathered from there. Weights, sums and
   * what is stored stay f32, and so do reverse products. A rounded number is off by up to 2^-11 of itself, one below 6.1·10^-5 by up to
   * 3·10^-8; a magnitude of 65,520 or more becomes infinite, so it cannot pass for a number. Default: "f32".
   */
  readonly gather?: Gather;
  /** Only "f32" exists here; anything else is refused. */
  readonly dtype?: DType;
}

export interface WebGpuBackend extends Backend {
  readonly name: "webgpu";
  readonly adapter: AdapterInfo;
  /** The WebGPU device underneath, for tools and tests. */
  readonly device: GPUDevice;
  bind(executable: Executable, bindings: Readonly<Record<string, Bindable>>): GpuBound;
  /** Objects made and dispatches recorded so far: a run in steady state adds dispatches only. */
  counts(): ObjectCounts & QueueCounts & Traffic;
  /** How sparse products are dealt out to threads. */
  readonly sparseTuning: SparseTuning;
  /** The same without any choices: what this device gets by default. */
  readonly standardTuning: SparseTuning;
  /**
   * Changes some of these choices, for what is made from now on. Programs that were compiled before stay as they are: right, with the choices
   * of that time. So tune before models are made.
   *
   * @throws {ArgumentError} no kernel supports it
   * @throws {BackendError} "feature": quads without the feature "subgroups"; "matrix": `limits` or `window` change while there is a matrix,
   *   whose rows are dealt out already: two matrices of a backend would add up in different ways
   */
  retune(choices: Partial<SparseTuning>): void;
  /** A backend on the same device, which stays open when that one is disposed. Memory, programs, profile and errors are its own. */
  beside(): BesideBackend;
}

/** See `beside`. */
export interface BesideBackend extends WebGpuBackend {
  /**
   * Waits for the device. What it reports of shaders and memory since the last call; the backend remains usable. null: nothing.
   * A device that is lost is no such error.
   */
  takeError(): Promise<BackendError | null>;
}

/**
 * @throws {BackendError} no adapter, no Vulkan loader, a limit that is lacking, f64
 * @throws {ArgumentError} a limit that is no number above 0, a toggle that Dawn does not know
 */
export async function createWebGpuBackend(options: WebGpuOptions = {}): Promise<WebGpuBackend> {
  const { dtype = "f32", profile = false, maxLanes = 256, sparseTuning = {}, gather = "f32" } = options;
  const { memoryBudgetBytes = Number.POSITIVE_INFINITY, maxArrayBytes = Number.POSITIVE_INFINITY } = options;
  if (dtype !== "f32") {
    throw new BackendError(
      "dtype",
      `webgpu: expected f32, got ${dtype}: WGSL has no f64. Use the wasm backend (dtype)`,
    );
  }
  for (const [name, value] of Object.entries({ maxLanes, memoryBudgetBytes, maxArrayBytes })) {
    if (!(value > 0)) throw new ArgumentError("createWebGpuBackend", name, "a number above 0", `${value}`);
  }
  if (!GATHERS.includes(gather))
    throw new ArgumentError("createWebGpuBackend", "gather", '"f32" or "f16"', `${gather}`);
  checkChoices(sparseTuning);
  const limits = options.limits ?? limitsOfEnvironment();
  const withoutSubgroups = sparseTuning.exchange === "workgroup";
  const device = await Device.open(options.adapter, {
    profile,
    toggles: options.dawnToggles,
    withoutSubgroups,
    limits,
  });
  try {
    checkFeature(sparseTuning, device);
  } catch (error) {
    device.destroy();
    throw error;
  }
  const tuning = tuningOf(sparseTuning, device.hasSubgroups);
  const settings = { profile, memoryBudgetBytes, maxLanes, maxArrayBytes, gather, tuning };
  return new DawnBackend(device, settings);
}

function checkFeature({ exchange }: Partial<SparseTuning>, { hasSubgroups, info }: Device): void {
  if (exchange !== "quads" || hasSubgroups) return;
  throw new BackendError(
    "feature",
    `webgpu: expected the feature "subgroups" with quads of neighbouring threads, got a device without (${info.name}). Use "workgroup" (sparseTuning.exchange).`,
    { feature: "subgroups" },
  );
}

type OwnMemory = { -readonly [Name in keyof Memory]: Memory[Name] };

/** What a backend is made of. */
interface Settings {
  readonly profile: boolean;
  readonly memoryBudgetBytes: number;
  readonly maxLanes: number;
  readonly maxArrayBytes: number;
  readonly gather: Gather;
  readonly tuning: SparseTuning;
}

class DawnBackend implements BesideBackend {
  readonly name = "webgpu";
  readonly dtype = "f32";
  readonly isAsynchronous = true;
  readonly maxLanes: number;
  readonly #device: Device;
  readonly #queue: CommandQueue;
  readonly #transfer: Transfer;
  readonly #profiler: Profiler | null;
  readonly #memory: OwnMemory;
  readonly #context: BindContext;
  readonly #temporaries: TemporaryPool;
  /** Of the present tuning. */
  #executables = new WeakMap<Program, Map<string, GpuExecutable>>();
  readonly #options: Settings;
  #disposed = false;

  constructor(device: Device, options: Settings) {
    this.maxLanes = options.maxLanes;
    this.#device = device;
    this.#options = options;
    this.#profiler = options.profile && device.hasTimestamps ? new Profiler(device) : null;
    this.#queue = new CommandQueue(device, this.#profiler);
    this.#transfer = new Transfer(device, this.#queue);
    const { STORAGE, COPY_DST, COPY_SRC, UNIFORM } = GPUBufferUsage;
    const slabs = new SlabAllocator(device, "state", STORAGE | COPY_DST | COPY_SRC, options);
    this.#memory = { slabs, ledger: new Ledger(), gather: options.gather, tuning: options.tuning };
    this.#temporaries = new TemporaryPool(this.#memory);
    const uniforms = new SlabAllocator(device, "uniform", UNIFORM | COPY_DST);
    this.#context = {
      device,
      pipelines: new Pipelines(device),
      memory: this.#memory,
      uniforms,
      writeUniforms: ({ slab, byteOffset }, words) => this.#queue.write(slab.buffer, byteOffset, words),
    };
  }

  get description(): string {
    const { name, api, isSoftware, toggles } = this.#device.info;
    const gather = this.#options.gather === "f32" ? "" : `gathers ${this.#options.gather}`;
    const facts = [isSoftware ? "software" : "GPU", api, togglesText(toggles), gather].filter((fact) => fact !== "");
    return `webgpu f32, ${name} (${facts.join(", ")})`;
  }

  get adapter(): AdapterInfo {
    return this.#device.info;
  }

  get tapeBudgetBytes(): number {
    return tapeBudget(this.#device.info);
  }

  get device(): GPUDevice {
    return this.#device.gpu;
  }

  counts(): ObjectCounts & QueueCounts & Traffic {
    return { ...this.#device.counts, ...this.#queue.counts, ...this.#transfer.counts };
  }

  get usesHostMemory(): boolean {
    return this.#device.info.isSoftware;
  }

  get maxArrayBytes(): number {
    return this.#memory.slabs.limit;
  }

  lanesFor(numbers: number): number {
    const fitting = Math.floor(this.#memory.slabs.limit / (ARRAYS_PER_SLAB * 4 * numbers));
    // Whole panels; the narrowest where none fits so easily.
    const lanes = fitting >= 16 ? fitting - (fitting % 16) : fitting >= 8 ? 8 : 4;
    return Math.min(this.maxLanes, lanes);
  }

  layoutFor(lanes: number): PanelLayout {
    return layoutFor(lanes, this.maxLanes);
  }

  buffer(label: string, length: number, type: "float" | "u32" = "float"): DeviceBuffer {
    this.#check();
    return this.#zeroed(GpuDeviceBuffer.create(this.#memory, label, length, type));
  }

  async buffersIfRoom<Name extends string>(
    label: string,
    lengths: Readonly<Record<Name, number>>,
    kind: string = label,
  ): Promise<Readonly<Record<Name, DeviceBuffer>> | null> {
    this.#check();
    const buffers = await GpuDeviceBuffer.createIfRoom(this.#memory, label, lengths, kind);
    this.#check();
    if (buffers) for (const name in buffers) this.#zeroed(buffers[name]);
    return buffers;
  }

  sparse(label: string, csr: Csr): DeviceSparse {
    this.#check();
    checkRepresentable(csr, this.dtype, label);
    return new GpuDeviceSparse(this.#memory, label, csr, (target, data) => this.#transfer.upload(target, data, 0));
  }

  /** A row keeps its threads, which decide the order of its sum; those of others have nothing to do. */
  sparseRows(matrix: DeviceSparse, isTaken: ArrayLike<number>): DeviceSparse | null {
    this.#check();
    const own = checkOwn(
      "sparseRows",
      matrix,
      (b): b is GpuDeviceSparse => b instanceof GpuDeviceSparse && this.#isOwn(b),
    );
    checkTakenRows(own, isTaken);
    const mark = own.mark(isTaken, (data, offset) => this.#transfer.upload(own.csr.structure, data, offset));
    return mark === null ? null : new GpuSparseRows(own, mark, isTaken);
  }

  upload(target: DeviceBuffer, data: ArrayLike<number>, offset = 0): void {
    const own = this.#own("upload", target);
    checkRange("upload", own, offset, data.length);
    this.#transfer.upload(own, data, offset);
  }

  async download(
    source: DeviceBuffer,
    offset = 0,
    length: number = source.length - offset,
  ): Promise<Float32Array | Uint32Array> {
    const buffer = this.#own("download", source);
    checkRange("download", buffer, offset, length);
    const [copy] = await this.#transfer.download([{ buffer, offset, length }]);
    return copy!;
  }

  async downloadAll(sources: readonly DeviceBuffer[]): Promise<readonly (Float32Array | Uint32Array)[]> {
    this.#check();
    return this.#transfer.download(
      sources.map((source) => ({ buffer: this.#own("download", source), offset: 0, length: source.length })),
    );
  }

  fill(target: DeviceBuffer, value: number): void {
    this.#transfer.fill(this.#own("fill", target), value);
  }

  copy(target: DeviceBuffer, source: DeviceBuffer): void {
    const [to, from] = [this.#own("copy", target), this.#own("copy", source)];
    checkCopy(to, from);
    this.#transfer.copy(to, from);
  }

  compile(program: Program, layout: PanelLayout): Executable {
    this.#check();
    const known = this.#executables.get(program) ?? new Map<string, GpuExecutable>();
    this.#executables.set(program, known);
    const key = layoutKey(layout);
    const compiled = known.get(key);
    if (compiled) return compiled;
    checkProgram(program);
    checkLayout(program, layout, Number.POSITIVE_INFINITY);
    const executable = new GpuExecutable(this.#memory, this.#temporaries, program, layout);
    known.set(key, executable);
    return executable;
  }

  bind(executable: Executable, bindings: Readonly<Record<string, Bindable>>): GpuBound {
    this.#check();
    if (!this.#isOwnExecutable(executable)) throw foreignError(executable.program.name, "an executable");
    return bindProgram(this.#context, executable, resolveBindings(executable, bindings, this.#isOwn));
  }

  run(bound: BoundProgram): void {
    this.#check();
    if (!(bound instanceof GpuBound && this.#isOwnExecutable(bound.executable))) {
      throw foreignError(bound.executable.program.name, "a bound program");
    }
    checkRunnable(bound.executable.program, bound.released, bound.bound);
    this.#queue.dispatch(bound.dispatches);
  }

  async finish(): Promise<void> {
    this.#check();
    await this.#queue.finish();
  }

  traffic(): Traffic {
    const { dispatches, submits } = this.#queue.counts;
    return { dispatches, submits, ...this.#transfer.counts };
  }

  memory(): MemoryStats {
    return {
      ...this.#memory.ledger.stats(),
      takenBytes: this.#memory.slabs.reserved + this.#context.uniforms.reserved,
    };
  }

  imagined(): Backend {
    this.#check();
    const { tuning } = this.#memory;
    return new DawnBackend(Device.imagined(this.#device), { ...this.#options, tuning, profile: false });
  }

  beside(): BesideBackend {
    this.#check();
    const { slabs, tuning } = this.#memory;
    const memoryBudgetBytes = Math.max(1, this.#options.memoryBudgetBytes - slabs.reserved);
    return new DawnBackend(this.#device.beside(), { ...this.#options, tuning, memoryBudgetBytes });
  }

  async takeError(): Promise<BackendError | null> {
    return this.#device.takeError();
  }

  get sparseTuning(): SparseTuning {
    return this.#memory.tuning;
  }

  get standardTuning(): SparseTuning {
    return tuningOf({}, this.#device.hasSubgroups);
  }

  retune(choices: Partial<SparseTuning>): void {
    this.#check();
    checkChoices(choices, "retune");
    checkFeature(choices, this.#device);
    const before = this.#memory.tuning;
    const tuning = { ...before, ...choices };
    if (isSameTuning(tuning, before)) return;
    const { liveMatrices } = this.#memory.ledger;
    if (liveMatrices > 0 && !isSameTable(tuning, before)) {
      throw new BackendError(
        "matrix",
        `retune: expected a backend without matrices, to change sparseTuning.limits or window, got one with ${liveMatrices}. Tune before ` +
          "models are made, or release them.",
        { liveMatrices },
      );
    }
    this.#memory.tuning = tuning;
    this.#executables = new WeakMap();
  }

  profile(): Readonly<Record<string, { readonly ms: number; readonly runs: number }>> {
    return this.#profiler?.take() ?? {};
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#memory.ledger.clear();
    this.#device.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  #zeroed(buffer: GpuDeviceBuffer): GpuDeviceBuffer {
    if (buffer.piece.reused) this.#transfer.fill(buffer, 0);
    return buffer;
  }

  #check(): void {
    if (this.#disposed) throw disposedError(this.name);
    this.#device.check();
  }

  /** The backend's own buffer behind `buffer`. */
  #own(where: string, buffer: DeviceBuffer): GpuDeviceBuffer {
    this.#check();
    return checkOwn(where, buffer, (b): b is GpuDeviceBuffer => b instanceof GpuDeviceBuffer && this.#isOwn(b));
  }

  readonly #isOwn = (given: Bindable): given is GpuDeviceBuffer | GpuDeviceSparse | GpuSparseRows =>
    (given instanceof GpuDeviceBuffer || given instanceof GpuDeviceSparse || given instanceof GpuSparseRows) &&
    given.memory === this.#memory;

  #isOwnExecutable(executable: Executable): executable is GpuExecutable {
    return executable instanceof GpuExecutable && executable.memory === this.#memory;
  }
}
