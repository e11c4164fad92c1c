// The checkpoints of a run: the last ones, and the best on the validation samples.

import { exists } from "../io/files.ts";
import type { Facts } from "../io/jsonParts.ts";
import type { TrainConfig } from "../run/config.ts";
import type { Experiment } from "../run/experiment.ts";
import { restoreFrom, saveCheckpoint } from "../train/checkpoint.ts";
import type { EvaluationRecord } from "../train/metrics.ts";
import { isBetter } from "../train/taskDescription.ts";
import type { RunFolder } from "./runFolder.ts";
import type { RunStart } from "./summary.ts";

export class Checkpoints {
  readonly #experiment: Experiment;
  readonly #config: TrainConfig;
  readonly #folder: RunFolder;
  readonly #tuning: Facts | null;
  #lastStep: number | null;

  /** @param lastStep  of the checkpoint in the folder; null: there is none */
  constructor(
    experiment: Experiment,
    { config, tuning }: Pick<RunStart, "config" | "tuning">,
    folder: RunFolder,
    lastStep: number | null,
  ) {
    this.#experiment = experiment;
    this.#config = config;
    this.#tuning = tuning;
    this.#folder = folder;
    this.#lastStep = lastStep;
  }

  /** The step of the last checkpoint; null: there is none. */
  get lastStep(): number | null {
    return this.#lastStep;
  }

  /** Whether its file exists: a user may have deleted the folder. */
  async isThere(): Promise<boolean> {
    return this.#lastStep !== null && (await exists(this.lastFile));
  }

  get lastFile(): string {
    return this.#folder.file("checkpoint");
  }

  async save(): Promise<void> {
    const { step } = this.#experiment.trainer.position;
    await this.#write("checkpoint");
    this.#lastStep = step;
    await this.#folder.keepCheckpoint(step, this.#config.keepCheckpoints);
  }

  /** Saves the current parameters as the best if `evaluation` beats all earlier ones. */
  async saveIfBest(evaluation: EvaluationRecord, earlier: readonly EvaluationRecord[]): Promise<void> {
    const rivals = earlier.filter(({ set }) => set === "validation");
    const { task } = this.#experiment.trainer;
    if (evaluation.set === "validation" && rivals.every((rival) => isBetter(task, evaluation, rival))) {
      await this.#write("best");
    }
  }

  /** Restores parameters, moments and statistics from the last checkpoint; the position in the data stays. */
  async rollBack(): Promise<void> {
    await restoreFrom(this.lastFile, this.#experiment);
  }

  async #write(name: "checkpoint" | "best"): Promise<void> {
    const { position } = this.#experiment.trainer;
    const state = { position, seed: this.#config.seed, config: this.#config, tuning: this.#tuning };
    await this.#folder.write(name, (file) => saveCheckpoint(file, this.#experiment, state));
  }
}
