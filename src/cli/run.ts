// One training run and its record: steps, evaluations, checkpoints, and what is left in the run's folder.

import { setImmediate as nextTurn } from "node:timers/promises";
import type { Backend } from "../backend/backend.ts";
import { ArgumentError, EngineError } from "../core/errors.ts";
import { formatCount } from "../core/format.ts";
import { plural } from "../core/text.ts";
import type { Recovery } from "../data/tasks/teacherNetwork.ts";
import { agreed, attempt, isShared } from "../distributed/agree.ts";
import { type Communicator, SOLO } from "../distributed/communicator.ts";
import { describeProfile, type StepProfiler } from "../profile/stepProfile.ts";
import type { RecoveryFacts } from "../report/runRecord.ts";
import { plotCurves } from "../report/trainingCurves.ts";
import type { TrainConfig } from "../run/config.ts";
import type { Experiment, RunInputs } from "../run/experiment.ts";
import { recoveryOf } from "../run/recovery.ts";
import { inFlags } from "../run/remedies.ts";
import { RUN_FILES } from "../run/runFiles.ts";
import { describeDiagnosis, type Fault } from "../train/diagnosis.ts";
import { EarlyStopping } from "../train/earlyStopping.ts";
import {
  type EvaluationRecord,
  type EvaluationSet,
  evaluationRecord,
  type RecordedStep,
  type RunEvent,
} from "../train/metrics.ts";
import { Progress } from "../train/progress.ts";
import { type StepMetrics, TrainingError } from "../train/trainer.ts";
import { Checkpoints } from "./checkpoints.ts";
import { type Console, errorEvent } from "./console.ts";
import {
  describeEvaluation,
  describeKnown,
  describeRecomputed,
  describeSummary,
  describeTape,
  nounOf,
} from "./describe.ts";
import { Interruption } from "./interruption.ts";
import type { OpenedRecords, Records } from "./records.ts";
import type { RunFolder } from "./runFolder.ts";
import type { StopSignal } from "./signals.ts";
import { limitsOf, peakMemory, type RunStart, summarise } from "./summary.ts";

/** Parts of a run, all owned by the caller. */
export interface RunParts {
  readonly config: TrainConfig;
  readonly backend: Backend;
  readonly inputs: RunInputs;
  /** That of a resumed run stands at its checkpoint. */
  readonly experiment: Experiment;
  readonly folder: RunFolder;
  readonly console: Console;
  readonly start: RunStart;
  /** What the user was warned of before it began; default: nothing. */
  readonly warnings?: readonly string[];
  /** null: a new run. */
  readonly resumed: { readonly checkpoint: boolean } | null;
  /** Makes the page about the run unless a signal stops it, and may dispose of the experiment; null: no page is wanted. */
  readonly page: (() => Promise<void>) | null;
  /** Measures one step; null: no profile is wanted. */
  readonly profiler: StepProfiler | null;
  /** The processes that train together, each of which does all of this. Default: one that is alone. */
  readonly communicator?: Communicator;
  /** The seconds that this process spent on the others since it was last asked; default: there are none. */
  readonly exchangeSeconds?: () => number;
}

/** Early problems should be reported early. */
const EARLY_DIAGNOSES: readonly number[] = [10, 25, 50];
/** The first step of a run compiles programs and allocates buffers. */
const PROFILED_STEP = 2;

/** A run that skips failed steps gives up after this many in a row. */
const MOST_FAILURES = 10;

/**
 * Trains, evaluates, and writes the files of the run. Locks the folder of a new run; the folder of a resumed run is locked already. The
 * caller unlocks it.
 *
 * @returns the exit code: 0, or that of the signal that stopped the run
 */
export async function executeRun(parts: RunParts): Promise<number> {
  const { folder, start, resumed, communicator = SOLO } = parts;
  if (!resumed) await agreed(communicator, () => folder.create());
  const interruption = new Interruption(communicator);
  try {
    await agreed(communicator, () => folder.writeJson("config", start));
    return await recordRun(parts, interruption);
  } finally {
    interruption.dispose();
  }
}

async function recordRun(parts: RunParts, interruption: Interruption): Promise<number> {
  const { communicator = SOLO } = parts;
  const { records, ...earlier } = await openRecords(parts, communicator);
  try {
    const recorder = new RunRecorder(parts, records, interruption, earlier.events);
    try {
      await recorder.begin(earlier.faults);
      await recorder.train();
      await agreed(communicator, () => assertWritten(interruption));
      await recorder.checkpoint();
      await agreed(communicator, () => assertWritten(interruption));
      await recorder.evaluate("validation");
      await recorder.evaluate("test");
      await recorder.finish();
      await agreed(communicator, () => assertWritten(interruption));
      await interruption.isAgreed();
      return interruption.exitCode(0);
    } catch (error) {
      throw await recorder.fail(error);
    }
  } finally {
    await records.close();
  }
}

/** All processes go on from the events that the writing one has. */
async function openRecords(
  { experiment, folder, resumed }: RunParts,
  communicator: Communicator,
): Promise<OpenedRecords> {
  const from = resumed ? experiment.trainer.position.step : null;
  const { records, ...own } = await agreed(communicator, () => folder.openRecords(from));
  const [earlier = own] = await communicator.exchange(own);
  return { records, ...earlier };
}

/** @throws {EngineError} "file-write": stdout, stderr or a file cannot be written; "lock-lost" */
async function assertWritten(interruption: Interruption): Promise<void> {
  // A failure of the last write has been reported by then.
  await nextTurn();
  if (interruption.failure) throw interruption.failure;
}

class RunRecorder {
  readonly #parts: RunParts;
  readonly #records: Records;
  readonly #interruption: Interruption;
  readonly #checkpoints: Checkpoints;
  readonly #progress: Progress | null;
  readonly #earlier: readonly RunEvent[];
  readonly #steps: RecordedStep[] = [];
  readonly #evaluations: EvaluationRecord[] = [];
  /** null: the run goes on to its last step in any case. */
  readonly #stopping: EarlyStopping | null;
  /** Faults that were reported. */
  readonly #faults = new Set<Fault>();
  #stepsProfiled = 0;

  /** @param earlier  events of the run before it was resumed */
  constructor(parts: RunParts, records: Records, interruption: Interruption, earlier: readonly RunEvent[]) {
    const { config, console, experiment, folder, resumed } = parts;
    this.#parts = parts;
    this.#records = records;
    this.#interruption = interruption;
    this.#earlier = earlier;
    const lastStep = resumed?.checkpoint ? experiment.trainer.position.step : null;
    this.#checkpoints = new Checkpoints(experiment, parts.start, folder, lastStep);
    const [metric = null] = experiment.trainer.task.metrics;
    this.#progress = console.showsProgress ? new Progress(process.stderr, { metric }) : null;
    const { patience } = config;
    this.#stopping = patience === null ? null : new EarlyStopping({ patience, better: metric?.better ?? "lower" });
    for (const event of earlier) {
      if (event.event === "diagnosis") for (const { fault } of event.findings) this.#faults.add(fault);
      if (event.event === "step") this.#steps.push(event);
      if (event.event === "evaluation") this.#keep(event);
    }
  }

  #keep(evaluation: EvaluationRecord): void {
    this.#evaluations.push(evaluation);
    if (evaluation.set !== "validation") return;
    const [metric] = this.#parts.experiment.trainer.task.metrics;
    const { step, loss, metrics } = evaluation;
    this.#stopping?.isOver(step, metric ? (metrics[metric.name] ?? Number.NaN) : loss);
  }

  /**
   * Writes the first lines. A resumed run repeats the work that was due after its checkpoint's step.
   *
   * @param faults  in the record of a resumed run
   */
  async begin(faults: readonly string[]): Promise<void> {
    const { config, console, experiment, start, resumed } = this.#parts;
    const { step } = experiment.trainer.position;
    // Memory is measured: of a run that is repeated or resumed, the rest of the record is the same.
    const { memory, ...settled } = start;
    if (this.#earlier.length === 0) await this.record({ event: "config", ...settled });
    for (const message of this.#parts.warnings ?? []) await this.record({ event: "warning", message });
    if (memory) console.event({ event: "memory", ...memory });
    if (step === 0 && config.diagnoseEvery > 0) await this.diagnose();
    if (!resumed) return;
    const checkpoint = resumed.checkpoint ? this.#checkpoints.lastFile : null;
    await this.record({ event: "resumed", step, checkpoint });
    console.info(checkpoint ? `continues after step ${formatCount(step)}` : "has no checkpoint yet, starts again");
    for (const message of faults) await this.#warn(message);
    // TensorBoard drops its events of this step.
    for (const event of this.#earlier) if ("step" in event && event.step === step) await this.#records.repeat(event);
    const wasTaken = !this.#earlier.some((event) => event.event === "nonfinite" && event.step === step);
    if (step > 0 && wasTaken) await this.#saveAndEvaluate(step);
  }

  async #warn(message: string): Promise<void> {
    this.#parts.console.warn(message);
    await this.record({ event: "warning", message });
  }

  async record(event: RunEvent): Promise<void> {
    await this.#write(() => this.#put(event));
  }

  async #put(event: RunEvent): Promise<void> {
    await this.#parts.folder.assertHeld();
    this.#parts.console.event(event);
    await this.#records.write(event);
  }

  /**
   * Does what only one process does, which may fail there alone, as on a full disk. One of several then stops all of them, at the next point at
   * which they agree, and writes nothing more.
   */
  async #write(action: () => Promise<void>): Promise<void> {
    const { communicator = SOLO } = this.#parts;
    if (communicator.size === 1) return action();
    if (this.#interruption.failure) return;
    const outcome = await attempt(action);
    if (outcome.failure === null) return;
    if (!(outcome.error instanceof EngineError)) throw outcome.error;
    this.#interruption.fail(outcome.error);
  }

  async train(): Promise<void> {
    const { config } = this.#parts;
    if (config.onNonfinite === "rollback" && this.#checkpoints.lastStep === null) {
      await this.checkpoint();
      await this.#checkSeen();
    }
    let failures = 0;
    const stepDone = (): void => {
      failures = 0;
    };
    try {
      for (;;) {
        try {
          await this.#fit(stepDone);
          return;
        } catch (error) {
          if (!(error instanceof TrainingError) || config.onNonfinite === "stop" || ++failures === MOST_FAILURES)
            throw error;
          await this.#passOver(error, config.onNonfinite);
        }
      }
    } finally {
      this.#progress?.clear();
    }
  }

  async #fit(stepDone: () => void): Promise<void> {
    const { config, console, experiment } = this.#parts;
    const { trainer } = experiment;
    const { signal } = this.#interruption;
    if (this.#stopsEarly()) return;
    await this.#forgetMeasures();
    for await (const measured of trainer.fit({ ...limitsOf(config), signal, recent: this.#steps })) {
      stepDone();
      const { exchangeSeconds } = this.#parts;
      const metrics = { ...measured, ...(exchangeSeconds && { exchangeSeconds: exchangeSeconds() }) };
      this.#steps.push(metrics);
      await this.record({ event: "step", ...metrics });
      if (this.#steps.length === 1 && trainer.tapePlan) {
        console.info(describeTape(trainer.tapePlan, this.#parts.config.time));
        await this.record({ event: "tape", ...trainer.tapePlan });
      }
      await this.#profile(metrics);
      this.#progress?.update(metrics);
      await this.#followUp(metrics.step);
      if (this.#stopsEarly()) return;
      await this.#forgetMeasures();
    }
  }

  /** What was done between steps is none of theirs. */
  async #forgetMeasures(): Promise<void> {
    await this.#parts.profiler?.discard();
    this.#parts.exchangeSeconds?.();
  }

  /** Whether patience is at its end, which is reported. */
  #stopsEarly(): boolean {
    if (!this.#stopping?.isExhausted) return false;
    const { best, waited } = this.#stopping.state;
    const since = best ? ` since step ${formatCount(best.step)}` : "";
    this.#progress?.clear();
    this.#parts.console.info(`ends early: no improvement${since}, in ${plural(waited, "evaluation")}`);
    return true;
  }

  /** Records the profile of one step. */
  async #profile({ step, seconds, lastStep }: StepMetrics): Promise<void> {
    const { config, console, experiment, profiler } = this.#parts;
    if (!profiler || this.#stepsProfiled === PROFILED_STEP) return;
    const profile = await profiler.take(1000 * seconds);
    this.#stepsProfiled++;
    if (this.#stepsProfiled < PROFILED_STEP && step < lastStep) return;
    this.#stepsProfiled = PROFILED_STEP;
    this.#progress?.clear();
    for (const line of describeProfile(profile)) console.info(line);
    const plan = experiment.trainer.tapePlan;
    const attemptsRecomputed = plan?.attemptsRecomputed ?? 0;
    if (plan && attemptsRecomputed > 0) console.info(describeRecomputed(plan, config.time));
    await this.record({ event: "profile", step, ...profile, attemptsRecomputed });
  }

  /** Does the work that is due after a step. */
  async #followUp(step: number): Promise<void> {
    const { diagnoseEvery } = this.#parts.config;
    if (isMultiple(step, diagnoseEvery) || (diagnoseEvery > 0 && EARLY_DIAGNOSES.includes(step))) await this.diagnose();
    await this.#saveAndEvaluate(step);
  }

  /** Both follow the last step in any case. */
  async #saveAndEvaluate(step: number): Promise<void> {
    const { config, experiment } = this.#parts;
    if (step >= experiment.trainer.lastStep(limitsOf(config))) return;
    if (isMultiple(step, config.checkpointEvery)) await this.checkpoint();
    if (isMultiple(step, config.evalEvery)) await this.evaluate("validation");
  }

  /** All processes read a checkpoint that they go back to: it is known at once whether they can. */
  async #checkSeen(): Promise<void> {
    const { communicator = SOLO, folder } = this.#parts;
    // Once it is written.
    await agreed(communicator, () => assertWritten(this.#interruption));
    await agreed(communicator, async () => {
      if (await this.#checkpoints.isThere()) return;
      throw new ArgumentError("train", "--on-nonfinite rollback", "a folder that all hosts see", folder.path);
    });
  }

  /** Continues after a step that was not taken. */
  async #passOver(error: TrainingError, action: "skip" | "rollback"): Promise<void> {
    const { console, experiment, communicator = SOLO } = this.#parts;
    const { trainer } = experiment;
    const step = trainer.position.step + 1;
    if (action === "rollback") await agreed(communicator, () => this.#checkpoints.rollBack());
    trainer.skip();
    await this.record({ event: "nonfinite", step, action, message: error.message });
    this.#progress?.clear();
    const back = action === "rollback" ? `, back to the parameters after step ${this.#checkpoints.lastStep}` : "";
    console.warn(`${error.message}. Skipped the batch of step ${step}${back}`);
  }

  /** Diagnoses whether the training can work, and reports each fault once. */
  async diagnose(): Promise<void> {
    const { config, console, experiment } = this.#parts;
    const diagnosis = await experiment.trainer.diagnose(this.#steps.at(-1)?.meanLoss ?? null, inFlags(config));
    if (!diagnosis) return;
    await this.record({ event: "diagnosis", ...diagnosis });
    const news = diagnosis.findings.filter(({ fault }) => !this.#faults.has(fault));
    if (diagnosis.step > 0 && news.length === 0) return;
    this.#progress?.clear();
    console.info(`diagnosis   ${describeDiagnosis(diagnosis)}`);
    for (const { fault, message } of news) {
      this.#faults.add(fault);
      console.warn(message);
    }
  }

  /** Evaluates, unless there are no samples, or a signal interrupts. */
  async evaluate(set: EvaluationSet): Promise<void> {
    const { console, experiment, inputs } = this.#parts;
    const samples = inputs.samples[set];
    if (!samples || (await this.#interruption.isAgreed())) return;
    const { step: now } = experiment.trainer.position;
    // A run that ends early has been evaluated after its last step.
    if (set === "validation" && this.#evaluations.some((e) => e.set === set && e.step === now)) return;
    const { trainer } = experiment;
    const result = await this.#unlessStopped((signal) => trainer.evaluate(samples, { signal }));
    if (!result) return;
    const evaluation = evaluationRecord(set, trainer.position.step, result);
    await this.#write(() => this.#checkpoints.saveIfBest(evaluation, this.#evaluations));
    this.#keep(evaluation);
    await this.record({ event: "evaluation", ...evaluation });
    this.#progress?.clear();
    const line = describeEvaluation(evaluation, trainer.task, nounOf(samples));
    if (set === "test") for (const text of [line, ...describeKnown(inputs.known, trainer.task)]) console.result(text);
    else console.info(line);
  }

  /** The result of work that all processes do; null: a signal to any of them has stopped it. */
  async #unlessStopped<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T | null> {
    try {
      return await work(this.#interruption.signal);
    } catch (error) {
      const { communicator = SOLO } = this.#parts;
      if (communicator.size > 1 && !isShared(error)) throw error;
      // Where the work was stopped, all have come here.
      if (await this.#interruption.isAgreed()) return null;
      throw error;
    }
  }

  async checkpoint(): Promise<void> {
    await this.#write(() => this.#save());
  }

  async #save(): Promise<void> {
    // The metrics on the disk must never lag behind the checkpoint.
    await this.#records.sync();
    await this.#checkpoints.save();
    const { step } = this.#parts.experiment.trainer.position;
    await this.#put({ event: "checkpoint", step, file: this.#checkpoints.lastFile });
  }

  /**
   * Saves a checkpoint and the error of a failed run, if it can.
   *
   * @returns the error to end with, which names the last good checkpoint
   */
  async fail(error: unknown): Promise<unknown> {
    const { position } = this.#parts.experiment.trainer;
    // Errors of these probably have the cause of the run's failure, which is reported.
    if (this.#checkpoints.lastStep !== position.step) await attempt(() => this.#save());
    const final = await withCheckpoint(error, this.#checkpoints);
    await attempt(async () => {
      await this.#parts.folder.assertHeld();
      await this.#records.write(errorEvent(final));
    });
    return final;
  }

  /** Writes the curves, the page and the summary. The page needs the summary, and the final summary includes the page's memory. */
  async finish(): Promise<void> {
    // Every process gets the same cause.
    await this.#interruption.isAgreed();
    await this.#write(() => this.#finish(this.#interruption.cause));
  }

  async #finish(cause: StopSignal | null): Promise<void> {
    const { config, backend, console, experiment, folder, inputs } = this.#parts;
    const { step } = experiment.trainer.position;
    const { teacher } = inputs.samples;
    if (cause) {
      await this.#put({ event: "interrupted", step, signal: cause });
      console.result(`stopped by ${cause} after step ${formatCount(step)}; the checkpoint is complete`);
    }
    const curves = plotCurves({
      title: `axograd ${config.preset}: ${formatCount(inputs.weights.nRows)} neurons, ${inputs.samples.source}`,
      training: this.#steps,
      evaluations: this.#evaluations,
      task: experiment.trainer.task,
    });
    await folder.writeText("curves", curves);
    const page = cause === null ? this.#parts.page : null;
    const trained = {
      ...summarise(config, backend, experiment.trainer, this.#steps, this.#evaluations),
      recovery: teacher && recordOf(await recoveryOf(experiment.model, teacher)),
      tuning: this.#parts.start.tuning,
      ...(this.#parts.start.ranks && { ranks: this.#parts.start.ranks }),
      known: inputs.known,
      provenance: inputs.connectome.provenance,
      ...(this.#parts.start.memory && { statedMemoryBytes: this.#parts.start.memory.processBytes }),
      interrupted: cause,
      folder: folder.path,
      files: (await folder.files()).concat(page ? [RUN_FILES.report] : []),
    };
    await folder.writeJson("summary", trained);
    await page?.();
    const summary = { ...trained, ...peakMemory(backend) };
    await folder.writeJson("summary", summary);
    await this.#put({ event: "summary", ...summary });
    await this.#records.sync();
    for (const line of describeSummary(summary)) console.info(line);
  }
}

/** JSON has no NaN. */
function recordOf({ weights, tau, bias }: Recovery): RecoveryFacts {
  const finite = (x: number) => (Number.isFinite(x) ? x : null);
  return { weights: finite(weights), tau: finite(tau), bias: finite(bias) };
}

function isMultiple(step: number, every: number): boolean {
  return every > 0 && step % every === 0;
}

/** The same error, with the checkpoint to resume from. */
async function withCheckpoint(error: unknown, checkpoints: Checkpoints): Promise<unknown> {
  if (!(error instanceof EngineError)) return error;
  const { lastStep, lastFile } = checkpoints;
  const checkpoint = (await checkpoints.isThere()) ? { file: lastFile, step: lastStep } : null;
  const none =
    lastStep === null ? "there is no checkpoint yet" : `the checkpoint of step ${lastStep} is no longer there`;
  const where = checkpoint ? `the last good checkpoint is ${lastFile}, of step ${lastStep}` : none;
  return new EngineError(error.code, `${error.message}; ${where}`, { ...error.facts, checkpoint }, error);
}
