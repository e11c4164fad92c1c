// Layers of settings and the configuration they resolve to. From below: defaults, preset, file, --set, options of the command line.

import { ArgumentError, nearestName } from "../core/errors.ts";
import { isObject } from "../core/plainObject.ts";
import { quoteText, quoteValue } from "../core/text.ts";
import { baselineOf } from "./baseline.ts";
import type { TrainConfig } from "./config.ts";
import { CONFIG_KEYS, CONFIG_OPTIONS, type ConfigOption, defaults, type Key, optionName } from "./configOptions.ts";
import { PRESETS } from "./presets.ts";
import { numberOf } from "./settingTypes.ts";
import { solveOptionsOf } from "./solver.ts";

/** Some settings of a run, checked one by one. */
export type Settings = Partial<TrainConfig>;

/** A given setting clears these settings in the layers below, unless its own layer has them too. */
const DISPLACES: Partial<Record<Key, readonly Key[]>> = {
  epochs: ["steps"],
  steps: ["epochs"],
  connectome: ["generate"],
  generate: ["connectome", "neuronTable"],
  solver: ["controller", "dt"],
  rtol: ["controller", "dt"],
  atol: ["controller", "dt"],
};

/** `upper` on top of `lower`. */
export function layer(lower: Settings, upper: Settings): Settings {
  const displaced = CONFIG_KEYS.filter((key) => (upper[key] ?? null) !== null).flatMap((key) => DISPLACES[key] ?? []);
  const cleared = Object.fromEntries(displaced.map((key) => [key, null]));
  return { ...lower, ...cleared, ...upper };
}

/**
 * The configuration of some layers, the uppermost last.
 *
 * @throws {ArgumentError} settings that contradict each other
 */
export function resolveConfig(layers: readonly Settings[]): TrainConfig {
  const given = layers.reduce(layer, {});
  if (given.connectome && given.generate) {
    throw new ArgumentError("train", "--generate", "either a connectome or a random network", "both");
  }
  if (given.neuronTable && !given.connectome) {
    throw new ArgumentError("train", "--neuron-table", "a --connectome that it belongs to", "none");
  }
  const config = completed(given);
  if (config.device === "webgpu" && config.dtype === "f64") {
    throw new ArgumentError("train", "--dtype", "f32, as WebGPU has no other, or --device wasm", "f64");
  }
  if (config.gather === "f16" && (config.device === "wasm" || config.dtype === "f64")) {
    const expected = "f32 with --device wasm or --dtype f64, or a GPU";
    throw new ArgumentError("train", "--gather", expected, "f16");
  }
  const { share, wiring } = config;
  if (share === "columns" && wiring !== "real" && wiring !== "none") {
    const expected = "real or none with --share columns (other wirings do not repeat in the columns), or --share types";
    throw new ArgumentError("train", "--wiring", expected, wiring);
  }
  if ((wiring === "signs-shuffled" || wiring === "neuron-signs-shuffled") && config.weights === "abs") {
    throw new ArgumentError("train", "--weights", `signed, as --wiring ${wiring} changes signs alone`, "abs");
  }
  checkBaseline(config);
  // Checks the settings of the solver before anything is read or made.
  if (config.time === "continuous") solveOptionsOf(config, null);
  return config;
}

/** @throws {ArgumentError} settings that a network in place of the connectome cannot have */
function checkBaseline(config: TrainConfig): void {
  const { wiring, trainConnectome, freeze, time } = config;
  if (baselineOf(config) === null) return;
  const refuse = (key: Key, expected: string, got: string): ArgumentError =>
    new ArgumentError("train", optionName(key), `${expected} with --wiring ${wiring}`, got);
  if (!trainConnectome) throw refuse("trainConnectome", "a network that is trained", "none");
  if (freeze !== null) throw refuse("freeze", "none, as all its parameters count and are trained,", freeze.join(","));
  if (wiring === "gru" && time === "continuous")
    throw refuse("time", "discrete, as a GRU takes steps,", `${time} (--wiring dense is solved)`);
}

/** Completes settings with those of the preset and the defaults. */
function completed(given: Settings): TrainConfig {
  return layer(presetOf(given), given) as TrainConfig;
}

function presetOf(given: Settings): TrainConfig {
  const preset = given.preset ?? impliedPreset(given);
  return { ...defaults(), ...PRESETS[preset]!.recipe, preset };
}

/** Samples of a task with a preset ask for its preset, a connectome for that of connectomes. */
function impliedPreset({ data, connectome }: Settings): string {
  if (data && Object.hasOwn(PRESETS, data) && PRESETS[data]!.recipe.data === data) return data;
  return connectome ? "retina" : "demo";
}

/**
 * Refuses settings that have no effect in any of the configurations.
 *
 * @param given  settings that the user gave, even if they equal the default
 * @throws {ArgumentError} names the setting and what it needs
 */
export function checkEffects(where: string, given: Settings, configs: readonly TrainConfig[]): void {
  const asked = CONFIG_KEYS.filter((key) => (given[key] ?? null) !== null);
  const key = asked.find((name) => configs.every((config) => needOf(name)?.met(config) === false));
  if (key === undefined) return;
  const { expected, got } = needOf(key)!;
  throw new ArgumentError(
    where,
    optionName(key),
    `${expected} with it, as it has no effect otherwise`,
    got(configs[0]!),
  );
}

function needOf(key: Key): ConfigOption<unknown>["needs"] {
  return CONFIG_OPTIONS[key].needs;
}

/** The settings that differ from a preset: a file may list all settings. */
export function ownSettings(given: Settings, preset: string): Settings {
  const usual: Readonly<Record<string, unknown>> = { ...presetOf({ preset }) };
  const own = Object.entries(given).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(usual[key]));
  return Object.fromEntries(own);
}

/** Whether a setting is not that of the preset: the user has chosen it. */
export function isOwnSetting(config: Pick<TrainConfig, "preset">, key: Key): boolean {
  return key in ownSettings(config, config.preset);
}

/** Refuses settings of a file that have no effect with its other settings. */
export function checkEffectsOfFile(where: string, settings: Settings, preset: string): void {
  checkEffects(where, ownSettings(settings, preset), [completed({ ...settings, preset })]);
}

/**
 * Settings from plain data.
 *
 * @param where  file and perhaps line of a key, for error messages
 * @throws {ArgumentError} an unknown key, or a value of the wrong type
 */
export function settingsOf(data: Readonly<Record<string, unknown>>, where: (key: string) => string): Settings {
  return Object.fromEntries(
    Object.entries(data).map(([name, value]) => {
      const key = keyOf(name, where(name));
      const { type }: ConfigOption<unknown> = CONFIG_OPTIONS[key];
      const read = type.read(value);
      if (read === undefined) throw new ArgumentError(where(name), key, type.expected, type.got(value));
      return [key, read];
    }),
  );
}

/**
 * Settings from `key=value` and `key.part=value`.
 *
 * @param lower  the layers below, for values that are given in part
 */
export function settingsOfAssignments(assignments: readonly string[], lower: Settings): Settings {
  const data: Record<string, unknown> = {};
  for (const text of assignments) {
    const equals = text.indexOf("=");
    if (equals < 1) throw new ArgumentError("command line", "--set", "key=value", quoteText(text));
    const [name = "", part, ...deeper] = text.slice(0, equals).split(".");
    const value = text.slice(equals + 1);
    const key = keyOf(name, "--set");
    const { type }: ConfigOption<unknown> = CONFIG_OPTIONS[key];
    if (part === undefined) {
      data[key] = value === "null" && type.read(null) === null ? null : type.fromText(value);
      continue;
    }
    const whole = data[key] ?? lower[key] ?? {};
    if (key !== "generate" || deeper.length > 0) {
      throw new ArgumentError("--set", text, `a key without parts: ${key}=…`, name.concat(".", part));
    }
    data[key] = { ...(isObject(whole) ? whole : {}), [part]: numberOf(value) };
  }
  return settingsOf(data, () => "--set");
}

/**
 * The saved configuration of a run, with the settings given on resume.
 *
 * @throws {ArgumentError} a changed setting on which training depends
 */
export function resumedConfig(saved: TrainConfig, given: Settings): TrainConfig {
  // null is the default, for which several processes have set a number as the run began.
  const { microBatch, ...others } = given;
  const config = layer(saved, microBatch === null ? others : given) as TrainConfig;
  const changed = CONFIG_KEYS.find(
    (key) => !mayChange(key, saved) && JSON.stringify(config[key]) !== JSON.stringify(saved[key]),
  );
  if (changed === undefined) return config;
  throw new ArgumentError(
    "train --resume",
    optionName(changed),
    `${changed} as the run began, ${quoteValue(saved[changed])}`,
    quoteValue(config[changed]),
  );
}

/** Whether a setting may change on resume. A schedule that ends with the run depends on the run's length. */
function mayChange(key: Key, { schedule, decayEvery, microBatch }: TrainConfig): boolean {
  // A run that one process began may go on on several.
  if (key === "microBatch") return microBatch === null;
  const isLength = key === "epochs" || key === "steps";
  const endsWithRun = schedule === "step" ? decayEvery === null : schedule !== "constant";
  return CONFIG_OPTIONS[key].changeableOnResume === true && !(isLength && endsWithRun);
}

function keyOf(name: string, where: string): Key {
  const key = CONFIG_KEYS.find((known) => known === name);
  if (key) return key;
  const near = nearestName(name, CONFIG_KEYS);
  const hint = near ? `, did you mean "${near}"?` : "";
  throw new ArgumentError(where, name, "the name of a setting", `${quoteText(name)}${hint}`);
}
