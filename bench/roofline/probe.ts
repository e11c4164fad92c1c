// A worker thread that measures one rate per request, on its own memory.

import { parentPort, workerData } from "node:worker_threads";

/** A measurement. Bytes are multiples of 128. */
export type ProbeRequest =
  | { readonly rate: "read" | "copy"; readonly bytes: number; readonly seconds: number }
  | { readonly rate: "flops"; readonly seconds: number };

export interface ProbeStart {
  readonly module: Uint8Array;
  /** The largest working set to be measured. */
  readonly maxBytes: number;
}

interface Rates {
  read(from: number, bytes: number, repeats: number): number;
  copy(to: number, from: number, bytes: number, repeats: number): void;
  multiplyAdd(repeats: number): number;
}

/** The part of the WebAssembly interface used here; TypeScript declares it only in its browser library. */
interface WebAssemblyApi {
  readonly Memory: new (descriptor: { initial: number }) => { readonly buffer: ArrayBuffer };
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
  readonly Module: new (bytes: Uint8Array) => object;
}

const PAGE_BYTES = 65536;
const FLOPS_PER_REPEAT = 96;
const TRIALS = 4;
/** Time for V8 to replace its first, slow code. A running call keeps its old code, so calls are short. */
const WARM_UP_MS = 150;

/** The best rate, in work per second, of a few calls of `run(repeats)` that are long enough. */
function bestRate(run: (repeats: number) => void, workPerRepeat: number, seconds: number): number {
  for (const start = performance.now(); performance.now() - start < WARM_UP_MS; ) run(1);
  let repeats = 1;
  let best = 0;
  for (let trial = 0; trial < TRIALS; ) {
    const start = performance.now();
    run(repeats);
    const elapsed = (performance.now() - start) / 1000;
    if (elapsed < seconds / TRIALS / 2) {
      repeats *= 2;
      continue;
    }
    best = Math.max(best, (workPerRepeat * repeats) / elapsed);
    trial++;
  }
  return best;
}

function serve({ module, maxBytes }: ProbeStart, port: NonNullable<typeof parentPort>): void {
  const api = (globalThis as unknown as { readonly WebAssembly: WebAssemblyApi }).WebAssembly;
  const memory = new api.Memory({ initial: Math.ceil(maxBytes / PAGE_BYTES) + 1 });
  // Untouched pages all map to one page of zeros, and would be read from a cache.
  new Uint8Array(memory.buffer).fill(1);
  const rates = new api.Instance(new api.Module(module), { env: { memory, abort: () => {} } }).exports as Rates;
  port.on("message", (request: ProbeRequest) => {
    port.postMessage(measure(rates, request));
  });
}

function measure(rates: Rates, request: ProbeRequest): number {
  const { seconds } = request;
  if (request.rate === "flops") {
    return bestRate((repeats) => rates.multiplyAdd(repeats * 1000), 1000 * FLOPS_PER_REPEAT, seconds);
  }
  const { bytes } = request;
  if (request.rate === "read") return bestRate((repeats) => rates.read(PAGE_BYTES, bytes, repeats), bytes, seconds);
  const half = bytes / 2;
  return bestRate((repeats) => rates.copy(PAGE_BYTES + half, PAGE_BYTES, half, repeats), bytes, seconds);
}

if (parentPort) serve(workerData as ProbeStart, parentPort);
