// One training run and its record: steps, evaluations, checkpoints, and what is left in the run's folder.

import type { Backend } from "../backend/backend.ts";
import { saveCheckpoint } from "../train/checkpoint.ts";
import {
  type EvaluationRecord,
  type EvaluationSet,
  evaluationRecord,
  MetricsFile,
  type RunEvent,
} from "../train/metrics.ts";
import { plotCurves } from "../train/plot.ts";
import { Progress } from "../train/progress.ts";
import { EventFile } from "../train/tensorboard.ts";
import type { StepMetrics } from "../train/trainer.ts";
import type { TrainConfig } from "./config.ts";
import { type Console, errorEvent } from "./console.ts";
import { count, describeEvaluation, describeSummary, describeTape } from "./describe.ts";
import type { Experiment, Materials } from "./experiment.ts";
import { Interruption } from "./interruption.ts";
import { reportRun } from "./report.ts";
import { RUN_FILES, type RunFolder } from "./runFolder.ts";
import { describeStart, limitsOf, summarise } from "./summary.ts";

/** What a run works with; all of it is owned by the caller. */
export interface RunParts {
  readonly config: TrainConfig;
  readonly backend: Backend;
  readonly materials: Materials;
  readonly experiment: Experiment;
  readonly folder: RunFolder;
  readonly console: Console;
  /** A page about the run at its end. */
  readonly report: boolean;
}

/**
 * Trains, evaluates, and writes the files of the run.
 *
 * @returns the exit code: 0, or that of the signal which stopped it
 */
export async function executeRun(parts: RunParts): Promise<number> {
  const { config, backend, materials, experiment, folder } = parts;
  await folder.create();
  const start = describeStart(config, materials, backend, experiment.trainer);
  await folder.writeJson("config", start);
  const metrics = await MetricsFile.create(folder.file("metrics"));
  const events = await EventFile.create(folder.path);
  const interruption = new Interruption();
  try {
    const run = new Run(parts, metrics, events, interruption);
    await run.record({ event: "config", ...start });
    await run.train();
    await run.checkpoint();
    await run.evaluate("validation");
    await run.evaluate("test");
    await run.finish();
    await run.report();
    return interruption.exitCode(0);
  } catch (error) {
    await metrics.write(errorEvent(error));
    throw error;
  } finally {
    interruption.dispose();
    await metrics.close();
    await events.close();
  }
}

class Run {
  readonly #parts: RunParts;
  readonly #metrics: MetricsFile;
  readonly #events: EventFile;
  readonly #interruption: Interruption;
  readonly #progress: Progress | null;
  readonly #steps: StepMetrics[] = [];
  readonly #evaluations: EvaluationRecord[] = [];

  constructor(parts: RunParts, metrics: MetricsFile, events: EventFile, interruption: Interruption) {
    this.#parts = parts;
    this.#metrics = metrics;
    this.#events = events;
    this.#interruption = interruption;
    this.#progress = parts.console.showsProgress ? new Progress(process.stderr) : null;
  }

  async record(event: RunEvent): Promise<void> {
    this.#parts.console.event(event);
    await this.#metrics.write(event);
    await this.#events.record(event);
  }

  async train(): Promise<void> {
    const { config, console, experiment } = this.#parts;
    const { trainer } = experiment;
    const { signal } = this.#interruption;
    try {
      for await (const metrics of trainer.fit({ ...limitsOf(config), signal })) {
        this.#steps.push(metrics);
        await this.record({ event: "step", ...metrics });
        if (this.#steps.length === 1 && trainer.tapePlan) {
          console.info(describeTape(trainer.tapePlan));
          await this.record({ event: "tape", ...trainer.tapePlan });
        }
        this.#progress?.update(metrics);
        // What is due after the last step comes anyway.
        const due = (every: number) => every > 0 && metrics.step % every === 0 && metrics.step < metrics.lastStep;
        if (due(config.checkpointEvery)) await this.checkpoint();
        if (due(config.evalEvery)) await this.evaluate("validation");
      }
    } finally {
      this.#progress?.clear();
    }
  }

  /** Evaluates, unless there are no images for it, or a signal has come or comes in between. */
  async evaluate(set: EvaluationSet): Promise<void> {
    const { console, experiment, materials } = this.#parts;
    const { signal } = this.#interruption;
    const images = materials.digits[set];
    if (!images || signal.aborted) return;
    try {
      const result = await experiment.trainer.evaluate(images, { signal });
      const evaluation = evaluationRecord(set, experiment.trainer.position.step, result);
      this.#evaluations.push(evaluation);
      await this.record({ event: "evaluation", ...evaluation });
      this.#progress?.clear();
      if (set === "test") console.result(describeEvaluation(evaluation));
      else console.info(describeEvaluation(evaluation));
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async checkpoint(): Promise<void> {
    const { config, experiment, folder } = this.#parts;
    const { position } = experiment.trainer;
    const file = folder.file("checkpoint");
    await saveCheckpoint(file, experiment, { position, seed: config.seed, config });
    await this.record({ event: "checkpoint", step: position.step, file });
  }

  /** Curves, summary, last words. */
  async finish(): Promise<void> {
    const { config, backend, console, experiment, folder, materials } = this.#parts;
    const { cause } = this.#interruption;
    const { step } = experiment.trainer.position;
    if (cause) {
      await this.record({ event: "interrupted", step, signal: cause });
      console.result(`stopped by ${cause} after step ${count(step)}; the checkpoint is complete`);
    }
    const curves = plotCurves({
      title: `axograd ${config.preset}: ${count(materials.weights.nRows)} neurons, ${materials.digits.source}`,
      training: this.#steps,
      evaluations: this.#evaluations,
      classes: materials.digits.train.classes,
    });
    await folder.writeText("curves", curves);
    const summary = {
      ...summarise(config, backend, experiment.trainer, this.#steps, this.#evaluations),
      interrupted: cause,
      folder: folder.path,
      files: Object.values(RUN_FILES).filter((file) => file !== RUN_FILES.report || this.#isReported),
    };
    await folder.writeJson("summary", summary);
    await this.record({ event: "summary", ...summary });
    for (const line of describeSummary(summary)) console.info(line);
  }

  /** The page about the run. The run is complete without it, so that nothing that goes wrong here fails it. */
  async report(): Promise<void> {
    const { backend, console, folder, materials } = this.#parts;
    if (!this.#isReported) return;
    try {
      await reportRun(folder.path, { backend, materials });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      console.warn(`there is no report of this run: ${reason}; try axograd report ${folder.path}`);
    }
  }

  /** Whoever stops a run wants it to end now. */
  get #isReported(): boolean {
    return this.#parts.report && this.#interruption.cause === null;
  }
}
