// `axograd controls`: trains on a connectome and on its controls, with several seeds, to measure what the wiring contributes. It is a sweep
// with fixed settings.

import type { Command } from "commander";
import { ArgumentError } from "../core/errors.ts";
import type { TrainConfig } from "../run/config.ts";
import { layer, type Settings } from "../run/configLayers.ts";
import { defaultRunPath } from "./runFolder.ts";
import { type PlannedRun, planRuns } from "./sweep/plan.ts";
import { addSweepOptions, type GivenSweepOptions, runSweep } from "./sweep/sweep.ts";
import { addSettings, type SettingOptions, settingsGiven } from "./trainOptions.ts";
import { path, wholeNumber } from "./values.ts";

type Control = Required<Pick<Settings, "wiring" | "trainConnectome">>;

/** The connectome, trained and frozen, and three networks that lack its wiring. */
export const CONTROLS: readonly Control[] = [
  { wiring: "real", trainConnectome: true },
  { wiring: "real", trainConnectome: false },
  { wiring: "shuffled", trainConnectome: true },
  { wiring: "random", trainConnectome: true },
  { wiring: "none", trainConnectome: false },
];

const DEFAULT_SEEDS = 3;

const HELP = `
Five networks are trained for each seed, from --seed on: the connectome; the connectome frozen, so that only the read-out (and the
input weights, where they are) is trained; one with every neuron's degrees but other partners; one with as many connections between
random neurons; and none, W = 0. Without connections nothing reaches output neurons, so that the last one must be at chance.

It is a sweep over --wiring and --train-connectome: see npx axograd sweep --help for the folder, and for how it is continued.

Examples:
  npx axograd controls --connectome flyvis_e6_csr.npz --data mnist --epochs 1 --seeds 5 --out runs/controls
  npx axograd controls --steps 200 --json | jq -c '.groups[] | [.options.wiring, .measures.testAccuracy.mean]'
`;

type GivenOptions = SettingOptions & GivenSweepOptions & { readonly seeds: number };

/** Adds the command to the program. */
export function register(program: Command): void {
  const command = program
    .command("controls")
    .description("train on a connectome and on its controls, with several seeds, and compare the first metric");
  addSettings(command).option("--seeds <n>", "runs of each network", wholeNumber("--seeds", 1, 1000), DEFAULT_SEEDS);
  addSweepOptions(command.option("--out <dir>", "folder of the runs (default: runs/<time>-controls)", path("--out")))
    .addHelpText("after", HELP)
    .action(async (given: GivenOptions) => {
      const runs = planControls(await settingsGiven(given), given.seeds);
      process.exitCode = await runSweep(runs, given.out ?? defaultRunPath("controls"), given);
    });
}

/** @throws {ArgumentError} settings that contradict each other, or neither test nor validation images */
export function planControls(layers: readonly Settings[], nSeeds: number): PlannedRun[] {
  const base = layers.reduce(layer, {});
  const axis = (key: keyof Control) => ({ key, values: CONTROLS.map((control) => ({ [key]: control[key] })) });
  const { seed: first = 0 } = base;
  const seeds = Array.from({ length: nSeeds }, (_, k) => first + k);
  const runs = planRuns({ base, seeds, grid: [], zip: [axis("wiring"), axis("trainConnectome")] });
  if (runs.some(({ config }) => isUnjudged(config))) {
    throw new ArgumentError("controls", "--test-samples", "test images or validation images", "neither");
  }
  return runs;
}

function isUnjudged({ validationSamples, testSamples }: TrainConfig): boolean {
  return validationSamples === 0 && testSamples === 0;
}
