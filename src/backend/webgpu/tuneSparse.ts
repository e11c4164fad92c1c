// Chooses how sparse products run on the card at hand, by trial.
//
// A card at rest lowers its clock, and takes up to a second of work to raise it again; so candidates are compiled and checked while it works on
// the default, and are timed afterwards. A pass repeats a product until it lasts long enough for its clock. The matrix may stay in the card's
// cache from one product to the next, as it may not in training. That favours no candidate: each would read it from memory once per product,
// and again only from the cache.

import { yieldToEventLoop } from "../../core/abort.ts";
import type { Csr } from "../../core/csr.ts";
import { ArgumentError, BackendError } from "../../core/errors.ts";
import { formatCount } from "../../core/format.ts";
import type { PanelLayout } from "../program.ts";
import type { WebGpuBackend } from "./backend.ts";
import type { GpuBound } from "./dispatches.ts";
import type { SparseTuning } from "./sparseTuning.ts";
import { problemOf, sameGroups, type TrialKernel, TrialProducts, type TrialResults } from "./trialProducts.ts";
import { kernelCandidates, limitsCandidates } from "./tuningCandidates.ts";
import type { TuneOptions, TuningResult } from "./tuningResult.ts";

export type { TuneOptions, TuningResult, TuningTrial } from "./tuningResult.ts";

/** For tests, and for trying the tuner where nothing can be gained. */
export interface TuningTools {
  /** Tries on a software adapter, and products of any size. */
  readonly force?: boolean;
  /** Microseconds of a product, instead of running it. */
  readonly clock?: (kernel: TrialKernel, tuning: SparseTuning) => number;
  /** Milliseconds. Default: performance.now. */
  readonly now?: () => number;
}

/** A choice other than the default takes at most this part of the default's time: more than times differ from one pass to the next. */
const MARGIN = 0.97;
const WARM_UP_MS = 1000;
/** Part of the budget for warming up and checking; the rest is for timing. */
const WARM_UP_SHARE = 2 / 3;
/** Work that the device gets at a time while the host does something else. */
const FILL_MS = 50;
const PASSES = 3;
/** A wait for the device takes the host 0.1 to 0.2 ms: 1 % of such a pass at most. Timestamps are exact; the pass then only has to be steady. */
const PASS_MS = { host: 20, timestamps: 2 } as const;
/** A first, short pass, in parts of a whole one. If a candidate takes this many times as long as the default there, that is all it gets. */
const PROBE = 1 / 8;
const HOPELESS = 2;
/** A product alone takes the host's wait besides, which is little of one longer than this; of shorter ones, this many follow one another. */
const FEW_US = 2000;
const FEW = 32;
/** A product of fewer terms takes 1 or 2 µs at 1 to 2 TFLOP/s, less than the gap between two dispatches. */
const FEWEST_TERMS = 1e6;

/**
 * Times the two sparse products of a training step with the choices that are worth a trial, and returns the best. A choice other than the
 * default has to be 3 % faster, twice, and must give the default's results: to the bit where it keeps the grouping of sums, else within the
 * bound of rounding. One that is wrong or fails is dropped, and its trial says why. `limits` are one choice for the sum of both products.
 *
 * Nothing is tried on a software adapter, or if a product has fewer than 10⁶ terms (stored entries times lanes). The default is what
 * `createWebGpuBackend` takes without choices. Trials have a backend beside this one and release it; no values of the matrix are used. The
 * backend keeps its choices: `backend.retune` changes them.
 *
 * @throws {ArgumentError} a budget that is not above 0
 * @throws {BackendError} more lanes than the backend has; the default itself fails; the device is lost
 * @throws the signal's reason, once it is aborted
 */
export async function tuneSparse(
  backend: WebGpuBackend,
  csr: Csr,
  options: TuneOptions,
  tools: TuningTools = {},
): Promise<TuningResult> {
  const { lanes, regroup = false, signal } = options;
  const { budgetMs = regroup ? 10_000 : 1_500 } = options;
  if (!(budgetMs > 0)) throw new ArgumentError("tuneSparse", "budgetMs", "a number above 0", `${budgetMs}`);
  signal?.throwIfAborted();
  const layout = backend.layoutFor(lanes);
  const usual = backend.standardTuning;
  const skipped = tools.force ? null : reasonToSkip(backend, csr, lanes);
  if (skipped !== null) return { tuning: usual, trials: [], untried: 0, ms: 0, skipped };
  const tuner = new Tuner(backend, csr, layout, usual, { regroup, budgetMs, signal, tools });
  try {
    return await tuner.tune();
  } finally {
    await tuner.dispose();
  }
}

function reasonToSkip({ adapter }: WebGpuBackend, { nnz }: Csr, lanes: number): string | null {
  if (adapter.isSoftware) return `${adapter.name} is a software adapter`;
  if (nnz * lanes >= FEWEST_TERMS) return null;
  return `products have ${formatCount(nnz * lanes)} terms, fewer than ${formatCount(FEWEST_TERMS)}: starting one takes longer than running it`;
}

/** A choice of one kernel, its program, and what came of it. */
interface Entrant {
  readonly kernel: TrialKernel;
  readonly tuning: SparseTuning;
  readonly products: TrialProducts;
  bound: GpuBound | null;
  us: number | null;
  problem: string | null;
}

interface Terms {
  readonly regroup: boolean;
  readonly budgetMs: number;
  readonly signal: AbortSignal | undefined;
  readonly tools: TuningTools;
}

class Tuner {
  readonly #backend: WebGpuBackend;
  readonly #csr: Csr;
  readonly #layout: PanelLayout;
  readonly #usual: SparseTuning;
  readonly #terms: Terms;
  readonly #now: () => number;
  readonly #stands = new Set<TrialProducts>();
  readonly #trials: Entrant[] = [];
  readonly #expected = new Map<TrialKernel, TrialResults>();
  #untried = 0;
  /** When the matrix was there. */
  #begin: number;
  /** Milliseconds of the longest trial so far. */
  #trialMs = 0;
  #isLost = false;

  constructor(backend: WebGpuBackend, csr: Csr, layout: PanelLayout, usual: SparseTuning, terms: Terms) {
    this.#backend = backend;
    this.#csr = csr;
    this.#layout = layout;
    this.#usual = usual;
    this.#terms = terms;
    this.#now = terms.tools.now ?? (() => performance.now());
    this.#begin = this.#now();
  }

  async tune(): Promise<TuningResult> {
    const start = this.#now();
    const products = await this.#stand(this.#usual);
    const standMs = this.#now() - start;
    this.#begin = this.#now();
    const usual = { spmm: this.#entrant("spmm", products), spmmGrad: this.#entrant("spmmGrad", products) };
    const { regroup } = this.#terms;
    const wanted = kernelCandidates(this.#usual, this.#layout, regroup);
    const others = wanted.map(({ kernel, tuning }) => this.#entrant(kernel, products, tuning));
    const ready = await this.#warmUp(Object.values(usual), others);
    for (const entrant of Object.values(usual)) await this.#time(entrant, entrant);
    for (const [k, entrant] of ready.entries()) {
      // The trial, and both kernels' last one.
      if (!(await this.#hasTime(3 * this.#trialMs))) {
        this.#untried += ready.length - k;
        break;
      }
      await this.#time(entrant, usual[entrant.kernel]);
    }
    let best: readonly Entrant[] = [];
    for (const entrant of Object.values(usual)) {
      const rivals = ready.filter(({ kernel }) => kernel === entrant.kernel).map((rival) => [rival]);
      best = [...best, ...(await this.#better([entrant], rivals))];
    }
    if (regroup) best = await this.#tryLimits(best, standMs);
    // What was found until then says little, and nothing may keep it. This throws the loss.
    if (this.#isLost) await this.#backend.finish();
    const { gradPanels, exchange } = best[1]!.tuning;
    return {
      tuning: { ...best[0]!.tuning, gradPanels, exchange },
      trials: this.#trials.map(({ kernel, tuning, us, problem }) => ({ kernel, tuning, us, problem })),
      untried: this.#untried,
      ms: this.#now() - start,
      skipped: null,
    };
  }

  async dispose(): Promise<void> {
    for (const stand of this.#stands) await stand.dispose();
    this.#stands.clear();
  }

  async #stand(tuning: SparseTuning): Promise<TrialProducts> {
    const products = await TrialProducts.create(this.#backend, this.#csr, this.#layout, tuning);
    this.#stands.add(products);
    return products;
  }

  #entrant(kernel: TrialKernel, products: TrialProducts, tuning: SparseTuning = this.#usual): Entrant {
    return { kernel, tuning, products, bound: null, us: null, problem: null };
  }

  /**
   * Compiles and checks candidates while the device works, for as long as it takes to raise its clock.
   *
   * @returns the right ones
   */
  async #warmUp(usual: readonly Entrant[], others: readonly Entrant[]): Promise<readonly Entrant[]> {
    const [forward] = usual as [Entrant, ...Entrant[]];
    for (const entrant of usual) {
      this.#trials.push(entrant);
      entrant.bound = await entrant.products.bind(entrant.kernel, entrant.tuning);
      if (!this.#terms.tools.clock) await this.#fill(forward);
      this.#expected.set(entrant.kernel, await entrant.products.results(entrant.kernel, entrant.bound));
    }
    const endMs = WARM_UP_SHARE * this.#terms.budgetMs;
    const ready: Entrant[] = [];
    for (const [k, entrant] of others.entries()) {
      if (!(await this.#hasTime(this.#terms.budgetMs - endMs))) {
        this.#untried += others.length - k;
        break;
      }
      if (!this.#terms.tools.clock) await this.#fill(forward);
      if (await this.#prepare(entrant)) ready.push(entrant);
    }
    if (this.#terms.tools.clock) return ready;
    while (this.#elapsed() < Math.min(WARM_UP_MS, endMs)) {
      await yieldToEventLoop(this.#terms.signal);
      await this.#fill(forward);
      await forward.products.backend.finish();
    }
    return ready;
  }

  #elapsed(): number {
    return this.#now() - this.#begin;
  }

  /** Whether the budget has room for this many milliseconds more, the device is there and no one has aborted. */
  async #hasTime(ms: number): Promise<boolean> {
    await yieldToEventLoop(this.#terms.signal);
    return !this.#isLost && this.#elapsed() + ms <= this.#terms.budgetMs;
  }

  /** Enqueues work for a while. */
  async #fill(entrant: Entrant): Promise<void> {
    entrant.us ??= await this.#about(entrant);
    const runs = Math.ceil((1000 * FILL_MS) / entrant.us);
    for (let k = 0; k < runs; k++) entrant.products.backend.run(entrant.bound!);
  }

  /** Compiles a candidate and compares its results with the default's. */
  async #prepare(entrant: Entrant): Promise<boolean> {
    const { kernel, products, tuning } = entrant;
    try {
      entrant.bound = await products.bind(kernel, tuning);
      const results = await products.results(kernel, entrant.bound);
      const same = sameGroups(tuning, this.#usual);
      entrant.problem = problemOf(this.#csr, this.#layout, results, this.#expected.get(kernel)!, same);
    } catch (error) {
      await this.#drop(entrant, error);
    }
    if (entrant.problem !== null) this.#trials.push(entrant);
    return entrant.problem === null;
  }

  async #drop(entrant: Entrant, error: unknown): Promise<void> {
    if (!(error instanceof BackendError)) throw error;
    entrant.us = null;
    entrant.problem = error.message;
    await entrant.products.backend.takeError();
    await this.#checkDevice();
  }

  /** A lost device, and errors that belong to no backend beside, remain. */
  async #checkDevice(): Promise<void> {
    try {
      await this.#backend.finish();
    } catch {
      this.#isLost = true;
    }
  }

  /** Times a candidate, or the default by itself. */
  async #time(entrant: Entrant, usual: Entrant): Promise<void> {
    const begin = this.#now();
    if (entrant !== usual) this.#trials.push(entrant);
    try {
      entrant.us = null;
      await this.#measure(entrant, usual);
    } catch (error) {
      if (entrant === usual) throw error;
      await this.#drop(entrant, error);
    }
    this.#trialMs = Math.max(this.#trialMs, this.#now() - begin);
  }

  async #measure(entrant: Entrant, usual: Entrant): Promise<void> {
    if (this.#terms.tools.clock) return this.#addPass(entrant, 0);
    const about = usual.us ?? (await this.#about(entrant));
    const us = await this.#pass(entrant, Math.ceil(PROBE * this.#runs(about)));
    if (entrant !== usual && us > HOPELESS * about) entrant.us = us;
    else for (let k = 0; k < PASSES; k++) await this.#addPass(entrant, about);
  }

  /** One more pass, of products that take about as long as this; the least time counts. */
  async #addPass(entrant: Entrant, aboutUs: number): Promise<void> {
    const { clock } = this.#terms.tools;
    const us = clock ? clock(entrant.kernel, entrant.tuning) : await this.#pass(entrant, this.#runs(aboutUs));
    entrant.us = Math.min(us, entrant.us ?? Number.POSITIVE_INFINITY);
  }

  /** Microseconds of a product, from as few as give an idea of it. */
  async #about(entrant: Entrant): Promise<number> {
    const once = await this.#pass(entrant, 1, "host");
    return once > FEW_US ? once : this.#pass(entrant, FEW, "host");
  }

  get #clock(): "host" | "timestamps" {
    const { device, adapter } = this.#backend;
    const isExact = adapter.toggles.timestamp_quantization !== true;
    return device.features.has("timestamp-query") && isExact ? "timestamps" : "host";
  }

  #runs(us: number): number {
    return Math.ceil((1000 * PASS_MS[this.#clock]) / us);
  }

  /** Microseconds of a product, from this many in a row. */
  async #pass({ products: { backend }, bound }: Entrant, runs: number, clock = this.#clock): Promise<number> {
    backend.profile();
    const begin = performance.now();
    for (let k = 0; k < runs; k++) backend.run(bound!);
    await backend.finish();
    const byHost = performance.now() - begin;
    const onDevice = Object.values(backend.profile()).reduce((sum, { ms }) => sum + ms, 0);
    return (1000 * (clock === "timestamps" && onDevice > 0 ? onDevice : byHost)) / runs;
  }

  /**
   * The fastest of some choices (each of one kernel, or of both) if it beats the first ones by the margin, now and when both are timed again in
   * turn; else the first ones.
   */
  async #better(usual: readonly Entrant[], others: readonly (readonly Entrant[])[]): Promise<readonly Entrant[]> {
    const sum = (entrants: readonly Entrant[]): number =>
      entrants.reduce((total, { us }) => total + (us ?? Number.POSITIVE_INFINITY), 0);
    const sorted = [...others].sort((a, b) => (sum(a) === sum(b) ? 0 : sum(a) - sum(b)));
    for (const best of sorted) {
      if (!(sum(best) <= MARGIN * sum(usual)) || this.#isLost) break;
      await yieldToEventLoop(this.#terms.signal);
      if (await this.#wins(best, usual, sum)) return best;
    }
    return usual;
  }

  /** Times both again, pass by pass in turn, so that a clock that rises or falls meanwhile favours neither. */
  async #wins(best: readonly Entrant[], usual: readonly Entrant[], sum: (e: readonly Entrant[]) => number) {
    const before = new Map([...best, ...usual].map((entrant) => [entrant, entrant.us!]));
    for (const entrant of before.keys()) entrant.us = null;
    for (let k = 0; k < PASSES; k++) {
      for (const [entrant, us] of before) {
        try {
          await this.#addPass(entrant, us);
        } catch (error) {
          await this.#drop(entrant, error);
          for (const [other, us] of before) if (other !== entrant) other.us ??= us;
          return false;
        }
      }
    }
    const isBetter = sum(best) <= MARGIN * sum(usual);
    for (const [entrant, us] of before) entrant.us = Math.min(us, entrant.us!);
    return isBetter;
  }

  /** The best of both kernels under other row tables, each of which takes a matrix of its own; else `usual`. */
  async #tryLimits(usual: readonly Entrant[], standMs: number): Promise<readonly Entrant[]> {
    let best = usual;
    const wanted = limitsCandidates(this.#csr, this.#usual);
    for (const [k, limits] of wanted.entries()) {
      if (!(await this.#hasTime(standMs + 6 * this.#trialMs))) {
        this.#untried += 2 * (wanted.length - k);
        break;
      }
      const entrants = await this.#underLimits(usual, limits);
      best = await this.#better(best, entrants ? [entrants] : []);
      for (const stand of this.#stands) {
        const inUse = [...usual, ...best].some(({ products }) => products === stand);
        if (inUse) continue;
        this.#stands.delete(stand);
        await stand.dispose();
      }
    }
    return best;
  }

  async #underLimits(usual: readonly Entrant[], limits: SparseTuning["limits"]): Promise<readonly Entrant[] | null> {
    if (!this.#terms.tools.clock) await this.#fill(usual[0]!);
    let products: TrialProducts;
    try {
      products = await this.#stand({ ...this.#usual, limits });
    } catch (error) {
      if (!(error instanceof BackendError)) throw error;
      // Not the choice's fault: no room for a second matrix, or no device.
      this.#untried += usual.length;
      await this.#checkDevice();
      return null;
    }
    const entrants = usual.map(({ kernel, tuning }) => this.#entrant(kernel, products, { ...tuning, limits }));
    for (const [k, entrant] of entrants.entries()) {
      if (!(await this.#prepare(entrant))) return null;
      await this.#time(entrant, usual[k]!);
    }
    return entrants;
  }
}
