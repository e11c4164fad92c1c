// The networks of a study: the real one, and its controls.

import { ArgumentError, nearestName } from "../../core/errors.ts";
import { quoteText } from "../../core/text.ts";
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

/** The connectome as it is, and every other wiring. Without connections there is nothing to train. */
const CONTROLS: Readonly<Record<string, Settings>> = {
  frozen: { wiring: "real", trainConnectome: false },
  ...Object.fromEntries(
    WIRINGS.filter((wiring) => wiring !== "real").map((wiring): [string, Settings] => [
      wiring,
      { wiring, trainConnectome: wiring !== "none" },
    ]),
  ),
};

export const CONTROL_NAMES: readonly string[] = Object.keys(CONTROLS);
export const USUAL_CONTROLS: readonly string[] = ["frozen", "shuffled", "random", "none"];

/** @throws {ArgumentError} a name that is none, or twice the same */
export function controlsOf(names: readonly string[]): Arm[] {
  const fail = (got: string): never => {
    throw new ArgumentError("controls", "--controls", `some of ${CONTROL_NAMES.join(", ")}, each once`, got);
  };
  if (names.length === 0) fail("none");
  const twice = names.find((name, k) => names.indexOf(name) < k);
  if (twice !== undefined) fail(`${quoteText(twice)} twice`);
  return names.map((name) => {
    if (Object.hasOwn(CONTROLS, name)) return { name, options: CONTROLS[name]! };
    const near = nearestName(name, CONTROL_NAMES);
    return fail(`${quoteText(name)}${near ? `, did you mean "${near}"?` : ""}`);
  });
}

/** The name of a control with these settings; one made of them if there is none. */
export function controlName(options: Settings): string {
  const same = CONTROL_NAMES.find((name) => {
    const own = CONTROLS[name]!;
    return Object.keys(options).every((key) => options[key as Key] === own[key as Key]);
  });
  return same ?? Object.values(options).join(" ");
}

/** The settings in which the networks differ. */
export function keysOf(arms: readonly Arm[]): Key[] {
  return [...new Set(arms.flatMap(({ options }) => Object.keys(options) as Key[]))];
}
