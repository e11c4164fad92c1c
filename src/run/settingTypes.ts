// Types of settings: how values are read from the text of a command line or the data of a file, how they are checked, and their JSON Schema.

import { ArgumentError, nearestName } from "../core/errors.ts";
import { isObject } from "../core/plainObject.ts";
import { parseSelector } from "../core/selector.ts";
import { quoteValue } from "../core/text.ts";
import { ACTIVATION_NAMES } from "../models/activation.ts";
import { closingBracket, parsePattern } from "../models/parameters/pattern.ts";
import { PENALTY_KINDS } from "../train/parameterPenalties.ts";
import type { Assignments, NamedNetwork, NetworkSize, ReadoutTimes } from "./config.ts";

export type JsonSchema = Readonly<Record<string, unknown>>;

export interface SettingType<T> {
  /** The expected value, for error messages. */
  readonly expected: string;
  /** The value of plain data; undefined: not of this type. */
  readonly read: (data: unknown) => T | undefined;
  /** The data of a text on the command line. */
  readonly fromText: (text: string) => unknown;
  /** The wrong value, for error messages. */
  readonly got: (data: unknown) => string;
  readonly schema: JsonSchema;
}

const asIs = (text: string): unknown => text;

/** A whole number in decimal notation, or like 1e6. */
export function whole(least: number, most: number = Number.MAX_SAFE_INTEGER): SettingType<number> {
  const bounded = most < Number.MAX_SAFE_INTEGER;
  return {
    expected: `a whole number ${bounded ? `from ${least} to ${most}` : `of at least ${least}`}`,
    read: (data) => (Number.isSafeInteger(data) && inRange(data as number, least, most) ? (data as number) : undefined),
    fromText: numberOf,
    got: quoteValue,
    schema: { type: "integer", minimum: least, ...(bounded ? { maximum: most } : {}) },
  };
}

/** A whole number, or a word. */
export function wholeOr<W extends string>(word: W, least: number): SettingType<number | W> {
  const number = whole(least);
  return {
    expected: `${number.expected}, or ${word}`,
    read: (data) => (data === word ? word : number.read(data)),
    fromText: numberOf,
    got: quoteValue,
    schema: { anyOf: [number.schema, { type: "string", enum: [word] }] },
  };
}

export interface Limits {
  readonly least?: number;
  /** Excluded itself. */
  readonly above?: number;
  /** Excluded itself. */
  readonly below?: number;
}

/** A number within limits. */
export function real({ least, above, below }: Limits): SettingType<number> {
  const limits = [
    { text: "of at least", schema: "minimum", value: least },
    { text: "above", schema: "exclusiveMinimum", value: above },
    { text: "below", schema: "exclusiveMaximum", value: below },
  ].filter(({ value }) => value !== undefined);
  const fits = (x: number): boolean =>
    Number.isFinite(x) && x >= (least ?? -Infinity) && x > (above ?? -Infinity) && x < (below ?? Infinity);
  return {
    expected: ["a number", limits.map(({ text, value }) => `${text} ${value}`).join(" and ")].join(" ").trim(),
    read: (data) => (typeof data === "number" && fits(data) ? data : undefined),
    fromText: numberOf,
    got: quoteValue,
    schema: { type: "number", ...Object.fromEntries(limits.map(({ schema, value }) => [schema, value])) },
  };
}

/** One of a few names. */
export function choice<T extends string>(names: readonly T[]): SettingType<T> {
  return {
    expected: `one of ${names.join(", ")}`,
    read: (data) => names.find((name) => name === data),
    fromText: asIs,
    got: (data) => suggestion(data, names),
    schema: { type: "string", enum: names },
  };
}

/** Yes or no. */
export function flag(): SettingType<boolean> {
  return {
    expected: "true or false",
    read: (data) => (typeof data === "boolean" ? data : undefined),
    fromText: (text) => (text === "true" || text === "false" ? text === "true" : text),
    got: quoteValue,
    schema: { type: "boolean" },
  };
}

/** A path, which cannot be empty. */
export function filePath(): SettingType<string> {
  return {
    expected: "a path",
    // No system has a path with a NUL.
    read: (data) => (typeof data === "string" && data !== "" && !data.includes("\0") ? data : undefined),
    fromText: asIs,
    got: quoteValue,
    schema: { type: "string", minLength: 1 },
  };
}

/** One of a few words, or a path, as `./auto` is one of a file that is named like a word. */
export function wordOrPath(words: readonly string[]): SettingType<string> {
  const type = filePath();
  return {
    ...type,
    expected: `one of ${words.join(", ")}, or a path`,
    schema: { ...type.schema, examples: words },
  };
}

/** A selector of neurons, or one of a few names. Whether its neurons exist is not checked. */
export function selector(names: readonly string[]): SettingType<string> {
  const parsed = (data: unknown): unknown => {
    if (typeof data !== "string") return data;
    try {
      parseSelector(data, { where: "setting", argument: "selector" });
      return null;
    } catch (error) {
      return error;
    }
  };
  return {
    expected: `one of ${names.join(", ")}, or a selector of neurons`,
    read: (data) => (typeof data === "string" && parsed(data) === null ? data : undefined),
    fromText: asIs,
    got: (data) => {
      const error = parsed(data);
      if (!(error instanceof ArgumentError)) return quoteValue(data);
      return `${quoteValue(data)}: expected ${error.facts.expected}, got ${error.facts.got}`;
    },
    schema: { type: "string", minLength: 1, examples: names },
  };
}

/** Names of nonlinearities, separated by commas. */
export function nonlinearities(): SettingType<string> {
  const unknown = (text: string): string | undefined =>
    text
      .split(",")
      .map((name) => name.trim())
      .find((name) => !ACTIVATION_NAMES.includes(name.toLowerCase()));
  return {
    expected: `one of ${ACTIVATION_NAMES.join(", ")}`,
    read: (data) => (typeof data === "string" && unknown(data) === undefined ? data : undefined),
    fromText: asIs,
    got: (data) => suggestion(typeof data === "string" ? unknown(data) : data, ACTIVATION_NAMES),
    schema: { type: "string", examples: ACTIVATION_NAMES },
  };
}

/** NEURONSxCONNECTIONS, or an object with both numbers. */
export function sizeOfNetwork(): SettingType<NetworkSize> {
  const count = whole(1);
  const parts = (data: unknown): Readonly<Record<string, unknown>> | null => {
    const match = typeof data === "string" ? /^(\d+)x(\d+)$/i.exec(data) : null;
    if (match) return { neurons: Number(match[1]), connections: Number(match[2]) };
    if (!isObject(data)) return null;
    // Before 0.2.0 connections were "synapses". Both names at once are refused.
    const { synapses, ...others } = data;
    if (synapses === undefined) return data;
    return "connections" in others ? null : { ...others, connections: synapses };
  };
  return {
    expected: "NEURONSxCONNECTIONS, like 47521x4623254",
    read: (data) => {
      const { neurons, connections, ...others } = parts(data) ?? {};
      const size = { neurons: count.read(neurons), connections: count.read(connections) };
      if (size.neurons === undefined || size.connections === undefined || Object.keys(others).length > 0)
        return undefined;
      return { neurons: size.neurons, connections: size.connections };
    },
    fromText: asIs,
    got: quoteValue,
    schema: {
      anyOf: [
        {
          type: "object",
          properties: { neurons: count.schema, connections: count.schema },
          required: ["neurons", "connections"],
          additionalProperties: false,
        },
        { type: "string", pattern: "^[0-9]+[xX][0-9]+$" },
      ],
    },
  };
}

/** The size of a random network, or the name of a network with or without its extent. */
export function generatedNetwork(): SettingType<NetworkSize | NamedNetwork> {
  const size = sizeOfNetwork();
  const pattern = "^motion(:[1-9][0-9]?)?$";
  return {
    expected: `${size.expected}, or motion, motion:5`,
    read: (data) =>
      typeof data === "string" && new RegExp(pattern).test(data) ? (data as NamedNetwork) : size.read(data),
    fromText: asIs,
    got: quoteValue,
    schema: { anyOf: [...(size.schema.anyOf as readonly JsonSchema[]), { type: "string", pattern }] },
  };
}

/** Numbers and words by name; on a command line name=value, separated by commas. */
export function namedValues(): SettingType<Readonly<Record<string, number | string>>> {
  const isValue = (value: unknown) =>
    typeof value === "string" || (typeof value === "number" && Number.isFinite(value));
  return {
    expected: "values by name, like digits=2,wait=8",
    read: (data) =>
      isObject(data) && Object.values(data).every(isValue) ? (data as Record<string, number | string>) : undefined,
    fromText: (text) => {
      const pairs = text === "" ? [] : text.split(",").map((part) => part.split("="));
      const isWhole = pairs.every(([name, value, ...more]) => name && value !== undefined && more.length === 0);
      if (!isWhole || new Set(pairs.map(([name]) => name)).size < pairs.length) return text;
      return Object.fromEntries(pairs.map(([name, value]) => [name!.trim(), numberOf(value!)]));
    },
    got: quoteValue,
    schema: { type: "object", additionalProperties: { type: ["number", "string"] } },
  };
}

/** "auto", "last", "all", "last:k", or ascending indices: as a list, or in a text, separated by commas. */
export function readoutTimes(): SettingType<ReadoutTimes> {
  const named = "auto|last|all|last:[1-9][0-9]*";
  const indices = listOf(whole(0));
  const isAscending = (list: readonly number[]) => list.every((j, i) => i === 0 || j > list[i - 1]!);
  return {
    expected: "auto, last, all, last:k for the last k, or ascending indices from 0, separated by commas",
    read: (data) => {
      if (typeof data === "string" && new RegExp(`^(${named})$`).test(data)) return data as ReadoutTimes;
      const list = indices.read(data);
      return list !== undefined && isAscending(list) ? list : undefined;
    },
    fromText: asIs,
    got: quoteValue,
    schema: {
      anyOf: [
        { type: "string", pattern: `^(${named}|[0-9]+( *, *[0-9]+)*)$` },
        { type: "array", items: { type: "integer", minimum: 0 }, minItems: 1, uniqueItems: true },
      ],
    },
  };
}

/** A text that is not empty, as part of a list: without commas and spaces at its ends. */
export function word(what: string): SettingType<string> {
  return {
    expected: what,
    read: (data) => (typeof data === "string" && /^[^,\s]([^,]*[^,\s])?$/.test(data) ? data : undefined),
    fromText: asIs,
    got: quoteValue,
    schema: { type: "string", pattern: "^[^,\\s]([^,]*[^,\\s])?$" },
  };
}

/** At least one value of `item`, without repetition: as a list, or in a text, separated by commas. */
export function listOf<T>(item: SettingType<T>): SettingType<readonly T[]> {
  return {
    expected: `${item.expected}, or several, separated by commas`,
    read: (data) => {
      const parts = typeof data === "string" ? partsOf(data).map(item.fromText) : data;
      if (!Array.isArray(parts) || parts.length === 0) return undefined;
      const values = parts.map((part) => item.read(part));
      return values.every((value) => value !== undefined) && new Set(values).size === values.length
        ? values
        : undefined;
    },
    fromText: asIs,
    got: quoteValue,
    schema: { anyOf: [{ type: "array", items: item.schema, minItems: 1, uniqueItems: true }, { type: "string" }] },
  };
}

/**
 * Numbers by name, in order, at least one: as an object, or in a text as NAME=NUMBER, separated by commas.
 *
 * @param name  type of the names
 */
export function assignments(name: SettingType<string>, value: SettingType<number>): SettingType<Assignments> {
  const ofText = (text: string): readonly (readonly [string, unknown])[] =>
    partsOf(text).map((part) => {
      const equals = part.lastIndexOf("=");
      return [part.slice(0, Math.max(0, equals)).trim(), value.fromText(part.slice(equals + 1).trim())];
    });
  return {
    expected: `${name.expected}=${value.expected}, or several, separated by commas`,
    read: (data) => {
      const given = typeof data === "string" ? ofText(data) : isObject(data) ? Object.entries(data) : [];
      const read = given.map(([key, x]) => [name.read(key), value.read(x)] as const);
      const isRight = read.length > 0 && read.every(([key, x]) => key !== undefined && x !== undefined);
      const names = new Set(read.map(([key]) => key));
      return isRight && names.size === read.length ? (Object.fromEntries(read) as Assignments) : undefined;
    },
    fromText: asIs,
    got: quoteValue,
    schema: {
      anyOf: [
        { type: "object", propertyNames: name.schema, additionalProperties: value.schema, minProperties: 1 },
        { type: "string", pattern: "=" },
      ],
    },
  };
}

/** A pattern of parameters, perhaps with neurons in brackets. Whether its parameters and neurons exist is not checked. */
export function parameterPattern(): SettingType<string> {
  const name = word("PATTERN");
  const read = (data: unknown): string | undefined => {
    if (typeof data !== "string") return undefined;
    try {
      const place = { where: "setting", argument: "pattern" };
      const { parameters, neurons } = parsePattern(place.where, place.argument, data);
      for (const { selector } of neurons) parseSelector(selector, place);
      return name.read(parameters) === undefined ? undefined : data;
    } catch (error) {
      if (error instanceof ArgumentError) return undefined;
      throw error;
    }
  };
  return {
    ...name,
    read,
    schema: { type: "string", pattern: "^[^,\\s\\[]([^,\\[]*[^,\\s\\[])?( *\\[[^\\]].*\\])?$" },
  };
}

/** KIND:PATTERN, a penalty and the parameters that it is on. */
export function penaltyOfParameters(): SettingType<string> {
  const pattern = parameterPattern();
  return {
    expected: "KIND:PATTERN",
    read: (data) => {
      if (typeof data !== "string") return undefined;
      const [kind = "", ...rest] = data.split(":");
      const isKnown = PENALTY_KINDS.some((known) => known === kind);
      return isKnown && pattern.read(rest.join(":")) !== undefined ? data : undefined;
    },
    fromText: asIs,
    got: quoteValue,
    schema: { type: "string", pattern: `^(${PENALTY_KINDS.join("|")}):[^,\\[]+(\\[.+\\])?$` },
  };
}

/** What stands between commas; those in brackets divide nothing. */
function partsOf(text: string): string[] {
  const parts: string[] = [];
  let begin = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "[") i = Math.max(i, closingBracket(text, i));
    else if (text[i] === ",") {
      parts.push(text.slice(begin, i));
      begin = i + 1;
    }
  }
  return [...parts, text.slice(begin)].map((part) => part.trim());
}

/** A value of `type`, or null; on a command line "none". */
export function orNull<T>(type: SettingType<T>): SettingType<T | null> {
  const { schema } = type;
  const either = "anyOf" in schema ? (schema.anyOf as readonly JsonSchema[]) : [schema];
  return {
    expected: type.expected,
    read: (data) => (data === null ? null : type.read(data)),
    fromText: (text) => (text === "none" ? null : type.fromText(text)),
    got: type.got,
    schema: { anyOf: [...either, { type: "null" }] },
  };
}

/** Parses a decimal number; other text ("" and hexadecimal included) stays text. */
export function numberOf(text: string): unknown {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : text;
}

function inRange(value: number, least: number, most: number): boolean {
  return value >= least && value <= most;
}

function suggestion(data: unknown, names: readonly string[]): string {
  const near = typeof data === "string" ? nearestName(data, names) : null;
  return near ? `${quoteValue(data)}, did you mean "${near}"?` : quoteValue(data);
}
