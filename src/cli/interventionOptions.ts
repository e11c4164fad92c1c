// Options of the command line that silence, clamp or drive neurons.

import type { Command } from "commander";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import type { SelectorPlace } from "../core/selector.ts";
import { quoteText } from "../core/text.ts";
import { type SelectableNeurons, selectNeurons } from "../data/selectors.ts";
import { readNpy } from "../io/npy.ts";
import type { Interventions } from "../models/interventions.ts";
import { numberOf } from "../run/settingTypes.ts";
import { describeSelection } from "./selections.ts";
import { repeated } from "./values.ts";

/** Whose argument a text is, for messages. */
type Place = Pick<SelectorPlace, "where" | "argument">;

/** What can be done to neurons. */
export type ActKind = "silence" | "clamp" | "drive";

/** What is done, whichever the neurons. */
export interface Deed {
  readonly kind: ActKind;
  /** State or current; a file of currents; null: none. */
  readonly value: number | string | null;
  /** Currents of a driven neuron, as the value gives them. */
  readonly current: number | Float64Array | null;
}

/** One option that acts on neurons. */
export interface Act extends Deed {
  readonly selector: string;
  readonly indices: Uint32Array;
}

/** Options that act on neurons, as they are given. */
export interface InterventionOptions {
  readonly silence?: readonly string[];
  readonly clamp?: readonly string[];
  readonly drive?: readonly string[];
}

/** What a command takes. */
export interface CurrentsTaken {
  /** Whether currents may be files; not where the stimuli are the command's own. Default true. */
  readonly files?: boolean;
}

/** Declares the options. */
export function addInterventionOptions(command: Command, { files = true }: CurrentsTaken = {}): void {
  const file = files ? " or T4a=FILE.npy (see below)" : "";
  command
    .option("--silence <neurons>", "neurons that send nothing; repeatable", repeated)
    .option("--clamp <neurons=state>", "neurons whose state is held, like T4a=0.5; repeatable", repeated)
    .option("--drive <neurons=current>", `neurons with an additional input, like T4a=0.5${file}; repeatable`, repeated);
}

/**
 * The interventions of a command that makes one experiment.
 *
 * @param note  says what is done to which neurons
 * @returns null: nothing is done
 * @throws as `readActs`
 */
export async function readInterventions(
  given: InterventionOptions,
  neurons: SelectableNeurons,
  { where, note, ...taken }: CurrentsTaken & { readonly where: string; readonly note: (text: string) => void },
): Promise<Interventions | null> {
  const acts = await readActs(given, neurons, where, taken);
  for (const act of acts) note(describeAct(act, neurons));
  return interventionsOf(acts);
}

/**
 * Reads options that act on neurons.
 *
 * @param where  the command
 * @throws {ArgumentError | ShapeError | FileFormatError} a selector of no neurons, a value that is no number, a file that holds no currents
 */
export async function readActs(
  { silence = [], clamp = [], drive = [] }: InterventionOptions,
  subject: SelectableNeurons,
  where: string,
  taken: CurrentsTaken = {},
): Promise<Act[]> {
  const select = (selector: string, argument: string): Pick<Act, "selector" | "indices"> => ({
    selector,
    indices: selectNeurons(subject, selector, { where, argument }),
  });
  const acts = silence.map((selector): Act => ({ ...SILENCE, ...select(selector, "--silence") }));
  for (const [kind, texts] of [
    ["clamp", clamp],
    ["drive", drive],
  ] as const) {
    const place = { where, argument: `--${kind}` };
    for (const text of texts) {
      const [selector, right] = splitAssignment(text, kind, place);
      const deed = await readDeed(kind, right, place, taken);
      acts.push({ ...deed, ...select(selector, place.argument) });
    }
  }
  return acts;
}

/** Neurons send nothing. */
export const SILENCE: Deed = { kind: "silence", value: null, current: null };

/** What is done, from the text behind the =. */
export async function readDeed(
  kind: "clamp" | "drive",
  right: string,
  place: Place,
  { files = true }: CurrentsTaken = {},
): Promise<Deed> {
  const value = numberOf(right) as number | string;
  if (kind === "drive" && !files && typeof value === "string")
    throw new ArgumentError(
      place.where,
      place.argument,
      "a number behind the last =, for all stimuli",
      quoteText(right),
    );
  if (kind === "drive")
    return { kind, value, current: typeof value === "number" ? value : await readCurrents(value, place) };
  if (typeof value === "number") return { kind, value, current: null };
  throw new ArgumentError(place.where, place.argument, "a number behind the last =", quoteText(right));
}

/** What a run gets; null: nothing is done. */
export function interventionsOf(acts: readonly Act[]): Interventions | null {
  if (acts.length === 0) return null;
  const of = (kind: ActKind): readonly Act[] => acts.filter((act) => act.kind === kind);
  const silenced = new Set(of("silence").flatMap(({ indices }) => [...indices]));
  return {
    ...(silenced.size > 0 && { silence: Uint32Array.from(silenced) }),
    clamp: of("clamp").map(({ indices, value }) => ({ neurons: indices, value: value as number })),
    drive: of("drive").map(({ indices, current }) => ({ neurons: indices, current: current! })),
  };
}

/** "silenced 4 neurons: 4 T4a", "clamped at 0.5: 4 neurons: 4 T4a". */
export function describeAct({ kind, value, indices }: Act, neurons: SelectableNeurons): string {
  const done = { silence: "silenced", clamp: `clamped at ${value}:`, drive: `driven by ${value}:` }[kind];
  return `${done} ${describeSelection(neurons, indices)}`;
}

/** A selector may hold = in quotes: the last one counts. */
function splitAssignment(
  text: string,
  kind: "clamp" | "drive",
  { where, argument }: Place,
): readonly [selector: string, value: string] {
  const at = text.lastIndexOf("=");
  const expected = `NEURONS=${kind === "clamp" ? "STATE" : "CURRENT"}, like T4a=0.5`;
  if (at < 0) throw new ArgumentError(where, argument, expected, quoteText(text));
  return [text.slice(0, at), text.slice(at + 1).trim()];
}

/** [frames], [samples] or [samples, frames]: which fits the input is checked with it. */
async function readCurrents(file: string, { where, argument }: Place): Promise<Float64Array> {
  if (!file.endsWith(".npy")) {
    throw new ArgumentError(where, argument, "a number or FILE.npy behind the last =", quoteText(file));
  }
  const { shape, data, fortranOrder } = await readNpy(file);
  if (shape.length < 1 || shape.length > 2 || fortranOrder) {
    const got = `[${shape.join(", ")}]${fortranOrder ? " in Fortran order" : ""}`;
    throw new ShapeError(where, file, "[frames] or [samples, frames] in C order", got);
  }
  return Float64Array.from(data, Number);
}
