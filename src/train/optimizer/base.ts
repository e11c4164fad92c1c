// What all optimisers share: the programs of a step with their buffers, settings by parameter, clipping, and the state that checkpoints keep.

import type { Backend, BoundProgram, DeviceBuffer } from "../../backend/backend.ts";
import { Desk } from "../../backend/desk.ts";
import { type CallQueue, callsOf } from "../../core/callQueue.ts";
import type { FloatArray } from "../../core/dtype.ts";
import { ArgumentError, EngineError } from "../../core/errors.ts";
import { checkFinite } from "../../core/finite.ts";
import { orRelease } from "../../core/release.ts";
import type { SelectableNeurons } from "../../data/selectors.ts";
import type { Parameter } from "../../models/parameters/parameter.ts";
import type { ParameterSet } from "../../models/parameters/parameterSet.ts";
import type { ChosenElements } from "../parameterElements.ts";
import { type ParameterGroup, resolveGroups } from "./groups.ts";
import { type ClipOptions, clipScaleProgram, squaresProgram, stepProgram, type UpdateClasses } from "./programs.ts";
import { isMeanOfSquares, positive, type Rule } from "./rule.ts";

/** State that a checkpoint keeps. */
export interface OptimizerState {
  /** The optimiser's name; absent where an earlier version wrote it. */
  readonly kind?: string;
  readonly step: number;
  /** Moments by name: `<moment>.<parameter>`, in the parameter's device order. */
  readonly moments: Readonly<Record<string, FloatArray>>;
}

/** Options of every optimiser. */
export interface OptimizerOptions extends ClipOptions {
  /** Default 1e-3; of RMSprop 1e-2. */
  readonly lr?: number;
  /** Learning rate, weight decay and freezing by parameter. */
  readonly groups?: readonly ParameterGroup[];
  /**
   * The neurons of the network, for groups of their elements (`biases[type=T4*]`). Default: patterns with neurons are refused. Such a group takes
   * 4 bytes more per element of its parameters.
   */
  readonly neurons?: SelectableNeurons | null;
}

/** The names of these options. */
export const OPTIMIZER_OPTIONS: Readonly<Record<keyof OptimizerOptions, true>> = {
  lr: true,
  groups: true,
  neurons: true,
  clipNorm: true,
  clipValue: true,
};

/** A parameter that is trained, its moments, and the programs of a step. */
interface Slot {
  readonly parameter: Parameter;
  /** 1 for elements that are updated, in the device's order; null: all are. */
  readonly isTrained: ChosenElements;
  readonly moments: readonly DeviceBuffer[];
  readonly step: BoundProgram;
  /** Adds the squares of its gradient to their sum. */
  readonly addSquares: BoundProgram;
}

/** Parameters whose classes have the same learning rates and decays share the numbers that change from step to step. */
interface Rates {
  /** Of each class; `lr` null: that of the optimiser. */
  readonly classes: readonly { readonly lr: number | null; readonly weightDecay: number }[];
  /** [classes] each. */
  readonly scalars: Readonly<Record<string, DeviceBuffer>>;
}

/** What an optimiser has on its device. */
interface State {
  readonly rates: readonly Rates[];
  /** Σg² over all gradients. */
  readonly squares: DeviceBuffer;
  /** Makes the scale of clipNorm from the squares; null: without it. */
  readonly clip: BoundProgram | null;
  readonly slots: readonly Slot[];
}

/** Calls of models that change gradients. */
const GRADIENT_CALLS = ["gradients", "vjp"] as const;

/** What all optimisers share: buffers, programs, clipping, state. Use Adam, AdamW, SGD or RMSprop. */
export abstract class Optimizer {
  readonly #backend: Backend;
  readonly #parameters: ParameterSet;
  readonly #rule: Rule;
  readonly #desk: Desk;
  readonly #state: State;
  readonly #calls: CallQueue;
  lr: number;
  #step = 0;
  #isDisposed = false;

  protected constructor(backend: Backend, parameters: ParameterSet, rule: Rule, options: OptimizerOptions) {
    const { lr = 1e-3, clipNorm, clipValue } = options;
    positive(rule.name, "lr", lr);
    if (clipNorm !== undefined) positive(rule.name, "clipNorm", clipNorm);
    if (clipValue !== undefined) positive(rule.name, "clipValue", clipValue);
    this.#backend = backend;
    this.#parameters = parameters;
    this.#rule = rule;
    this.#calls = callsOf(parameters);
    this.lr = lr;
    this.#desk = new Desk(backend, backend.layoutFor(1), rule.name);
    this.#state = orRelease(this.#desk, () => stateOf(this.#desk, parameters, rule, options));
  }

  /** Its name: what checkpoints record. */
  get kind(): string {
    return this.#rule.name;
  }

  /** The elements that it updates, in the device's order, by parameter; null: all of them. */
  get trainedElements(): ReadonlyMap<Parameter, ChosenElements> {
    return new Map(this.#state.slots.map(({ parameter, isTrained }) => [parameter, isTrained]));
  }

  /** The parameters that it updates, as a whole or in part. */
  get trained(): readonly Parameter[] {
    return this.#state.slots.map(({ parameter }) => parameter);
  }

  /** How many numbers it updates. */
  get trainedNumbers(): number {
    const count = (chosen: ChosenElements, size: number): number =>
      chosen === null ? size : chosen.reduce((sum, isTrained) => sum + isTrained, 0);
    return this.#state.slots.reduce((sum, { parameter, isTrained }) => sum + count(isTrained, parameter.size), 0);
  }

  /** Steps taken. */
  get stepCount(): number {
    return this.#step;
  }

  /**
   * Updates every parameter that it trains from its gradient. While another call of the model is pending, the step takes its turn behind it.
   *
   * @param factor  on the learning rates of this step
   * @throws {EngineError} "busy": gradients are still being computed; "disposed"
   * @throws {ArgumentError} a learning rate that is not finite
   */
  step(factor = 1): void {
    const where = this.#rule.name;
    const lr = this.lr * factor;
    if (!Number.isFinite(lr)) throw new ArgumentError(where, "lr", "a finite learning rate", `${this.lr} · ${factor}`);
    this.#checkInUse("step");
    this.#calls.refuseDuring(`${where}.step`, GRADIENT_CALLS);
    this.#step++;
    const scalars = this.#state.rates.map(({ classes }) =>
      classes.map((own) => this.#rule.at(this.#step, own.lr === null ? lr : own.lr * factor, own.weightDecay)),
    );
    this.#calls.change("step", () => this.#takeStep(scalars));
  }

  /** @param scalars  of the rule, for each class of each of the rates */
  #takeStep(scalars: readonly (readonly (readonly number[])[])[]): void {
    const backend = this.#backend;
    const { clip, rates, slots } = this.#state;
    for (const [i, classes] of scalars.entries()) {
      for (const [j, name] of this.#rule.scalars.entries()) {
        backend.upload(
          rates[i]!.scalars[name]!,
          classes.map((values) => values[j]!),
        );
      }
    }
    if (clip) {
      this.sumSquares();
      backend.run(clip);
    }
    for (const { step } of slots) backend.run(step);
    this.#parameters.touch(this.trained);
  }

  /** Enqueues the sum of the squares of the gradients that it uses, before clipping. @returns where it will be: a scalar on the device */
  sumSquares(): DeviceBuffer {
    const { squares, slots } = this.#state;
    this.#backend.fill(squares, 0);
    for (const { addSquares } of slots) this.#backend.run(addSquares);
    return squares;
  }

  /** 2-norm over the gradients that it uses as they are now, before clipping. */
  async gradientNorm(): Promise<number> {
    return this.#calls.run("gradientNorm", async () => {
      this.#checkInUse("gradientNorm");
      return Math.sqrt((await this.#backend.download(this.sumSquares()))[0]!);
    });
  }

  /** 2-norm of the gradient of each parameter that it trains as it is now, by name. */
  async gradientNorms(): Promise<Readonly<Record<string, number>>> {
    return this.#calls.run("gradientNorms", async () => {
      this.#checkInUse("gradientNorms");
      const { squares, slots } = this.#state;
      const norms: Record<string, number> = {};
      for (const { parameter, addSquares } of slots) {
        this.#backend.fill(squares, 0);
        this.#backend.run(addSquares);
        norms[parameter.name] = Math.sqrt((await this.#backend.download(squares))[0]!);
      }
      return norms;
    });
  }

  async state(): Promise<OptimizerState> {
    const step = this.#step;
    return this.#calls.run("state", async () => {
      this.#checkInUse("state");
      const moments: Record<string, FloatArray> = {};
      for (const [name, buffer] of this.moments()) moments[name] = (await this.#backend.download(buffer)) as FloatArray;
      return { kind: this.kind, step, moments };
    });
  }

  /**
   * @throws {ArgumentError} the state of another optimiser, moments of parameters that are not trained, of another size or not finite, or
   *   squares below 0; nothing is changed then
   */
  restore({ kind = this.kind, step, moments }: OptimizerState): void {
    const where = this.#rule.name;
    this.#checkInUse("restore");
    if (kind !== this.kind) throw new ArgumentError(where, "kind", `the state of ${this.kind}`, `that of ${kind}`);
    if (!Number.isSafeInteger(step) || step < 0)
      throw new ArgumentError(where, "step", "a whole number of at least 0", `${step}`);
    const own = new Map(this.moments());
    const stranger = Object.keys(moments).find((name) => !own.has(name));
    if (stranger !== undefined)
      throw new ArgumentError(where, stranger, "only moments of parameters that it trains", "others as well");
    const all = [...own].map(([name, buffer]) => {
      const values = moments[name];
      if (values?.length !== buffer.length) {
        throw new ArgumentError(where, name, `${buffer.length} numbers`, `${values?.length ?? "nothing"}`);
      }
      checkFinite(where, name, values, this.#backend.dtype);
      const negative = isMeanOfSquares(name) ? values.findIndex((x) => x < 0) : -1;
      if (negative >= 0)
        throw new ArgumentError(where, name, "squares of at least 0", `${values[negative]} at ${negative}`);
      return [buffer, this.#calls.isBusy ? values.slice() : values] as const;
    });
    this.#calls.change("restore", () => {
      for (const [buffer, values] of all) this.#backend.upload(buffer, values);
    });
    this.#step = step;
  }

  /** Releases everything when the calls before it have ended. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#calls.afterwards(() => this.#desk.release());
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #checkInUse(name: string): void {
    if (!this.#isDisposed) return;
    const where = `${this.#rule.name}.${name}`;
    throw new EngineError("disposed", `${where}: expected an optimiser in use, got one that has been disposed of`, {
      where,
    });
  }

  /** Buffers of the moments by name, as in `state`. */
  *moments(): Generator<[string, DeviceBuffer]> {
    for (const { parameter, moments } of this.#state.slots) {
      for (const [i, name] of this.#rule.moments.entries()) yield [`${name}.${parameter.name}`, moments[i]!];
    }
  }
}

function stateOf(desk: Desk, parameters: ParameterSet, rule: Rule, options: OptimizerOptions): State {
  const { clipNorm, groups = [], neurons = null } = options;
  const squares = desk.vector("gradient squares", 1);
  const scale = clipNorm === undefined ? null : desk.vector("gradient scale", 1);
  const rates = new Map<string, Rates>();
  const ratesOf = (classes: Rates["classes"]): Rates => {
    const label = `${rule.name} ${classes.map(({ lr, weightDecay }) => `${lr} ${weightDecay}`).join(", ")}`;
    const known = rates.get(label);
    if (known) return known;
    const made = { classes, scalars: desk.vectors(label, lengthsOf(rule.scalars, classes.length)) };
    rates.set(label, made);
    return made;
  };
  const settings = [...resolveGroups(rule.name, groups, parameters.all(), { neurons })];
  // A matrix without entries has nothing to train.
  const trained = settings.filter(([{ size }, { classes }]) => size > 0 && !classes.every(({ frozen }) => frozen));
  const slots = trained.map(([parameter, own]): Slot => {
    const { name, size, value: p, grad: g } = parameter;
    const classes = own.classes.map(({ weightDecay, ...rest }) => ({
      ...rest,
      weightDecay: weightDecay ?? rule.weightDecay,
    }));
    const { scalars } = ratesOf(classes.map(({ lr, weightDecay }) => ({ lr, weightDecay })));
    const moments = desk.vectors(name, lengthsOf(rule.moments, size));
    const ofClasses = own.classIdx && classBuffers(desk, name, classes, own.classIdx);
    const kind = `${size} ${classes.map(({ weightDecay, frozen }) => `${weightDecay} ${frozen}`).join(", ")}`;
    const program = desk.program(`step ${kind}`, () => stepProgram(rule, size, classes, options));
    const isPartial = own.classIdx && classes.some(({ frozen }) => frozen);
    return {
      parameter,
      isTrained: isPartial ? own.classIdx!.map((c) => Number(!classes[c]!.frozen)) : null,
      moments: Object.values(moments),
      step: desk.bind(program, { p, g, ...moments, ...scalars, ...ofClasses, "clip.scale": scale }),
      addSquares: desk.bind(
        desk.program(`squares ${kind}`, () => squaresProgram(size, classes)),
        { g, squares, ...ofClasses },
      ),
    };
  });
  return {
    rates: [...rates.values()],
    squares,
    clip: scale && desk.bind(clipScaleProgram(clipNorm!), { squares, scale }),
    slots,
  };
}

/** What programs of several classes read besides their rates. */
function classBuffers(
  desk: Desk,
  name: string,
  classes: UpdateClasses,
  classIdx: Uint8Array,
): Record<"class" | "decay" | "updated", DeviceBuffer> {
  const { backend } = desk;
  const index = desk.vector(`${name} class`, classIdx.length, "u32");
  backend.upload(index, classIdx);
  const { decay, updated } = desk.vectors(`${name} classes`, lengthsOf(["decay", "updated"], classes.length));
  backend.upload(
    decay!,
    classes.map(({ weightDecay }) => weightDecay),
  );
  backend.upload(
    updated!,
    classes.map(({ frozen }) => (frozen ? 0 : 1)),
  );
  return { class: index, decay: decay!, updated: updated! };
}

function lengthsOf(names: readonly string[], length: number): Record<string, number> {
  return Object.fromEntries(names.map((name) => [name, length]));
}
