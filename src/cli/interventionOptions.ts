// Options of the command line that silence, clamp or drive neurons.

import { ArgumentError, ShapeError } from "../core/errors.ts";
import { quoteText } from "../core/text.ts";
import { type SelectableNeurons, selectNeurons } from "../data/selectors.ts";
import { readNpy } from "../io/npy.ts";
import type { Interventions } from "../models/interventions.ts";
import { numberOf } from "../run/settingTypes.ts";

/** One option that acts on neurons. */
export interface Act {
  readonly kind: "silence" | "clamp" | "drive";
  /** In the past tense, for people. */
  readonly done: string;
  readonly selector: string;
  readonly indices: Uint32Array;
  /** State or current; a file of currents; null: none. */
  readonly value: number | string | null;
}

/** What is done to neurons. */
export interface Acts {
  readonly list: readonly Act[];
  /** null: none. */
  readonly interventions: Interventions | null;
}

/** Options that act on neurons, as they are given. */
export interface InterventionOptions {
  readonly silence?: readonly string[];
  readonly clamp?: readonly string[];
  readonly drive?: readonly string[];
}

/**
 * Reads options that act on neurons.
 *
 * @param where  the command, for messages
 * @throws {ArgumentError | ShapeError | FileFormatError} a selector of no neurons, a value that is no number, a file that holds no currents
 */
export async function readInterventions(
  { silence = [], clamp = [], drive = [] }: InterventionOptions,
  subject: SelectableNeurons,
  where: string,
): Promise<Acts> {
  const select = (selector: string, argument: string): Uint32Array =>
    selectNeurons(subject, selector, { where, argument });
  const silenced = silence.map((selector): Act => {
    const indices = select(selector, "--silence");
    return { kind: "silence", done: "silenced", selector, indices, value: null };
  });
  const clamped = clamp.map((text): Act & { readonly value: number } => {
    const [selector, right] = splitAssignment(where, text, "--clamp", "NEURONS=STATE, like T4a=0.5");
    const value = numberOf(right);
    if (typeof value !== "number") {
      throw new ArgumentError(where, "--clamp", "a number behind the last =", quoteText(right));
    }
    const indices = select(selector, "--clamp");
    return { kind: "clamp", done: `clamped at ${value}:`, selector, indices, value };
  });
  const driven: (Act & { readonly current: number | ArrayLike<number> })[] = [];
  for (const text of drive) {
    const [selector, right] = splitAssignment(where, text, "--drive", "NEURONS=CURRENT, like T4a=0.5");
    const value = numberOf(right) as number | string;
    const current = typeof value === "number" ? value : await readCurrents(where, value);
    const indices = select(selector, "--drive");
    driven.push({ kind: "drive", done: `driven by ${value}:`, selector, indices, value, current });
  }
  const list = [...silenced, ...clamped, ...driven];
  if (list.length === 0) return { list, interventions: null };
  const all = new Set(silenced.flatMap(({ indices }) => [...indices]));
  return {
    list,
    interventions: {
      ...(all.size > 0 && { silence: [...all] }),
      clamp: clamped.map(({ indices, value }) => ({ neurons: indices, value })),
      drive: driven.map(({ indices, current }) => ({ neurons: indices, current })),
    },
  };
}

/** A selector may hold = in quotes: the last one counts. */
function splitAssignment(
  where: string,
  text: string,
  option: string,
  expected: string,
): readonly [selector: string, value: string] {
  const at = text.lastIndexOf("=");
  if (at < 0) throw new ArgumentError(where, option, expected, quoteText(text));
  return [text.slice(0, at), text.slice(at + 1).trim()];
}

/** [frames], [samples] or [samples, frames]: which fits the input is checked with it. */
async function readCurrents(where: string, file: string): Promise<Float64Array> {
  if (!file.endsWith(".npy")) {
    throw new ArgumentError(where, "--drive", "a number or FILE.npy behind the last =", quoteText(file));
  }
  const { shape, data, fortranOrder } = await readNpy(file);
  if (shape.length < 1 || shape.length > 2 || fortranOrder) {
    const got = `[${shape.join(", ")}]${fortranOrder ? " in Fortran order" : ""}`;
    throw new ShapeError(where, file, "[frames] or [samples, frames] in C order", got);
  }
  return Float64Array.from(data, Number);
}
