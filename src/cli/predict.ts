// `axograd predict`: the outputs of a trained run for samples, and how good they are.

import type { Command } from "commander";
import { formatCount } from "../core/format.ts";
import { plural } from "../core/text.ts";
import type { Settings } from "../run/configLayers.ts";
import type { Key } from "../run/configOptions.ts";
import { type OpenRunOptions, openRun, type RunPlace } from "../run/openRun.ts";
import { predict } from "../run/predict.ts";
import { checkPredictionFile, writePredictions } from "../run/predictionFile.ts";
import { timeLeft } from "../train/progress.ts";
import { Console, writeJson } from "./console.ts";
import { describeValues, nounOf } from "./describe.ts";
import { untilInterrupted } from "./interruption.ts";
import { LongWork } from "./loading.ts";
import { checkOutput } from "./outputFile.ts";
import { addSampleOptions, chosenSamples, ownSamplesFor, type SampleOptions } from "./sampleOptions.ts";
import { addSetting, settingsAmong } from "./trainOptions.ts";
import { path } from "./values.ts";

/** Settings that may differ from the run's: the places of its files, and the device. */
const KEYS: readonly (Key & keyof RunPlace)[] = [
  "connectome",
  "neuronTable",
  "dataMemory",
  "device",
  "gather",
  "threads",
  "memoryBudget",
];

const EXAMPLES = `
Samples are files as --data of npx axograd train takes them (docs/data.md), with targets or without; without --data, the run's own test part.
Inputs are standardised with what the run recorded. With targets, loss and metrics are printed.

Written are, as arrays of .npz or .safetensors: outputs [samples, times, rows], classes [samples, times], probabilities, samples (their
numbers), times, failed, and in .npz the names of classes or outputs. A .csv has a line per sample, or per sample and time.
Samples that cannot be solved (--on-failure mask of the run) have NaN for outputs and the class -1.

Examples:
  npx axograd predict runs/a --out test.csv --probabilities
  npx axograd predict runs/a --data new.npz --out new.predictions.npz --checkpoint best

In Python: z = numpy.load("new.predictions.npz"); z["classes"][:, -1], z["outputs"][sample, time, row]
`;

type GivenOptions = Settings &
  SampleOptions & {
    readonly checkpoint: string;
    readonly out: string;
    readonly probabilities?: boolean;
    readonly overwrite?: boolean;
    readonly json?: boolean;
    readonly quiet?: boolean;
  };

/** Adds the command to the program. */
export function register(program: Command): void {
  const command = program
    .command("predict")
    .description("run a trained model on samples and write its outputs")
    .argument("<run>", "folder of a run")
    .requiredOption("--out <file>", "outputs: .npz, .safetensors or .csv", path("--out"));
  addSampleOptions(command)
    .option("--checkpoint <which>", "last, best, or the file of a checkpoint of this run", path("--checkpoint"), "last")
    .option("--probabilities", "also write probabilities: softmax of classes, or 1/(1 + exp(-output)) of labels")
    .option("--overwrite", "replace a file that exists")
    .option("--json", "report as JSON")
    .option("--quiet", "print only the result");
  for (const key of KEYS) addSetting(command, key);
  command.addHelpText("after", EXAMPLES).action(run);
}

async function run(folder: string, given: GivenOptions): Promise<void> {
  const { out, probabilities = false, overwrite = false, json = false, quiet = false } = given;
  checkPredictionFile("predict", out);
  await checkOutput(out, overwrite);
  const console = new Console({ json, quiet });
  const reading = new LongWork(console);
  const { onProgress } = reading;
  await untilInterrupted(console, async (signal) => {
    await using opened = await openRun(folder, {
      ...settingsAmong(KEYS, given),
      ...{ checkpoint: checkpointOf(given.checkpoint), samples: await ownSamplesFor(folder, given), onProgress },
    });
    const chosen = await chosenSamples(opened, given, { onProgress, signal });
    reading.done();
    try {
      for (const note of chosen.notes) console.info(`note        ${note}`);
      const { samples } = chosen;
      const work = new LongWork(console);
      const left = timeLeft();
      const predicting = predict(opened, samples, {
        signal,
        onProgress: (done, total) =>
          work.show(() => `predicting  ${formatCount(done)}/${formatCount(total)}  ${left(done / total)}`),
      });
      const { train } = opened.data;
      const names = { ...namesOf(samples), ...namesOf(train) };
      const { task } = opened.model;
      const written = await writePredictions(out, predicting, { task, samples, names, probabilities });
      work.done();
      const { evaluation, failed } = written;
      const report = {
        ...{ out, run: folder, checkpoint: opened.checkpoint, step: opened.step },
        ...{ source: samples.source, part: chosen.part, ...written, failed: failed.length },
        evaluation: evaluation && { loss: evaluation.loss, metrics: evaluation.metrics, count: evaluation.count },
      };
      if (json) writeJson(report);
      if (evaluation) {
        const known = opened.trainer.task;
        console.result(
          `${describeValues(evaluation, known)} on ${formatCount(evaluation.count)} ${nounOf(samples)} of ${samples.source}${chosen.part ? ` (${chosen.part})` : ""}`,
        );
      }
      if (failed.length > 0)
        console.result(
          `${plural(failed.length, "sample")} could not be solved: outputs NaN${written.evaluation?.confusion ? ", class -1" : ""}`,
        );
      console.result(
        `${out}: outputs [${written.samples}, ${written.times}, ${written.rows}] after step ${formatCount(opened.step)}`,
      );
    } finally {
      await chosen.release();
    }
  });
}

function checkpointOf(which: string): NonNullable<OpenRunOptions["checkpoint"]> {
  return which === "last" || which === "best" ? which : { file: which };
}

function namesOf({
  classNames,
  outputNames,
}: {
  readonly classNames?: readonly string[];
  readonly outputNames?: readonly string[];
}): { readonly classNames?: readonly string[]; readonly outputNames?: readonly string[] } {
  return { ...(classNames && { classNames }), ...(outputNames && { outputNames }) };
}
