// Types of settings: how values are read from the text of a command line or the data of a file, how they are checked, and their JSON Schema.

import { nearestName } from "../core/errors.ts";
import { isObject } from "../core/plainObject.ts";
import { quoteValue } from "../core/text.ts";
import { ACTIVATION_NAMES } from "../models/activation.ts";
import type { NetworkSize, ReadoutTimes } from "./config.ts";

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
    expected: `a number ${limits.map(({ text, value }) => `${text} ${value}`).join(" and ")}`,
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

/** Some of a few names, separated by commas; each once. */
export function namesOf(names: readonly string[]): SettingType<readonly string[]> {
  const unknown = (list: readonly unknown[]) => list.find((name) => !names.includes(name as string));
  return {
    expected: `names among ${names.join(", ")}, each once`,
    read: (data) => {
      if (!Array.isArray(data) || data.length === 0 || unknown(data) !== undefined) return undefined;
      return new Set(data).size === data.length ? (data as string[]) : undefined;
    },
    fromText: (text) => text.split(",").map((name) => name.trim()),
    got: (data) => suggestion(Array.isArray(data) ? (unknown(data) ?? data) : data, names),
    schema: { type: "array", items: { type: "string", enum: names }, minItems: 1, uniqueItems: true },
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

/** "auto", "last", "all" or "last:k". */
export function readoutTimes(): SettingType<ReadoutTimes> {
  const pattern = "^(auto|last|all|last:[1-9][0-9]*)$";
  return {
    expected: "auto, last, all, or last:k for the last k",
    read: (data) => (typeof data === "string" && new RegExp(pattern).test(data) ? (data as ReadoutTimes) : undefined),
    fromText: asIs,
    got: quoteValue,
    schema: { type: "string", pattern },
  };
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
