// Values of command-line options: text to checked numbers and names. Wrong ones are ArgumentErrors that name the option.

import { ArgumentError } from "../core/errors.ts";
import { choice, type Kind, type Limits, nonlinearities, pathKind, real, whole } from "../run/kinds.ts";

type Parser<T> = (text: string) => T;

/** The parser of an option whose value is of a kind. */
export function parserOf<T>(kind: Kind<T>, option: string): Parser<T> {
  return (text) => {
    const data = kind.fromText(text);
    const value = kind.read(data);
    if (value !== undefined) return value;
    // Numbers are shown as they were typed.
    const got = kind.got(typeof data === "number" ? text : data);
    throw new ArgumentError("command line", option, kind.expected, got);
  };
}

/** A whole number in decimal notation, or like 1e6. */
export function wholeNumber(option: string, least: number, most?: number): Parser<number> {
  return parserOf(whole(least, most), option);
}

/** A number within limits. */
export function realNumber(option: string, limits: Limits): Parser<number> {
  return parserOf(real(limits), option);
}

/** One of a few names. */
export function oneOf<T extends string>(option: string, names: readonly T[]): Parser<T> {
  return parserOf(choice(names), option);
}

/** Names of nonlinearities, separated by commas. */
export function nonlinearity(option: string): Parser<string> {
  return parserOf(nonlinearities(), option);
}

/** A path, which cannot be empty. */
export function path(option: string): Parser<string> {
  return parserOf(pathKind(), option);
}
