// The options of `axograd train`: settings, their sources, and output.

import { type Command, Option } from "commander";
import type { TrainConfig } from "../run/config.ts";
import {
  checkEffects,
  checkEffectsOfFile,
  layer,
  resolveConfig,
  type Settings,
  settingsOfAssignments,
} from "../run/configLayers.ts";
import {
  CONFIG_KEYS,
  CONFIG_OPTIONS,
  type ConfigOption,
  GROUPS,
  hasFixedDefault,
  type Key,
  optionName,
} from "../run/configOptions.ts";
import { readConfigFile } from "./configFile.ts";
import { parserOf, path, repeated } from "./values.ts";

/** The given settings and their sources, as commander parses them. */
export type SettingOptions = Settings & {
  readonly config?: string;
  readonly set?: readonly string[];
};

export type GivenOptions = SettingOptions & {
  readonly resume?: string;
  readonly out?: string;
  readonly overwrite?: boolean;
  readonly takeOver?: boolean;
  readonly memoryCheck?: boolean;
  readonly report?: boolean;
  readonly profile?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
};

const EXAMPLES = `
Examples:
  npx axograd train                                a demo that needs no files and learns in a minute or two
  npx axograd train --connectome flyvis_e6_csr.npz --data mnist --steps 200
                                                   a real connectome on MNIST; flyvis_e6_neurons.csv beside it is used
  npx axograd train --preset nervous-system --connectome fly.safetensors
                                                   a whole nervous system, as npx axograd import wrote it (docs/nervous-system.md)
  npx axograd train --preset tutorial --generate 47521x4623254 --steps 5 --test-samples 0
                                                   torch-biopl's tutorial at full size, to measure speed
  npx axograd init mine.yaml; npx axograd train --config mine.yaml --set lr=3e-4
                                                   from a file with all settings; --set and options take precedence
  npx axograd train --resume runs/a --epochs 5     after a crash, Ctrl-C, or to train longer; same numbers as without a break
  mpirun -n 4 npx axograd train --batch-size 256 --out runs/a
  srun -K --mpi=pmix npx axograd train --batch-size 256 --out runs/a
                                                   as several processes, which share each batch; the same numbers for any number of them
  npx axograd train --json --out runs/a | jq -r 'select(.event == "step") | [.step, .loss] | @tsv'

Signals: Ctrl-C, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 write a checkpoint and end the run; another one, a second later, ends it at once. nohup
does not protect a run from SIGHUP: to keep it running after its terminal closes, start it with setsid or tmux. Under mpirun or srun a signal to
any process stops all of them with one checkpoint.

One process at a time works in a folder. If that process was killed, --resume takes the folder over: at once on the same machine and where
Slurm says that its job is over; from another machine or container after a minute without a heartbeat, or at once with --take-over.

Exit codes: 0 done; 1 the run failed (full disk, loss not finite, …); 2 wrong input, or a folder in use by another process; 128 + n stopped
by signal n, with a checkpoint (130 Ctrl-C, 143 SIGTERM, 129 SIGHUP, 138 SIGUSR1, 140 SIGUSR2 on Linux). --resume continues after all of
these but 2, and after a crash.
`;

/** Declares the options on a command. */
export function addTrainOptions(command: Command): Command {
  const add = addTo(addSettings(command), "Output:");
  add("--out <dir>", "folder for metrics, checkpoint and curves (default: runs/<time>-<preset>)", path("--out"));
  add("--resume <dir>", "continue the run in this folder from its last checkpoint", path("--resume"));
  add("--overwrite", "replace the files of an earlier run there");
  add(
    "--take-over",
    "do not wait for a sign of life from a process on another machine that had the folder: it must have ended",
  );
  add("--no-memory-check", "begin a run that is stated to take more memory than there is");
  add("--no-report", "make no page about the run at its end (npx axograd report makes one at any time)");
  add("--profile", "print where the time of the second step (or of the only one) went");
  add("--json", "print JSON lines on stdout, nothing else");
  add("--quiet", "print only the result");
  return command.addHelpText("after", EXAMPLES);
}

/** Declares all settings, and the options for their sources. */
export function addSettings(command: Command): Command {
  for (const group of GROUPS) {
    for (const key of CONFIG_KEYS.filter((k) => CONFIG_OPTIONS[k].group === group)) {
      addSetting(command, key);
    }
    if (group === "Recipe") addSources(command);
  }
  return command;
}

type Add = (flags: string, description: string, parse?: (text: string) => unknown) => void;

function addTo(command: Command, heading: string): Add {
  return (flags, description, parse) => {
    const option = new Option(flags, description).helpGroup(heading);
    if (parse) option.argParser(parse);
    command.addOption(option);
  };
}

/** Stands for null among parsed options: commander turns null into an empty text. */
const NONE = Symbol("none");

/** Declares one setting as an option. */
export function addSetting(command: Command, key: Key): void {
  const { group, placeholder, help, negated, type, default: value }: ConfigOption<unknown> = CONFIG_OPTIONS[key];
  const name = optionName(key);
  const add = addTo(command, `${group}:`);
  if (placeholder !== null) {
    const hasDefault = hasFixedDefault(key) && value !== null && typeof value !== "object";
    const parse = parserOf(type, name);
    add(`${name} ${placeholder}`, hasDefault ? `${help} (default: ${value})` : help, (text) => parse(text) ?? NONE);
    return;
  }
  add(name, help);
  if (negated) add(name.replace("--", "--no-"), negated);
}

/** Declares the sources of settings besides options. */
function addSources(command: Command): void {
  addTo(command, "Recipe:")(
    "--config <file>",
    "settings from YAML or JSON: a file of npx axograd init, or the config.json of a run",
    path("--config"),
  );
  command.addOption(
    new Option("--set <key=value>", "one setting, by its name in such a file; may be repeated")
      .argParser(repeated)
      .helpGroup("Recipe:"),
  );
}

/**
 * The given settings, by layer: file, --set, options.
 *
 * @param lower  a layer below them, for values that are given in part
 * @throws {ArgumentError | FileFormatError} a file that cannot be read, unknown keys, wrong values
 */
export async function settingsGiven(
  given: SettingOptions,
  lower: Settings = {},
): Promise<readonly [file: Settings, assigned: Settings, options: Settings]> {
  const file = given.config === undefined ? {} : await readConfigFile(given.config);
  const assigned = settingsOfAssignments(given.set ?? [], { ...lower, ...file });
  return [file, assigned, settingsAmong(CONFIG_KEYS, given)];
}

/** The settings among `keys` that were given as options. */
export function settingsAmong(keys: readonly Key[], given: Settings): Settings {
  const options: Readonly<Record<string, unknown>> = { ...given };
  const chosen = keys.filter((key) => key in options);
  return Object.fromEntries(chosen.map((key) => [key, options[key] === NONE ? null : options[key]]));
}

/**
 * The configuration of the given options.
 *
 * @param lower  a layer below them
 * @throws {ArgumentError | FileFormatError} wrong settings, settings that contradict each other, or settings without effect
 */
export async function configOf(given: SettingOptions, lower: Settings = {}): Promise<TrainConfig> {
  const [file, ...typed] = await settingsGiven(given);
  const config = resolveConfig([lower, file, ...typed]);
  checkEffectsOfFile(given.config ?? "train", file, config.preset);
  checkEffects("train", typed.reduce(layer, {}), [config]);
  return config;
}
