// Values of command-line options, parsed and checked. A wrong value is an ArgumentError that names the option.

import { ArgumentError } from "../core/errors.ts";
import { quoteText } from "../core/text.ts";
import {
  choice,
  filePath,
  type Limits,
  nonlinearities,
  numberOf,
  real,
  type SettingType,
  whole,
} from "../run/settingTypes.ts";

type Parser<T> = (text: string) => T;

/** The parser of an option's value. */
export function parserOf<T>(type: SettingType<T>, option: string): Parser<T> {
  return (text) => {
    const data = type.fromText(text);
    const value = type.read(data);
    if (value !== undefined) return value;
    // Numbers are shown as they were typed.
    const got = type.got(typeof data === "number" ? text : data);
    throw new ArgumentError("command line", option, type.expected, got);
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
  return parserOf(filePath(), option);
}

/** Collects the values of an option that may be given several times. */
export function repeated(text: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, text];
}

/** Times separated by commas; their order and range are checked with the end of the solve. */
export function timeList(option: string): Parser<Float64Array> {
  return (text) => {
    const times = text.split(",").map((part) => numberOf(part.trim()));
    const bad = times.find((t) => typeof t !== "number");
    if (bad === undefined) return Float64Array.from(times as number[]);
    throw new ArgumentError("command line", option, "times like 0.5,1,3", quoteText(String(bad)));
  };
}
