// The networks of a study: the real one, and its controls.

import { ArgumentError, nearestName } from "../../core/errors.ts";
import { quoteText } from "../../core/text.ts";
import { CONTROLS } from "../../data/controls.ts";
import { BASELINE_SUMMARIES } from "../../run/baseline.ts";
import { WIRINGS } from "../../run/config.ts";
import type { Settings } from "../../run/configLayers.ts";
import type { Key } from "../../run/configOptions.ts";

/** A network of a study: the settings in which it differs from the others. */
export interface Arm {
  readonly name: string;
  readonly options: Settings;
}

/** What the controls are compared with. */
export const REAL: Arm = { name: "real", options: { wiring: "real", trainConnectome: true } };

const FROZEN = "the connectome as it is: only the read-out (and the input weights, where there are any) is trained";

/** The connectome as it is, and every other wiring. Without connections there is nothing to train. */
const CONTROL_ARMS: Readonly<Record<string, Settings>> = {
  frozen: { wiring: "real", trainConnectome: false },
  ...Object.fromEntries(
    WIRINGS.filter((wiring) => wiring !== "real").map((wiring): [string, Settings] => [
      wiring,
      { wiring, trainConnectome: wiring !== "none" },
    ]),
  ),
};

export const CONTROL_ARM_NAMES: readonly string[] = Object.keys(CONTROL_ARMS);
export const USUAL_CONTROLS: readonly string[] = ["frozen", "shuffled", "random", "none"];

/** Names of the controls, and what they are. */
export function controlTexts(): (readonly [name: string, text: string])[] {
  const summaries = Object.entries(CONTROLS).map(([name, { summary }]) => [name, summary] as const);
  const texts = new Map([["frozen", FROZEN], ...summaries, ...Object.entries(BASELINE_SUMMARIES)]);
  return CONTROL_ARM_NAMES.map((name) => [name, texts.get(name)!]);
}

/** @throws {ArgumentError} a name that is none, or twice the same */
export function controlsOf(names: readonly string[]): Arm[] {
  const fail = (got: string): never => {
    throw new ArgumentError("controls", "--controls", `some of ${CONTROL_ARM_NAMES.join(", ")}, each once`, got);
  };
  if (names.length === 0) fail("none");
  const twice = names.find((name, k) => names.indexOf(name) < k);
  if (twice !== undefined) fail(`${quoteText(twice)} twice`);
  return names.map((name) => {
    if (Object.hasOwn(CONTROL_ARMS, name)) return { name, options: CONTROL_ARMS[name]! };
    const near = nearestName(name, CONTROL_ARM_NAMES);
    return fail(`${quoteText(name)}${near ? `, did you mean "${near}"?` : ""}`);
  });
}

/** The name of a control with these settings; one made of them if there is none. */
export function controlName(options: Settings): string {
  const same = CONTROL_ARM_NAMES.find((name) => {
    const own = CONTROL_ARMS[name]!;
    return Object.keys(options).every((key) => options[key as Key] === own[key as Key]);
  });
  return same ?? Object.values(options).join(" ");
}

/** The settings in which the networks differ. */
export function keysOf(arms: readonly Arm[]): Key[] {
  return [...new Set(arms.flatMap(({ options }) => Object.keys(options) as Key[]))];
}
