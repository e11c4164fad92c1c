// Values of command-line options: text to checked numbers and names. Wrong ones are ArgumentErrors that name the option.

import { ArgumentError, nearestName } from "../core/errors.ts";
import { ACTIVATION_NAMES } from "../models/activation.ts";
import type { NetworkSize } from "./config.ts";

type Parser<T> = (text: string) => T;

function fail(option: string, expected: string, text: string, near: string | null = null): never {
  throw new ArgumentError("command line", option, expected, `"${text}"${near ? `, did you mean "${near}"?` : ""}`);
}

/** A number; "" and hexadecimal are none. */
function numberOf(text: string): number {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
}

/** A whole number in decimal notation, or like 1e6. */
export function wholeNumber(option: string, least: number, most: number = Number.MAX_SAFE_INTEGER): Parser<number> {
  return (text) => {
    const value = numberOf(text);
    if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
    return fail(option, `a whole number ${range(least, most)}`, text);
  };
}

/** A number within [least, most], or above `least` where it is excluded. */
export function realNumber(
  option: string,
  { least, above, below }: { readonly least?: number; readonly above?: number; readonly below?: number },
): Parser<number> {
  const limits = [
    least === undefined ? null : `of at least ${least}`,
    above === undefined ? null : `above ${above}`,
    below === undefined ? null : `below ${below}`,
  ].filter((limit) => limit !== null);
  return (text) => {
    const value = numberOf(text);
    const inRange =
      !(value < (least ?? -Infinity)) && !(value <= (above ?? -Infinity)) && !(value >= (below ?? Infinity));
    return Number.isFinite(value) && inRange ? value : fail(option, `a number ${limits.join(" and ")}`, text);
  };
}

/** One of a few names. */
export function oneOf<T extends string>(option: string, names: readonly T[]): Parser<T> {
  return (text) =>
    names.find((name) => name === text) ?? fail(option, `one of ${names.join(", ")}`, text, nearestName(text, names));
}

/** What `parse` takes, or "none". */
export function orNone<T>(parse: Parser<T>): Parser<T | null> {
  return (text) => (text === "none" ? null : parse(text));
}

/** Names of nonlinearities, separated by commas. */
export function nonlinearity(option: string): Parser<string> {
  return (text) => {
    for (const part of text.split(",").map((name) => name.trim())) {
      if (ACTIVATION_NAMES.includes(part.toLowerCase())) continue;
      fail(option, `one of ${ACTIVATION_NAMES.join(", ")}`, part, nearestName(part, ACTIVATION_NAMES));
    }
    return text;
  };
}

/** NEURONSxSYNAPSES. */
export function networkSize(option: string): Parser<NetworkSize> {
  return (text) => {
    const match = /^(\d+)x(\d+)$/i.exec(text);
    if (!match) return fail(option, "NEURONSxSYNAPSES, like 47521x4623254", text);
    return { neurons: Number(match[1]), synapses: Number(match[2]) };
  };
}

/** A path, which cannot be empty. */
export function path(option: string): Parser<string> {
  return (text) => (text === "" ? fail(option, "a path", text) : text);
}

function range(least: number, most: number): string {
  return most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
}
