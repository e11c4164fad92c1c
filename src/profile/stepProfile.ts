// Where the time of a training step goes: one row per kind of work, and the rows add up to the whole.

import type { Backend, BoundProgram } from "../backend/backend.ts";
import { type PhaseKind, phaseKind } from "../backend/kinds.ts";
import type { Purpose } from "../backend/program.ts";
import { bytesOf } from "../core/dtype.ts";
import { formatPercent } from "../core/format.ts";
import { alignColumns } from "../core/text.ts";
import { phaseCosts, storedEntriesOf, totalBytes } from "./cost.ts";
import { observed } from "./observed.ts";

export const ROW_NAMES = [
  "spmm", //           W·X of the connectome, with what is fused into it
  "fused backward", // Wᵀ·G with the gradient of the stored values
  "gemm", //           dense products, forward and reverse
  "pointwise", //      stages, error control, projections: phases without a product
  "reductions", //     norms, sums over neurons or samples
  "refresh", //        constraints and the CSR copy of the weights
  "optimiser",
  "read-out", //       read-out, loss and penalties, but for dense products
  "fill and copy", //  zeroed gradients, uploads, downloads
  "waiting", //        for other threads, or for the GPU
  "host", //           everything else: JavaScript, dispatching, compiling
] as const;

export type RowName = (typeof ROW_NAMES)[number];

export interface ProfileRow {
  readonly name: RowName;
  readonly ms: number;
  /** Phases of programs (on a GPU several may share a dispatch), or transfers. */
  readonly runs: number;
  /** By formula (cost.ts); null where none applies. */
  readonly bytes: number | null;
  /** Names of the programs whose phases it contains. */
  readonly programs: readonly string[];
}

/** One step. The times of the rows add up to `ms`. */
export interface StepProfile {
  readonly device: string;
  /** From one end of the step to the other, until the device has done its work. */
  readonly ms: number;
  /** false for a GPU without timestamps: all its time is in "waiting". */
  readonly kernelsTimed: boolean;
  readonly rows: readonly ProfileRow[];
}

/** What is known of the phases of one program. */
interface Phases {
  readonly kind: PhaseKind;
  readonly bytes: number;
}

interface Tally {
  ms: number;
  runs: number;
  bytes: number;
  readonly programs: Set<string>;
}

/** Collects profiles. Use `backend` in place of the backend it was made with, which was created with `profile: true`. */
export class StepProfiler {
  readonly backend: Backend;
  readonly #inner: Backend;
  readonly #phases = new WeakMap<BoundProgram, readonly Phases[]>();
  /** By program name, which is what a GPU labels times with. */
  readonly #purposes = new Map<string, Purpose>();
  #rows = new Map<RowName, Tally>();
  #waitedMs = 0;
  #deviceMs = 0;
  #kernelsTimed = false;

  constructor(inner: Backend) {
    this.#inner = inner;
    const element = bytesOf(inner.dtype);
    this.backend = observed(inner, {
      bound: (bound, bindings) => {
        const { program, layout } = bound.executable;
        const costs = phaseCosts(program, layout, element, storedEntriesOf(bindings));
        const phases = program.phases.map((phase, i) => ({
          kind: phaseKind(program, phase),
          bytes: totalBytes(costs[i]!),
        }));
        this.#phases.set(bound, phases);
        if (program.purpose) this.#purposes.set(program.name, program.purpose);
      },
      ran: (bound) => this.#ran(bound),
      moved: (elements, ms) => {
        const row = this.#row("fill and copy");
        row.runs++;
        row.bytes += elements * element;
        row.ms += ms;
      },
      waited: (ms) => {
        this.#waitedMs += ms;
      },
    });
  }

  /** The profile of what was done since the last call, which took the host `hostMs` in all. Call it between steps. */
  async take(hostMs: number): Promise<StepProfile> {
    const ms = hostMs + (await this.#finished());
    for (const [label, { ms: kernelMs }] of Object.entries(this.#inner.profile())) {
      const cut = label.lastIndexOf(": ");
      const purpose = this.#purposes.get(label.slice(0, cut));
      this.#row(rowOf(purpose, KERNEL_KINDS[label.slice(cut + 2)] ?? "pointwise")).ms += kernelMs;
      this.#deviceMs += kernelMs;
      this.#kernelsTimed = true;
    }
    this.#row("waiting").ms += Math.max(0, this.#waitedMs - this.#deviceMs);
    const others = [...this.#rows.values()].reduce((sum, row) => sum + row.ms, 0);
    this.#row("host").ms = ms - others;
    const rows = ROW_NAMES.map((name): ProfileRow => {
      const { ms: own, runs, bytes, programs } = this.#row(name);
      return { name, ms: own, runs, bytes: bytes > 0 ? bytes : null, programs: [...programs].sort() };
    });
    const profile = { device: this.#inner.description, ms, kernelsTimed: this.#kernelsTimed, rows };
    this.#reset();
    return profile;
  }

  /** Forgets what was done since the last call: it was not part of a step. */
  async discard(): Promise<void> {
    await this.#finished();
    this.#inner.profile();
    this.#reset();
  }

  /** Waits until a GPU has done all work that is enqueued and its timestamps are there. The CPU has nothing left to do. */
  async #finished(): Promise<number> {
    if (this.#inner.name === "wasm") return 0;
    const start = performance.now();
    await this.#inner.finish();
    const ms = performance.now() - start;
    this.#waitedMs += ms;
    return ms;
  }

  #reset(): void {
    this.#rows = new Map();
    this.#waitedMs = 0;
    this.#deviceMs = 0;
  }

  #ran(bound: BoundProgram): void {
    const { name, purpose } = bound.executable.program;
    for (const { kind, bytes } of this.#phases.get(bound) ?? []) {
      const row = this.#row(rowOf(purpose, kind));
      row.runs++;
      row.bytes += bytes;
      row.programs.add(name);
    }
    if (this.#inner.name !== "wasm") return;
    this.#kernelsTimed = true;
    for (const [kind, { ms }] of Object.entries(this.#inner.profile())) {
      this.#row(kind === "barrier" ? "waiting" : rowOf(purpose, kind as PhaseKind)).ms += ms;
    }
  }

  #row(name: RowName): Tally {
    const known = this.#rows.get(name);
    if (known) return known;
    const row: Tally = { ms: 0, runs: 0, bytes: 0, programs: new Set() };
    this.#rows.set(name, row);
    return row;
  }
}

/** What the kernels of the WebGPU backend do (webgpu/plan.ts). */
const KERNEL_KINDS: Readonly<Record<string, PhaseKind>> = {
  spmm: "matmul sparse",
  pack: "matmul sparse",
  spmmGrad: "matmulT sparse",
  gemm: "matmul dense",
  map: "pointwise",
  vector: "vector",
  segmentSum: "vector",
  gatherT: "vector",
  tail: "sample",
};

/** The rows of programs whose phases do not count by their kind. */
const ROW_OF_PURPOSE: Readonly<Partial<Record<Purpose, RowName>>> = {
  readout: "read-out",
  parameters: "refresh",
  optimiser: "optimiser",
};

/**
 * A program's phase of some kind belongs to its product, else to what the program is for, else to its kind. Sparse products of a read-out
 * (of groups of neurons, of layers with shared weights) are not the connectome's.
 */
function rowOf(purpose: Purpose | undefined, kind: PhaseKind): RowName {
  if (purpose === "readout" && kind.endsWith(" sparse")) return "read-out";
  if (kind === "matmul sparse") return "spmm";
  if (kind === "matmulT sparse") return "fused backward";
  if (kind === "matmul dense" || kind === "matmulT dense") return "gemm";
  return (purpose && ROW_OF_PURPOSE[purpose]) ?? (kind === "reduction" ? "reductions" : "pointwise");
}

/** The table for people. */
export function describeProfile({ device, ms, kernelsTimed, rows }: StepProfile): string[] {
  const cells = (name: string, own: number, runs: number, bytes: number | null): readonly string[] => [
    name,
    own.toFixed(1),
    formatPercent(own / ms),
    runs === 0 ? "" : `${runs}`,
    bytes === null ? "" : (bytes / 2 ** 20).toFixed(1),
  ];
  const bytes = rows.reduce((sum, row) => sum + (row.bytes ?? 0), 0);
  const table = [
    ["", "ms", "share", "runs", "MiB"],
    ...rows.map((row) => cells(row.name, row.ms, row.runs, row.bytes)),
    cells("whole step", ms, 0, bytes),
  ];
  return [
    `profile of one step, ${device}${kernelsTimed ? "" : "; this device does not time its kernels"}`,
    ...alignColumns(table, [1, 2, 3, 4]),
  ];
}
