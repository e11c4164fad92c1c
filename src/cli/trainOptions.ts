// The options of `axograd train`: names, help and checks, and how they become a configuration.

import { availableParallelism } from "node:os";
import { type Command, Option } from "commander";
import { DEVICES } from "../backend/select.ts";
import { ArgumentError } from "../core/errors.ts";
import { DTYPES, INPUTS, NORMALISATIONS, READOUTS, type Recipe, type TrainConfig, WEIGHTS } from "./config.ts";
import { PRESETS } from "./presets.ts";
import { networkSize, nonlinearity, oneOf, orNone, path, realNumber, wholeNumber } from "./values.ts";

/** What commander hands over: only what was given. */
export type GivenOptions = Partial<TrainConfig> & {
  readonly out?: string;
  readonly overwrite?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
};

const EXAMPLES = `
Examples:
  axograd train                                    a demo that needs no files and learns in a minute or two
  axograd train --connectome flyvis_e6_csr.npz --data mnist --steps 200
                                                   a real connectome on MNIST; flyvis_e6_neurons.csv beside it is used
  axograd train --preset tutorial --generate 47521x4623254 --steps 5 --test-samples 0
                                                   torch-biopl's tutorial at full size, to measure speed
  axograd train --json --out runs/a | jq -r 'select(.event == "step") | [.step, .loss] | @tsv'

Exit codes: 0 done, 1 the run failed, 2 wrong input, 130/143 stopped by SIGINT/SIGTERM (with a checkpoint).
`;

/** Declares the options on a command. */
export function addTrainOptions(command: Command): Command {
  let group = "Recipe:";
  const add = <T>(flags: string, description: string, parse?: (name: string) => (text: string) => T): void => {
    const option = new Option(flags, description).helpGroup(group);
    if (parse) option.argParser(parse(option.long!));
    command.addOption(option);
  };
  const whole = (least: number, most?: number) => (name: string) => wholeNumber(name, least, most);
  const positive = (name: string) => realNumber(name, { above: 0 });
  const choice = (names: readonly string[]) => (name: string) => oneOf(name, names);

  const presets = Object.entries(PRESETS).map(([name, { summary }]) => `${name}: ${summary}`);
  add(
    "--preset <name>",
    `recipe to start from; options take precedence. ${presets.join(". ")}`,
    choice(Object.keys(PRESETS)),
  );

  group = "Network:";
  add("--connectome <file>", "sparse matrix, row = receiving neuron: .npz of SciPy, .pt of PyTorch", path);
  add(
    "--neuron-table <file>",
    "CSV with the neurons' roles and places (default: X_neurons.csv beside the connectome)",
    path,
  );
  add("--generate <NxS>", "random network of N neurons and S synapses, like 47521x4623254", networkSize);
  add("--weights <kind>", "abs or signed", choice(WEIGHTS));
  add("--normalise <how>", "rows: divide each row by its sum of |w|; none", choice(NORMALISATIONS));
  add("--gain <g>", "factor on all weights", positive);
  add("--keep-signs", "signed weights may not change sign");
  add("--no-keep-signs", "signed weights may change sign");
  add("--nonlinearity <name>", "a torch.nn module, or several separated by commas", nonlinearity);
  add("--input <where>", "retinotopic, random, or auto", choice(INPUTS));
  add("--train-input", "train the weights of the input projection");
  add("--no-train-input", "leave them as they are");

  group = "Read-out:";
  add("--readout <neurons>", "all, output, no-input, or auto", choice(READOUTS));
  add("--fc-dim <n>", "hidden units; none: linear", (name) => orNone(wholeNumber(name, 1)));
  add("--dropout <p>", "of hidden units", (name) => realNumber(name, { least: 0, below: 1 }));
  add("--standardise", "standardise features with fixed statistics");
  add("--no-standardise", "read out raw features");
  add("--calibration <n>", "training images for those statistics", whole(2));

  group = "Solver:";
  add("--end-time <t>", "time of the read-out, in time constants", positive);
  add("--num-evals <n>", "evaluation times", whole(2));
  add("--rtol <x>", "relative tolerance", positive);
  add("--atol <x>", "absolute tolerance", positive);
  add("--max-steps <n>", "most attempted steps per sample", whole(1));

  group = "Training:";
  add("--epochs <n>", "passes over the training images", whole(1));
  add("--steps <n>", "batches; alone it replaces --epochs, with it the smaller counts", whole(1));
  add("--batch-size <n>", "images per step", whole(1));
  add("--lr <x>", "learning rate of Adam", positive);
  add("--seed <n>", "of initial values, order of images, dropout and random wiring (default: 0)", whole(0));
  add("--eval-every <n>", "steps between validations; 0: only at the end", whole(0));
  add("--checkpoint-every <n>", "steps between checkpoints; 0: only at the end", whole(0));

  group = "Data:";
  add("--data <dir>", "folder with MNIST's four IDX files, plain or .gz (default: generated digits)", path);
  add("--train-samples <n>", "use only the first n", whole(1));
  add("--validation-samples <n>", "set aside from the training images", whole(0));
  add("--test-samples <n>", "use only the first n; 0: no test", whole(0));

  group = "Device:";
  add("--device <name>", "auto, wasm or webgpu (default: auto)", choice(DEVICES));
  add("--threads <n>", "of the CPU (default: all cores)", whole(1, 1024));
  add("--dtype <type>", "f32 or f64 (default: f32)", choice(DTYPES));
  add("--memory-budget <MiB>", "most memory for the record of the reverse pass", whole(1));

  group = "Output:";
  add("--out <dir>", "folder for metrics, checkpoint and curves (default: runs/<time>-<preset>)", path);
  add("--overwrite", "replace the files of an earlier run there");
  add("--json", "JSON lines on stdout, nothing else");
  add("--quiet", "only the result");
  return command.addHelpText("after", EXAMPLES);
}

/**
 * The configuration that the given options mean.
 *
 * @throws {ArgumentError} options that contradict each other
 */
export function configOf(given: GivenOptions): TrainConfig {
  const { out: _out, overwrite: _overwrite, json: _json, quiet: _quiet, ...settings } = given;
  if (settings.connectome && settings.generate) {
    throw new ArgumentError("train", "--generate", "either a connectome or a random network", "both");
  }
  if (settings.neuronTable && !settings.connectome) {
    throw new ArgumentError("train", "--neuron-table", "a --connectome that it belongs to", "none");
  }
  const preset = settings.preset ?? (settings.connectome ? "retina" : "demo");
  const recipe: Recipe = PRESETS[preset]!.recipe;
  // A number of steps alone is the whole limit.
  const epochs = settings.steps !== undefined && settings.epochs === undefined ? null : recipe.epochs;
  return {
    connectome: null,
    neuronTable: null,
    generate: null,
    data: null,
    seed: 0,
    device: "auto",
    dtype: "f32",
    threads: availableParallelism(),
    memoryBudget: null,
    ...recipe,
    epochs,
    ...settings,
    preset,
  };
}
